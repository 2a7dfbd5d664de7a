//! Writes and erases entries.

use super::super::backend::{Connection, one_of};
use super::super::schema::{
    ciphertexts, data_keys, entries, entry_usage, milestones, projects, replaced_data_keys, versions,
};
use crate::domain::{EntryId, MilestoneId, ProjectId, Timestamp};
use crate::store::records::{CiphertextRow, DeletedEntryRow, EntryRow, ErasedRows, VersionRow};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

pub async fn insert_entry_row(conn: &mut Connection, row: &EntryRow) -> QueryResult<()> {
    diesel::insert_into(entries::table)
        .values((
            entries::id.eq(row.id),
            entries::project_id.eq(&row.project),
            entries::milestone_id.eq(row.milestone.as_ref()),
            entries::name.eq(&row.name),
            entries::description.eq(row.description.as_deref()),
            entries::category.eq(row.category),
            entries::expires_at.eq(row.expires_at),
            entries::disabled.eq(row.disabled),
            entries::deleted_at.eq(row.deleted_at),
            entries::current_version.eq(row.current_version),
            entries::revision.eq(row.revision),
            entries::rotation_interval_days.eq(row.rotation_interval_days),
            (
                entries::created_at.eq(row.created_at),
                entries::created_by.eq(&row.created_by),
                entries::updated_at.eq(row.updated_at),
                entries::updated_by.eq(&row.updated_by),
                entries::data_key_id.eq(row.data_key),
                entries::mac.eq(&row.mac),
            ),
        ))
        .execute(conn)
        .await?;
    diesel::insert_into(entry_usage::table)
        .values((entry_usage::entry_id.eq(row.id), entry_usage::resolve_count.eq(0)))
        .execute(conn)
        .await?;
    Ok(())
}

/// Writes the columns of an entry that can change. The caller holds the project's lock and has read
/// the row under it.
pub async fn save_entry_row(conn: &mut Connection, row: &EntryRow) -> QueryResult<()> {
    diesel::update(entries::table.find(row.id))
        .set((
            entries::name.eq(&row.name),
            entries::description.eq(row.description.as_deref()),
            entries::category.eq(row.category),
            entries::expires_at.eq(row.expires_at),
            entries::disabled.eq(row.disabled),
            entries::deleted_at.eq(row.deleted_at),
            entries::current_version.eq(row.current_version),
            entries::revision.eq(row.revision),
            entries::rotation_interval_days.eq(row.rotation_interval_days),
            entries::updated_at.eq(row.updated_at),
            entries::updated_by.eq(&row.updated_by),
            entries::mac.eq(&row.mac),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

pub async fn insert_ciphertext_row(conn: &mut Connection, row: &CiphertextRow) -> QueryResult<()> {
    diesel::insert_into(ciphertexts::table)
        .values((
            ciphertexts::entry_id.eq(row.entry),
            ciphertexts::version.eq(row.version),
            ciphertexts::data_key_id.eq(row.data_key),
            ciphertexts::value.eq(&row.value),
            ciphertexts::hint.eq(&row.hint),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

pub async fn insert_version_row(conn: &mut Connection, row: &VersionRow) -> QueryResult<()> {
    diesel::insert_into(versions::table)
        .values((
            versions::entry_id.eq(row.entry),
            versions::version.eq(row.version),
            versions::ciphertext_version.eq(row.ciphertext_version),
            versions::restored_from.eq(row.restored_from),
            versions::not_after.eq(row.not_after),
            versions::created_at.eq(row.created_at),
            versions::created_by.eq(&row.created_by),
            versions::mac.eq(&row.mac),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

pub async fn version_row(conn: &mut Connection, entry: EntryId, version: i32) -> QueryResult<Option<VersionRow>> {
    versions::table.find((entry, version)).get_result(conn).await.optional()
}

/// All versions of an entry, by number.
pub async fn version_rows(conn: &mut Connection, entry: EntryId) -> QueryResult<Vec<VersionRow>> {
    versions::table.filter(versions::entry_id.eq(entry)).order(versions::version).load(conn).await
}

/// All ciphertexts of an entry, by the version they were written for.
pub async fn ciphertext_rows(conn: &mut Connection, entry: EntryId) -> QueryResult<Vec<CiphertextRow>> {
    ciphertexts::table.filter(ciphertexts::entry_id.eq(entry)).order(ciphertexts::version).load(conn).await
}

/// Writes the rows of an entry, its versions and its ciphertexts after a change of data key.
pub async fn rekey_rows(
    conn: &mut Connection,
    row: &EntryRow,
    of_entry: &[VersionRow],
    sealed: &[CiphertextRow],
) -> QueryResult<()> {
    for ciphertext in sealed {
        diesel::update(ciphertexts::table.find((ciphertext.entry, ciphertext.version)))
            .set((
                ciphertexts::data_key_id.eq(ciphertext.data_key),
                ciphertexts::value.eq(&ciphertext.value),
                ciphertexts::hint.eq(&ciphertext.hint),
            ))
            .execute(conn)
            .await?;
    }
    for version in of_entry {
        diesel::update(versions::table.find((version.entry, version.version)))
            .set(versions::mac.eq(&version.mac))
            .execute(conn)
            .await?;
    }
    diesel::update(entries::table.find(row.id))
        .set((entries::data_key_id.eq(row.data_key), entries::revision.eq(row.revision), entries::mac.eq(&row.mac)))
        .execute(conn)
        .await?;
    Ok(())
}

/// Erases the versions of an entry before `oldest`, and the ciphertexts that no version refers to
/// any more.
pub async fn prune_versions_rows(conn: &mut Connection, entry: EntryId, oldest: i32) -> QueryResult<()> {
    diesel::delete(versions::table.filter(versions::entry_id.eq(entry)).filter(versions::version.lt(oldest)))
        .execute(conn)
        .await?;
    let referred: Vec<i32> =
        versions::table.filter(versions::entry_id.eq(entry)).select(versions::ciphertext_version).load(conn).await?;
    diesel::delete(
        ciphertexts::table.filter(ciphertexts::entry_id.eq(entry)).filter(ciphertexts::version.ne_all(referred)),
    )
    .execute(conn)
    .await?;
    Ok(())
}

pub async fn entry_ids_of_project(conn: &mut Connection, project: &ProjectId) -> QueryResult<Vec<EntryId>> {
    entries::table.filter(entries::project_id.eq(project)).select(entries::id).load(conn).await
}

pub async fn entry_ids_of_milestone(conn: &mut Connection, milestone: &MilestoneId) -> QueryResult<Vec<EntryId>> {
    entries::table.filter(entries::milestone_id.eq(milestone)).select(entries::id).load(conn).await
}

/// Entries that were deleted before `before`, oldest deletion first, after `after` in that order;
/// at most `limit`.
pub async fn entries_deleted_before(
    conn: &mut Connection,
    before: Timestamp,
    after: (Timestamp, EntryId),
    limit: i64,
) -> QueryResult<Vec<DeletedEntryRow>> {
    let (at, id) = after;
    entries::table
        .filter(entries::deleted_at.lt(before))
        .filter(entries::deleted_at.ge(at))
        .filter(entries::deleted_at.gt(at).or(entries::deleted_at.eq(at).and(entries::id.gt(id))))
        .order((entries::deleted_at, entries::id))
        .limit(limit)
        .select((entries::id, entries::project_id, entries::deleted_at.assume_not_null()))
        .load(conn)
        .await
}

/// Erases entries with their versions, ciphertexts and usage. Usage goes first, since a recorder
/// locks it before it touches versions.
pub async fn erase_entries(conn: &mut Connection, ids: &[EntryId]) -> QueryResult<ErasedRows> {
    let mut erased = ErasedRows::default();
    for chunk in ids.chunks(1_000) {
        let chunk = || chunk.to_vec();
        diesel::delete(entry_usage::table.filter(one_of(entry_usage::entry_id, chunk()))).execute(conn).await?;
        erased.versions +=
            rows(diesel::delete(versions::table.filter(one_of(versions::entry_id, chunk()))).execute(conn).await?);
        diesel::delete(ciphertexts::table.filter(one_of(ciphertexts::entry_id, chunk()))).execute(conn).await?;
        erased.entries +=
            rows(diesel::delete(entries::table.filter(one_of(entries::id, chunk()))).execute(conn).await?);
    }
    Ok(erased)
}

/// Erases the rest of a project whose entries are erased: data keys and the list of replaced ones,
/// milestones, and the project's row.
pub async fn erase_project(conn: &mut Connection, project: &ProjectId) -> QueryResult<()> {
    diesel::delete(data_keys::table.filter(data_keys::project_id.eq(project))).execute(conn).await?;
    diesel::delete(replaced_data_keys::table.filter(replaced_data_keys::project_id.eq(project))).execute(conn).await?;
    diesel::delete(milestones::table.filter(milestones::project_id.eq(project))).execute(conn).await?;
    diesel::delete(projects::table.find(project)).execute(conn).await?;
    Ok(())
}

fn rows(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
