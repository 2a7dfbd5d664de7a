//! Reads entries, versions and what an agent may receive.

use super::super::backend::{Connection, generation, load, one_of};
use super::super::schema::{
    audit_events, ciphertexts, data_keys, entries, entry_usage, milestones, projects, replaced_data_keys, versions,
};
use super::events::{EVENT, LINK};
use super::keys::data_key_columns;
use crate::domain::{DataKeyId, EntryId, MilestoneId, ProjectId, Timestamp};
use crate::store::records::{
    CandidateRow, Candidates, ChainedEvent, DataKeyRow, EntryRow, EntryView, MilestoneRow, ProjectRow, ProjectState,
    UsageRow, Values, VersionRow, VersionView,
};
use crate::store::statement::{Fixed, fixed};
use diesel::define_sql_function;
use diesel::dsl::case_when;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary, Bool, Nullable, Text};
use diesel_async::RunQueryDsl;
use std::sync::Arc;

define_sql_function! {
    #[sql_name = "coalesce"]
    fn coalesce_text(value: Nullable<Text>, instead: Text) -> Text;
}
define_sql_function! { fn length(bytes: Binary) -> Integer; }
define_sql_function! { fn coalesce(value: Nullable<BigInt>, instead: BigInt) -> BigInt; }

/// Entries with their current version, its ciphertext row, their data key and their usage.
macro_rules! views {
    () => {
        entries::table
            .inner_join(
                versions::table
                    .on(versions::entry_id.eq(entries::id).and(versions::version.eq(entries::current_version))),
            )
            .inner_join(ciphertexts::table.on(
                ciphertexts::entry_id.eq(versions::entry_id).and(ciphertexts::version.eq(versions::ciphertext_version)),
            ))
            .inner_join(data_keys::table.on(data_keys::id.eq(entries::data_key_id)))
            .left_join(entry_usage::table.on(entry_usage::entry_id.eq(entries::id)))
            .select((
                entries::all_columns,
                (versions::ciphertext_version, versions::created_at),
                ciphertexts::hint,
                data_key_columns!(),
                entry_usage::all_columns.nullable(),
            ))
    };
}

pub(super) use views;

pub async fn entries_by_id(conn: &mut Connection, ids: &[EntryId]) -> QueryResult<Vec<EntryView>> {
    load!(views!().filter(one_of(entries::id, ids.to_vec())), conn)
}

/// How often agents received values of these entries; only those that were counted.
pub async fn usage_of(conn: &mut Connection, ids: &[EntryId]) -> QueryResult<Vec<UsageRow>> {
    load!(entry_usage::table.filter(one_of(entry_usage::entry_id, ids.to_vec())), conn)
}

pub async fn entry_named(
    conn: &mut Connection,
    project: &ProjectId,
    milestone: Option<&MilestoneId>,
    name: &str,
) -> QueryResult<Option<EntryView>> {
    views!()
        .filter(entries::project_id.eq(project))
        .filter(coalesce_text(entries::milestone_id, "").eq(scope(milestone)))
        .filter(entries::name.eq(name))
        .filter(entries::deleted_at.is_null())
        .first(conn)
        .await
        .optional()
}

/// The entries of these names in one scope that are not deleted.
pub async fn entries_named(
    conn: &mut Connection,
    project: &ProjectId,
    milestone: Option<&MilestoneId>,
    names: &[&str],
) -> QueryResult<Vec<EntryRow>> {
    entries::table
        .filter(entries::project_id.eq(project))
        .filter(coalesce_text(entries::milestone_id, "").eq(scope(milestone)))
        .filter(one_of(entries::name, names.to_vec()))
        .filter(entries::deleted_at.is_null())
        .load(conn)
        .await
}

pub async fn entry_row(conn: &mut Connection, id: EntryId) -> QueryResult<Option<EntryRow>> {
    entries::table.find(id).get_result(conn).await.optional()
}

pub async fn count_live(conn: &mut Connection, project: &ProjectId) -> QueryResult<i64> {
    entries::table
        .filter(entries::project_id.eq(project))
        .filter(entries::deleted_at.is_null())
        .count()
        .get_result(conn)
        .await
}

/// The event of an entry's newest change, by the revision that events name.
pub async fn newest_change(conn: &mut Connection, entry: EntryId) -> QueryResult<Option<ChainedEvent>> {
    audit_events::table
        .filter(audit_events::entry_id.eq(entry))
        .filter(audit_events::entry_revision.is_not_null())
        .order(audit_events::entry_revision.desc())
        .select((EVENT, LINK))
        .first(conn)
        .await
        .optional()
}

/// A scope as text, to compare with `coalesce(milestone_id, '')`: no milestone has an empty id.
fn scope(milestone: Option<&MilestoneId>) -> String {
    milestone.map_or_else(String::new, |id| id.as_str().to_owned())
}

pub async fn versions_of(conn: &mut Connection, ids: &[EntryId]) -> QueryResult<Vec<VersionView>> {
    versions::table
        .inner_join(ciphertexts::table.on(
            ciphertexts::entry_id.eq(versions::entry_id).and(ciphertexts::version.eq(versions::ciphertext_version)),
        ))
        .inner_join(entries::table.on(entries::id.eq(versions::entry_id)))
        .inner_join(data_keys::table.on(data_keys::id.eq(entries::data_key_id)))
        .filter(one_of(versions::entry_id, ids.to_vec()))
        .order((versions::entry_id, versions::version.desc()))
        .select((versions::all_columns, ciphertexts::hint, entries::project_id, data_key_columns!()))
        .load(conn)
        .await
}

/// The columns of an entry in one row of [`candidates`]; `None` where a row of the entry is
/// missing.
type Found = (
    Option<EntryRow>,
    Option<VersionRow>,
    Option<(DataKeyId, i32, Option<Vec<u8>>)>,
    Option<DataKeyRow>,
    Option<ChainedEvent>,
    Option<i32>,
);

/// What a project's MAC covers beside the columns of [`ProjectRow`], in one row of [`candidates`].
/// Long columns are in the first row only.
type StateColumns = (Timestamp, Option<Vec<u8>>, Option<String>, Option<Vec<u8>>);

const fn once_approved_names() -> Fixed<Nullable<Text>> {
    fixed("CASE WHEN row_number() OVER () = 1 THEN projects.approved_names END")
}

const fn once_listing() -> Fixed<Nullable<Binary>> {
    fixed("CASE WHEN row_number() OVER () = 1 THEN projects.listing END")
}

/// One statement for a resolve: the project and the milestone, with each of their entries that is
/// not deleted and bears one of `names`, or any name without them; with these values. The joins are
/// flat: `SQLite` would materialize an inner join below an outer one.
pub async fn candidates(
    conn: &mut Connection,
    project: &ProjectId,
    milestone: Option<&MilestoneId>,
    names: Option<&[String]>,
    values: Values,
) -> QueryResult<Candidates> {
    let milestone = scope(milestone);
    let after = match values {
        Values::ExpiringAfter(instant) => instant.millis(),
        Values::None => i64::MAX,
    };
    let wanted = entries::disabled.eq(false).and(coalesce(entries::expires_at, i64::MAX).gt(after));
    let newer = diesel::alias!(audit_events as newer);
    let any = names.is_none();
    let names = names.unwrap_or_default();
    let query = projects::table
        .left_join(
            milestones::table.on(milestones::project_id.eq(projects::id).and(milestones::id.eq(milestone.clone()))),
        )
        .left_join(
            entries::table.on(entries::project_id
                .eq(projects::id)
                .and(entries::deleted_at.is_null())
                .and(coalesce_text(entries::milestone_id, milestone.clone()).eq(milestone))
                .and(one_of(entries::name, names.to_vec()).or(any.into_sql::<Bool>()))),
        )
        .left_join(
            versions::table.on(versions::entry_id.eq(entries::id).and(versions::version.eq(entries::current_version))),
        )
        .left_join(ciphertexts::table.on(
            ciphertexts::entry_id.eq(versions::entry_id).and(ciphertexts::version.eq(versions::ciphertext_version)),
        ))
        .left_join(data_keys::table.on(data_keys::id.eq(entries::data_key_id)))
        .left_join(
            audit_events::table.on(audit_events::entry_id
                .eq(entries::id.nullable())
                .and(audit_events::entry_revision.eq(entries::revision.nullable()))),
        )
        .filter(projects::id.eq(project.clone()))
        .select((
            (projects::id, projects::status, projects::environment_names, projects::revision, generation()),
            (projects::registered_at, projects::mac, once_approved_names(), once_listing()),
            milestones::all_columns.nullable(),
            (
                entries::all_columns.nullable(),
                versions::all_columns.nullable(),
                (ciphertexts::data_key_id, length(ciphertexts::value), case_when(wanted, ciphertexts::value))
                    .nullable(),
                data_key_columns!().nullable(),
                (EVENT, LINK).nullable(),
                newer
                    .filter(newer.field(audit_events::entry_id).eq(entries::id.nullable()))
                    .filter(newer.field(audit_events::entry_revision).is_not_null())
                    .select(diesel::dsl::max(newer.field(audit_events::entry_revision)))
                    .single_value(),
            ),
        ));
    let rows: Vec<(ProjectRow, StateColumns, Option<MilestoneRow>, Found)> = load!(query, conn)?;
    let mut found = Candidates {
        project: None,
        state: None,
        milestone: None,
        entries: Vec::with_capacity(rows.len()),
        incomplete: Vec::new(),
    };
    // `ApprovedNames` is stored so that ` NAME ` finds a whole name in it.
    let approved = rows.iter().find_map(|(_, (.., approved, _), ..)| approved.clone()).unwrap_or_default();
    for (project, (registered_at, mac, approved_names, listing), milestone, entry) in rows {
        if let Some(approved_names) = approved_names {
            let ProjectRow { id, status, environment_names, revision, .. } = project.clone();
            let state =
                ProjectState { id, status, registered_at, environment_names, approved_names, revision, mac, listing };
            found.state = Some(Box::new(state));
        }
        found.project = Some(project);
        found.milestone = milestone;
        match entry {
            (
                Some(entry),
                Some(version),
                Some((ciphertext_data_key, size, value)),
                Some(data_key),
                Some(change),
                Some(newest_revision),
            ) => found.entries.push(Arc::new(CandidateRow {
                approved: approved.contains(&format!(" {} ", entry.name)),
                entry,
                version,
                ciphertext_data_key,
                size,
                value,
                data_key,
                change,
                newest_revision,
            })),
            (Some(entry), ..) => found.incomplete.push(entry),
            (None, ..) => {}
        }
    }
    Ok(found)
}
