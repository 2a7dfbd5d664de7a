//! Wrapped keys: data keys, and the installation's own.

use super::super::backend::Connection;
use super::super::schema::{ciphertexts, data_keys, entries, installation_keys};
use crate::domain::{DataKeyId, EntryId, KeyPurpose, ProjectId, Timestamp};
use crate::store::records::{DataKeyRow, DataKeyState, DataKeyTotals, InstallationKeyRow};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

pub async fn insert_data_key(
    conn: &mut Connection,
    project: &ProjectId,
    key: &DataKeyRow,
    now: Timestamp,
) -> QueryResult<()> {
    diesel::insert_into(data_keys::table)
        .values((
            data_keys::id.eq(key.id),
            data_keys::project_id.eq(project),
            data_keys::master_key.eq(&key.master_key),
            data_keys::wrapped.eq(&key.wrapped),
            data_keys::encrypting.eq(true),
            data_keys::created_at.eq(now),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

pub async fn encrypting_key(conn: &mut Connection, project: &ProjectId) -> QueryResult<DataKeyRow> {
    data_keys::table
        .filter(data_keys::project_id.eq(project))
        .filter(data_keys::encrypting)
        .select((data_keys::id, data_keys::master_key, data_keys::wrapped))
        .first(conn)
        .await
}

pub async fn data_key(conn: &mut Connection, id: DataKeyId) -> QueryResult<DataKeyRow> {
    data_keys::table.find(id).select((data_keys::id, data_keys::master_key, data_keys::wrapped)).first(conn).await
}

pub async fn data_keys_of(conn: &mut Connection, project: &ProjectId) -> QueryResult<Vec<DataKeyRow>> {
    data_keys::table
        .filter(data_keys::project_id.eq(project))
        .order(data_keys::id)
        .select((data_keys::id, data_keys::master_key, data_keys::wrapped))
        .load(conn)
        .await
}

pub async fn master_keys_in_use(conn: &mut Connection) -> QueryResult<Vec<String>> {
    data_keys::table.select(data_keys::master_key).distinct().order(data_keys::master_key).load(conn).await
}

pub async fn data_key_under(conn: &mut Connection, master_key: &str) -> QueryResult<Option<(ProjectId, DataKeyRow)>> {
    data_keys::table
        .filter(data_keys::master_key.eq(master_key))
        .select((data_keys::project_id, (data_keys::id, data_keys::master_key, data_keys::wrapped)))
        .first(conn)
        .await
        .optional()
}

/// Counts values that are about to be sealed with a data key. Gives their number since it was made.
pub async fn count_sealed(conn: &mut Connection, id: DataKeyId, count: i64) -> QueryResult<i64> {
    diesel::update(data_keys::table.find(id))
        .set(data_keys::sealed.eq(data_keys::sealed + count))
        .returning(data_keys::sealed)
        .get_result(conn)
        .await
}

/// The project's data keys. The caller holds the project's lock.
pub async fn data_key_states(conn: &mut Connection, project: &ProjectId) -> QueryResult<Vec<DataKeyState>> {
    data_keys::table
        .filter(data_keys::project_id.eq(project))
        .select((data_keys::id, data_keys::encrypting, data_keys::outgoing))
        .load(conn)
        .await
}

/// No data key of the project encrypts any more; the next one that is added does.
pub async fn stop_encrypting(conn: &mut Connection, project: &ProjectId) -> QueryResult<()> {
    diesel::update(data_keys::table.filter(data_keys::project_id.eq(project)).filter(data_keys::encrypting))
        .set(data_keys::encrypting.eq(false))
        .execute(conn)
        .await?;
    Ok(())
}

/// Sets whether the data keys there are now, of a project or of all, are to be replaced.
pub async fn set_outgoing(conn: &mut Connection, project: Option<&ProjectId>, outgoing: bool) -> QueryResult<()> {
    match project {
        Some(project) => {
            let of_project = data_keys::table.filter(data_keys::project_id.eq(project));
            diesel::update(of_project).set(data_keys::outgoing.eq(outgoing)).execute(conn).await?
        }
        None => diesel::update(data_keys::table).set(data_keys::outgoing.eq(outgoing)).execute(conn).await?,
    };
    Ok(())
}

/// Projects with a data key to be replaced, by id, after one.
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

/// How many projects have a data key to be replaced.
pub async fn count_projects_outgoing(conn: &mut Connection) -> QueryResult<i64> {
    data_keys::table
        .filter(data_keys::outgoing)
        .select(diesel::dsl::count(data_keys::project_id).aggregate_distinct())
        .first(conn)
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

/// Erases the project's data keys that encrypt nothing any more and that nothing names; how many. The caller holds the project's
/// lock.
pub async fn erase_unused_data_keys(conn: &mut Connection, project: &ProjectId) -> QueryResult<usize> {
    let of_project = data_keys::table.filter(data_keys::project_id.eq(project)).filter(data_keys::encrypting.eq(false));
    let ids: Vec<DataKeyId> = of_project.select(data_keys::id).load(conn).await?;
    let mut erased = 0;
    for id in ids {
        let by_entry = diesel::dsl::exists(entries::table.filter(entries::data_key_id.eq(id)));
        let by_ciphertext = diesel::dsl::exists(ciphertexts::table.filter(ciphertexts::data_key_id.eq(id)));
        if !diesel::select(by_entry).get_result::<bool>(conn).await?
            && !diesel::select(by_ciphertext).get_result::<bool>(conn).await?
        {
            erased += diesel::delete(data_keys::table.find(id)).execute(conn).await?;
        }
    }
    Ok(erased)
}

/// Data keys that other master keys wrap than this one, by id, after one.
pub async fn data_keys_not_under(
    conn: &mut Connection,
    master_key: &str,
    after: DataKeyId,
    limit: i64,
) -> QueryResult<Vec<(ProjectId, DataKeyRow)>> {
    data_keys::table
        .filter(data_keys::master_key.ne(master_key))
        .filter(data_keys::id.gt(after))
        .order(data_keys::id)
        .limit(limit)
        .select((data_keys::project_id, (data_keys::id, data_keys::master_key, data_keys::wrapped)))
        .load(conn)
        .await
}

/// How many data keys other master keys wrap than this one.
pub async fn count_data_keys_not_under(conn: &mut Connection, master_key: &str) -> QueryResult<i64> {
    data_keys::table.filter(data_keys::master_key.ne(master_key)).count().get_result(conn).await
}

/// Puts a data key's new wrapping in the place of the old one; whether that was still there.
pub async fn rewrap_data_key(conn: &mut Connection, old: &[u8], new: &DataKeyRow) -> QueryResult<bool> {
    let rows = diesel::update(data_keys::table.find(new.id).filter(data_keys::wrapped.eq(old)))
        .set((data_keys::master_key.eq(&new.master_key), data_keys::wrapped.eq(&new.wrapped)))
        .execute(conn)
        .await?;
    Ok(rows == 1)
}

/// The installation's keys.
pub async fn installation_keys(conn: &mut Connection) -> QueryResult<Vec<(KeyPurpose, InstallationKeyRow)>> {
    installation_keys::table
        .select((installation_keys::purpose, (installation_keys::master_key, installation_keys::wrapped)))
        .order(installation_keys::purpose)
        .load(conn)
        .await
}

/// As [`rewrap_data_key`], for a key of the installation.
pub async fn rewrap_installation_key(
    conn: &mut Connection,
    purpose: KeyPurpose,
    old: &[u8],
    new: &InstallationKeyRow,
) -> QueryResult<bool> {
    let rows = diesel::update(installation_keys::table.find(purpose).filter(installation_keys::wrapped.eq(old)))
        .set((installation_keys::master_key.eq(&new.master_key), installation_keys::wrapped.eq(&new.wrapped)))
        .execute(conn)
        .await?;
    Ok(rows == 1)
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

/// All data keys together; `bound` is how many values one may seal.
pub async fn data_key_totals(conn: &mut Connection, bound: i64) -> QueryResult<DataKeyTotals> {
    let (count, most_sealed): (i64, Option<i64>) =
        data_keys::table.select((diesel::dsl::count_star(), diesel::dsl::max(data_keys::sealed))).first(conn).await?;
    let outgoing = data_keys::table.filter(data_keys::outgoing).count().get_result(conn).await?;
    let not_encrypting = data_keys::table.filter(data_keys::encrypting.eq(false));
    let older = not_encrypting.filter(data_keys::outgoing.eq(false)).count().get_result(conn).await?;
    let past_bound = data_keys::table.filter(data_keys::sealed.ge(bound)).count().get_result(conn).await?;
    Ok(DataKeyTotals { count, outgoing, older, most_sealed: most_sealed.unwrap_or_default(), past_bound })
}
