//! Reads lists of entries. One statement reads the pages, or the numbers of entries, of many lists.

use super::super::backend::{Connection, Db, load, one_of};
use super::super::schema::{ciphertexts, data_keys, entries, entry_usage, replaced_data_keys, versions};
use super::entries::{coalesce, views};
use super::keys::data_key_columns;
use crate::domain::{EntryId, EntryStatus, MilestoneId, ProjectId, Timestamp};
use crate::store::records::{EntryCounts, EntryLists, EntryPage, EntrySelection, EntrySort, EntryView, SortKey};
use crate::store::statement::{Compared, compared, fixed};
use diesel::backend::Backend;
use diesel::define_sql_function;
use diesel::dsl::{count, count_star, row_number};
use diesel::expression::{AppearsOnTable, Expression, ValidGrouping, is_aggregate};
use diesel::prelude::*;
use diesel::query_builder::{AstPass, QueryFragment};
use diesel::sql_types::{BigInt, Bool, Text};
use diesel_async::RunQueryDsl;

define_sql_function! { fn lower(text: Text) -> Text; }

/// The condition `entries.id IN (...)` for the first rows of each list. diesel cannot select from a
/// subquery.
struct AmongFirst<Q> {
    /// Selects the id of each row, and its place in its list, from 1.
    places: Q,
    /// Maximum number of rows of each list.
    limit: i64,
    /// Number of lists.
    lists: usize,
}

impl<Q> Expression for AmongFirst<Q> {
    type SqlType = Bool;
}

impl<Q, From> AppearsOnTable<From> for AmongFirst<Q> {}

impl<Q, Group> ValidGrouping<Group> for AmongFirst<Q> {
    type IsAggregate = is_aggregate::No;
}

impl<Q, DB> QueryFragment<DB> for AmongFirst<Q>
where
    DB: Backend + diesel::sql_types::HasSqlType<BigInt>,
    i64: diesel::serialize::ToSql<BigInt, DB>,
    Q: QueryFragment<DB>,
{
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        out.push_sql("entries.id IN (WITH places (id, place) AS (");
        self.places.walk_ast(out.reborrow())?;
        out.push_sql(") SELECT id FROM places WHERE place <= ");
        out.push_bind_param::<BigInt, _>(&self.limit)?;
        // This leaves out no row. It tells PostgreSQL how few rows there are, which then finds them
        // and their versions by index. In powers of ten, so that the statement has few forms.
        let all = self.limit.saturating_mul(i64::try_from(self.lists).unwrap_or(i64::MAX));
        let rounded = std::iter::successors(Some(10_i64), |power| power.checked_mul(10)).find(|power| *power >= all);
        out.push_sql(&format!(" LIMIT {})", rounded.unwrap_or(i64::MAX)));
        Ok(())
    }
}

/// Narrows a boxed query of entries to a selection of some lists.
macro_rules! selected {
    ($query:expr, $lists:expr, $selection:expr) => {{
        let lists: EntryLists<'_> = $lists;
        let selection: &EntrySelection = $selection;
        let now = selection.now.unwrap_or(Timestamp::from_millis(i64::MAX)).millis();
        let wants = |status| selection.statuses.contains(&status).into_sql::<Bool>();
        let expiry = || coalesce(entries::expires_at, i64::MAX);
        let live = || entries::deleted_at.is_null().and(entries::disabled.eq(false));
        // `EntryStatus::of`, as a condition.
        let mut query = $query.filter(one_of(entries::project_id, lists.projects.to_vec())).filter(
            wants(EntryStatus::Deleted)
                .and(entries::deleted_at.is_not_null())
                .or(wants(EntryStatus::Disabled).and(entries::deleted_at.is_null()).and(entries::disabled.eq(true)))
                .or(wants(EntryStatus::Expired).and(live()).and(expiry().le(now)))
                .or(wants(EntryStatus::Active).and(live()).and(expiry().gt(now))),
        );
        if let Some(milestones) = lists.milestones {
            query = query.filter(one_of(entries::milestone_id, milestones.to_vec()));
        }
        if let Some(part) = &selection.name_contains {
            let pattern = format!("%{}%", literal(&part.to_lowercase()));
            query = query.filter(lower(entries::name).like(pattern).escape('\\'));
        }
        if let Some(categories) = &selection.categories {
            query = query.filter(one_of(entries::category, categories.clone()));
        }
        if let Some(of_project) = selection.of_project {
            query = query.filter(entries::milestone_id.is_null().eq(of_project));
        }
        if let Some(ids) = &selection.ids {
            query = query.filter(one_of(entries::id, ids.clone()));
        }
        if let Some(before) = selection.expires_before {
            query = query.filter(live().and(expiry().lt(before.millis())));
        }
        if let Some(before) = selection.rotation_due_before {
            query = query.filter(live().and(rotation_due_before(before)));
        }
        if let Some(never) = selection.never_resolved {
            let condition = if never { NEVER_RESOLVED } else { RESOLVED };
            query = query.filter(fixed::<Bool>(condition));
        }
        query
    }};
}

const NEVER_RESOLVED: &str = "NOT EXISTS (SELECT 1 FROM entry_usage counted \
     WHERE counted.entry_id = entries.id AND counted.resolve_count > 0)";
const RESOLVED: &str = "EXISTS (SELECT 1 FROM entry_usage counted \
     WHERE counted.entry_id = entries.id AND counted.resolve_count > 0)";

/// Whether an entry's rotation is due before an instant: the creation of its current version plus
/// its interval.
const fn rotation_due_before(before: Timestamp) -> Compared {
    compared(
        "(entries.rotation_interval_days IS NOT NULL AND EXISTS (SELECT 1 FROM versions current_version \
         WHERE current_version.entry_id = entries.id AND current_version.version = entries.current_version \
         AND current_version.created_at + CAST(entries.rotation_interval_days AS BIGINT) * 86400000 < ",
        before.millis(),
        "))",
    )
}

/// Counts the entries of projects; a project without entries is absent. Entries that expire until
/// `soon` count as expiring.
pub async fn entry_counts(
    conn: &mut Connection,
    projects: &[ProjectId],
    now: Timestamp,
    soon: Timestamp,
) -> QueryResult<Vec<(ProjectId, EntryCounts)>> {
    let expiry = || coalesce(entries::expires_at, i64::MAX);
    let live = || entries::deleted_at.is_null().and(entries::disabled.eq(false));
    let (at, soon) = (now.millis(), soon.millis());
    let number = || count(entries::revision);
    // An entry that is due exactly now counts as due.
    let due = rotation_due_before(Timestamp::from_millis(at.saturating_add(1)));
    entries::table
        .filter(one_of(entries::project_id, projects.to_vec()))
        .group_by(entries::project_id)
        .select((
            entries::project_id,
            (
                number().aggregate_filter(live().and(expiry().gt(at))),
                number().aggregate_filter(live().and(expiry().le(at))),
                number().aggregate_filter(entries::deleted_at.is_null().and(entries::disabled.eq(true))),
                number().aggregate_filter(entries::deleted_at.is_not_null()),
                number().aggregate_filter(live().and(expiry().gt(at)).and(expiry().le(soon))),
                number().aggregate_filter(live().and(due)),
                number().aggregate_filter(entries::deleted_at.is_null().and(fixed::<Bool>(NEVER_RESOLVED))),
            ),
        ))
        .load(conn)
        .await
}

pub async fn count_entries(
    conn: &mut Connection,
    lists: EntryLists<'_>,
    selection: &EntrySelection,
) -> QueryResult<Vec<(ProjectId, Option<MilestoneId>, i64)>> {
    if lists.milestones.is_some() {
        let by_milestone = entries::table
            .group_by((entries::project_id, entries::milestone_id))
            .select((entries::project_id, entries::milestone_id, count_star()))
            .into_boxed::<Db>();
        return selected!(by_milestone, lists, selection).load(conn).await;
    }
    let by_project =
        entries::table.group_by(entries::project_id).select((entries::project_id, count_star())).into_boxed::<Db>();
    let counts: Vec<(ProjectId, i64)> = selected!(by_project, lists, selection).load(conn).await?;
    Ok(counts.into_iter().map(|(project, count)| (project, None, count)).collect())
}

pub async fn entry_pages(
    conn: &mut Connection,
    lists: EntryLists<'_>,
    selection: &EntrySelection,
    page: &EntryPage,
) -> QueryResult<Vec<EntryView>> {
    let last = if page.descending { i64::MIN } else { i64::MAX };
    macro_rules! placed {
        ($list:expr, $order:expr) => {
            entries::table
                .select((entries::id, row_number().partition_by($list).window_order($order)))
                .into_boxed::<Db>()
        };
    }
    macro_rules! sorted {
        ($key:expr, $kind:ident) => {{
            let descending = || ($key.desc(), entries::id.asc());
            let ascending = || ($key.asc(), entries::id.asc());
            // A milestone is of one project, so its id alone tells its list.
            let placed = match (lists.milestones.is_some(), page.descending) {
                (false, false) => placed!(entries::project_id, ascending()),
                (false, true) => placed!(entries::project_id, descending()),
                (true, false) => placed!(entries::milestone_id, ascending()),
                (true, true) => placed!(entries::milestone_id, descending()),
            };
            let placed = selected!(placed, lists, selection);
            let placed = match page.after.clone() {
                Some((SortKey::$kind(after), id)) => {
                    let tie = $key.eq(after.clone()).and(entries::id.gt(id));
                    if page.descending {
                        placed.filter($key.lt(after).or(tie))
                    } else {
                        placed.filter($key.gt(after).or(tie))
                    }
                }
                _ => placed,
            };
            let among = AmongFirst { places: placed, limit: page.limit, lists: lists.count() };
            let query = views!().into_boxed::<Db>().filter(among);
            if page.descending { query.order(descending()) } else { query.order(ascending()) }
        }};
    }
    let query = match page.sort {
        EntrySort::Name => sorted!(entries::name, Name),
        EntrySort::CreatedAt => sorted!(coalesce(entries::created_at.nullable(), last), Instant),
        EntrySort::UpdatedAt => sorted!(coalesce(entries::updated_at.nullable(), last), Instant),
        EntrySort::ExpiresAt => sorted!(coalesce(entries::expires_at, last), Instant),
    };
    load!(query, conn)
}

/// Escapes a text so that LIKE matches it literally.
fn literal(text: &str) -> String {
    text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_")
}

pub async fn entry_names(
    conn: &mut Connection,
    projects: &[ProjectId],
) -> QueryResult<Vec<(ProjectId, EntryId, String)>> {
    entries::table
        .filter(one_of(entries::project_id, projects.to_vec()))
        .filter(entries::deleted_at.is_null())
        .select((entries::project_id, entries::id, entries::name))
        .load(conn)
        .await
}
