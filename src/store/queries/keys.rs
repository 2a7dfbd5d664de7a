//! Data keys, present and replaced.

use super::super::backend::{Connection, is_id};
use super::super::schema::{ciphertexts, data_keys, entries, replaced_data_keys};
use crate::domain::{DataKeyId, EntryId, ProjectId, Timestamp};
use crate::store::records::{DataKeyRow, DataKeyTotals, ReplacedKeyRow};
use diesel::prelude::*;
use diesel::sql_types::Bool;
use diesel_async::RunQueryDsl;

/// The columns of a [`DataKeyRow`].
macro_rules! data_key_columns {
    () => {
        (
            data_keys::id,
            data_keys::project_id,
            data_keys::master_key,
            data_keys::wrapped,
            data_keys::encrypting,
            data_keys::outgoing,
            data_keys::mac,
            diesel::dsl::exists(replaced_data_keys::table.filter(replaced_data_keys::id.eq(data_keys::id))),
        )
    };
}
pub(super) use data_key_columns;

pub async fn insert_data_key(conn: &mut Connection, key: &DataKeyRow, now: Timestamp) -> QueryResult<()> {
    diesel::insert_into(data_keys::table)
        .values((
            data_keys::id.eq(key.id),
            data_keys::project_id.eq(&key.project),
            data_keys::master_key.eq(&key.master_key),
            data_keys::wrapped.eq(&key.wrapped),
            data_keys::encrypting.eq(key.encrypting),
            data_keys::outgoing.eq(key.outgoing),
            data_keys::mac.eq(key.mac.as_deref()),
            data_keys::created_at.eq(now),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

/// Replaces a data key's row; false if the old row was no longer there.
pub async fn update_data_key(conn: &mut Connection, old: &DataKeyRow, new: &DataKeyRow) -> QueryResult<bool> {
    let had_no_mac = old.mac.is_none().into_sql::<Bool>();
    let same = data_keys::table
        .find(old.id)
        .filter(data_keys::wrapped.eq(&old.wrapped))
        .filter(data_keys::mac.eq(old.mac.as_deref()).or(data_keys::mac.is_null().and(had_no_mac)));
    let rows = diesel::update(same)
        .set((
            data_keys::master_key.eq(&new.master_key),
            data_keys::wrapped.eq(&new.wrapped),
            data_keys::encrypting.eq(new.encrypting),
            data_keys::outgoing.eq(new.outgoing),
            data_keys::mac.eq(new.mac.as_deref()),
        ))
        .execute(conn)
        .await?;
    Ok(rows == 1)
}

pub async fn encrypting_key(conn: &mut Connection, project: &ProjectId) -> QueryResult<DataKeyRow> {
    data_keys::table
        .filter(data_keys::project_id.eq(project))
        .filter(data_keys::encrypting)
        .select(data_key_columns!())
        .first(conn)
        .await
}

pub async fn data_key(conn: &mut Connection, id: DataKeyId) -> QueryResult<Option<DataKeyRow>> {
    data_keys::table.find(id).select(data_key_columns!()).get_result(conn).await.optional()
}

pub async fn data_keys_of(conn: &mut Connection, project: &ProjectId) -> QueryResult<Vec<DataKeyRow>> {
    data_keys::table
        .filter(data_keys::project_id.eq(project))
        .order(data_keys::id)
        .select(data_key_columns!())
        .load(conn)
        .await
}

/// Data keys with ids after `after`, by id.
pub async fn data_keys_after(conn: &mut Connection, after: DataKeyId, limit: i64) -> QueryResult<Vec<DataKeyRow>> {
    data_keys::table
        .filter(data_keys::id.gt(after))
        .order(data_keys::id)
        .limit(limit)
        .select(data_key_columns!())
        .load(conn)
        .await
}

pub async fn data_key_ids_after(conn: &mut Connection, after: DataKeyId, limit: i64) -> QueryResult<Vec<DataKeyId>> {
    data_keys::table
        .filter(data_keys::id.gt(after))
        .filter(is_id("length(data_keys.id) = 16"))
        .order(data_keys::id)
        .limit(limit)
        .select(data_keys::id)
        .load(conn)
        .await
}

pub async fn replaced_key_ids_after(
    conn: &mut Connection,
    after: DataKeyId,
    limit: i64,
) -> QueryResult<Vec<DataKeyId>> {
    replaced_data_keys::table
        .filter(replaced_data_keys::id.gt(after))
        .filter(is_id("length(replaced_data_keys.id) = 16"))
        .order(replaced_data_keys::id)
        .limit(limit)
        .select(replaced_data_keys::id)
        .load(conn)
        .await
}

pub async fn replaced_key(conn: &mut Connection, id: DataKeyId) -> QueryResult<Option<ReplacedKeyRow>> {
    replaced_data_keys::table.find(id).first(conn).await.optional()
}

pub async fn master_keys_in_use(conn: &mut Connection) -> QueryResult<Vec<String>> {
    data_keys::table.select(data_keys::master_key).distinct().order(data_keys::master_key).load(conn).await
}

pub async fn data_key_under(conn: &mut Connection, master_key: &str) -> QueryResult<Option<DataKeyRow>> {
    data_keys::table
        .filter(data_keys::master_key.eq(master_key))
        .select(data_key_columns!())
        .first(conn)
        .await
        .optional()
}

/// Counts values that are about to be sealed with a data key. Returns their number since the key
/// was made.
pub async fn count_sealed(conn: &mut Connection, id: DataKeyId, count: i64) -> QueryResult<i64> {
    diesel::update(data_keys::table.find(id))
        .set(data_keys::sealed.eq(data_keys::sealed + count))
        .returning(data_keys::sealed)
        .get_result(conn)
        .await
}

/// Projects with a data key to be replaced and ids after `after`, by id.
pub async fn projects_outgoing(conn: &mut Connection, after: &str, limit: i64) -> QueryResult<Vec<ProjectId>> {
    data_keys::table
        .filter(data_keys::outgoing)
        .filter(data_keys::project_id.gt(after))
        .select(data_keys::project_id)
        .distinct()
        .order(data_keys::project_id)
        .limit(limit)
        .load(conn)
        .await
}

/// Number of projects with a data key that is being replaced.
pub async fn count_projects_outgoing(conn: &mut Connection) -> QueryResult<i64> {
    data_keys::table
        .filter(data_keys::outgoing)
        .select(diesel::dsl::count(data_keys::project_id).aggregate_distinct())
        .get_result(conn)
        .await
}

/// Entries of a project under data keys that are to be replaced.
pub async fn entries_outgoing(conn: &mut Connection, project: &ProjectId) -> QueryResult<Vec<EntryId>> {
    entries::table
        .inner_join(data_keys::table.on(data_keys::id.eq(entries::data_key_id)))
        .filter(entries::project_id.eq(project))
        .filter(data_keys::outgoing)
        .order(entries::id)
        .select(entries::id)
        .load(conn)
        .await
}

/// Erases the project's data keys that no longer encrypt and that nothing refers to; returns their
/// ids. The caller holds the project's lock.
pub async fn erase_unused_data_keys(conn: &mut Connection, project: &ProjectId) -> QueryResult<Vec<DataKeyId>> {
    let of_project = data_keys::table.filter(data_keys::project_id.eq(project)).filter(data_keys::encrypting.eq(false));
    let ids: Vec<DataKeyId> = of_project.select(data_keys::id).load(conn).await?;
    let mut erased = Vec::new();
    for id in ids {
        let by_entry = diesel::dsl::exists(entries::table.filter(entries::data_key_id.eq(id)));
        let by_ciphertext = diesel::dsl::exists(ciphertexts::table.filter(ciphertexts::data_key_id.eq(id)));
        if !diesel::select(by_entry).get_result::<bool>(conn).await?
            && !diesel::select(by_ciphertext).get_result::<bool>(conn).await?
        {
            diesel::delete(data_keys::table.find(id)).execute(conn).await?;
            erased.push(id);
        }
    }
    Ok(erased)
}

/// Records a data key as replaced; does nothing if it is recorded already.
pub async fn insert_replaced_key(conn: &mut Connection, row: &ReplacedKeyRow) -> QueryResult<()> {
    diesel::insert_into(replaced_data_keys::table)
        .values((
            replaced_data_keys::id.eq(row.id),
            replaced_data_keys::project_id.eq(&row.project),
            replaced_data_keys::replaced_at.eq(row.replaced_at),
            replaced_data_keys::mac.eq(&row.mac),
        ))
        .on_conflict_do_nothing()
        .execute(conn)
        .await?;
    Ok(())
}

/// Replaced data keys with ids after `after`, by id.
pub async fn replaced_keys_after(
    conn: &mut Connection,
    after: DataKeyId,
    limit: i64,
) -> QueryResult<Vec<ReplacedKeyRow>> {
    replaced_data_keys::table
        .filter(replaced_data_keys::id.gt(after))
        .order(replaced_data_keys::id)
        .limit(limit)
        .load(conn)
        .await
}

/// Data keys that other master keys wrap, with ids after `after`, by id.
pub async fn data_keys_not_under(
    conn: &mut Connection,
    master_key: &str,
    after: DataKeyId,
    limit: i64,
) -> QueryResult<Vec<DataKeyRow>> {
    data_keys::table
        .filter(data_keys::master_key.ne(master_key))
        .filter(data_keys::id.gt(after))
        .order(data_keys::id)
        .limit(limit)
        .select(data_key_columns!())
        .load(conn)
        .await
}

/// The number of data keys that other master keys wrap.
pub async fn count_data_keys_not_under(conn: &mut Connection, master_key: &str) -> QueryResult<i64> {
    data_keys::table.filter(data_keys::master_key.ne(master_key)).count().get_result(conn).await
}

/// How many data keys each master key wraps, by the master key's id.
pub async fn data_keys_by_master(conn: &mut Connection) -> QueryResult<Vec<(String, i64)>> {
    data_keys::table
        .group_by(data_keys::master_key)
        .order(data_keys::master_key)
        .select((data_keys::master_key, diesel::dsl::count_star()))
        .load(conn)
        .await
}

/// Totals of all data keys; `bound` is the maximum number of values one may seal.
pub async fn data_key_totals(conn: &mut Connection, bound: i64) -> QueryResult<DataKeyTotals> {
    let (count, most_sealed): (i64, Option<i64>) =
        data_keys::table.select((diesel::dsl::count_star(), diesel::dsl::max(data_keys::sealed))).first(conn).await?;
    let outgoing = data_keys::table.filter(data_keys::outgoing).count().get_result(conn).await?;
    let not_encrypting = data_keys::table.filter(data_keys::encrypting.eq(false));
    let older = not_encrypting.filter(data_keys::outgoing.eq(false)).count().get_result(conn).await?;
    let past_bound = data_keys::table.filter(data_keys::sealed.ge(bound)).count().get_result(conn).await?;
    Ok(DataKeyTotals { count, outgoing, older, most_sealed: most_sealed.unwrap_or_default(), past_bound })
}
