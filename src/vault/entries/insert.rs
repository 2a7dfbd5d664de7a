//! Writes a new entry, or a new version of an entry.

use super::rows::{ciphertext_context, sign_entry, sign_version};
use super::values::{self, Value};
use crate::crypto::DataKey;
use crate::domain::{Category, EntryId, Error, MilestoneId, ProjectId, Result, SecretName, Timestamp, UserId};
use crate::permission::{Authorized, CanWrite, ChangesEntries};
use crate::store::records::{CiphertextRow, DataKeyRow, EntryRow, MilestoneRow, VersionRow};
use crate::store::{Conn, Tx};
use crate::vault::access::NO_SUCH_MILESTONE;
use crate::vault::keys::OpenProject;

/// The properties of a new entry, its value excepted.
pub(super) struct Draft {
    pub(super) milestone: Option<MilestoneId>,
    pub(super) name: SecretName,
    pub(super) description: Option<String>,
    pub(super) category: Category,
    pub(super) expires_at: Option<Timestamp>,
    pub(super) rotation_interval_days: Option<i32>,
}

/// Finds the milestone that a new entry is scoped to, and lists its state. The caller holds the
/// project's lock.
///
/// # Errors
/// NOT_FOUND when the project has no such milestone; INTERNAL when its row fails authentication.
pub(super) async fn scope(
    tx: &mut Tx,
    open: &OpenProject,
    project: &ProjectId,
    milestone: Option<String>,
) -> Result<Option<MilestoneId>> {
    let Some(row) = milestone_row(tx, project, milestone).await? else { return Ok(None) };
    open.verify_milestone(&row)?;
    Ok(Some(row.id))
}

/// Finds a project's milestone, if one is named. Its row is not verified.
///
/// # Errors
/// NOT_FOUND when the project has no such milestone.
pub(super) async fn milestone_row(
    conn: &mut Conn,
    project: &ProjectId,
    milestone: Option<String>,
) -> Result<Option<MilestoneRow>> {
    let Some(text) = milestone else { return Ok(None) };
    let id = MilestoneId::parse(text).map_err(|_| NO_SUCH_MILESTONE)?;
    let row = conn.milestones_by_id(&[id]).await?.pop().filter(|row| row.project == *project);
    row.map(Some).ok_or(NO_SUCH_MILESTONE)
}

/// Checks that a project has room for `new` more entries.
///
/// # Errors
/// LIMIT_EXCEEDED when it has not.
pub(super) async fn require_room(tx: &mut Tx, project: &ProjectId, new: i64) -> Result<()> {
    if tx.count_live(project).await? + new > values::MAX_ENTRIES {
        return Err(values::no_room());
    }
    Ok(())
}

/// Inserts an entry with its first version.
pub(super) async fn insert_entry(
    tx: &mut Tx,
    by: &Authorized<CanWrite>,
    draft: Draft,
    value: &Value<'_>,
    (data_key, key): (&DataKeyRow, &DataKey),
    author: &UserId,
    now: Timestamp,
) -> Result<EntryRow> {
    let mut row = EntryRow {
        id: EntryId::new(),
        project: by.project().clone(),
        milestone: draft.milestone,
        name: draft.name.as_str().to_owned(),
        description: draft.description,
        category: draft.category,
        expires_at: draft.expires_at,
        disabled: false,
        deleted_at: None,
        current_version: 1,
        revision: 1,
        rotation_interval_days: draft.rotation_interval_days,
        created_at: now,
        created_by: author.clone(),
        updated_at: now,
        updated_by: author.clone(),
        data_key: data_key.id,
        mac: vec![],
    };
    sign_entry(&mut row, key);
    tx.insert_entry(by, &row).await?;
    insert_version(tx, by, &row, value, key, author, now).await?;
    Ok(row)
}

/// Seals a value and inserts it as the entry's current version.
pub(super) async fn insert_version<P: ChangesEntries>(
    tx: &mut Tx,
    by: &Authorized<P>,
    row: &EntryRow,
    value: &Value<'_>,
    key: &DataKey,
    author: &UserId,
    now: Timestamp,
) -> Result<()> {
    let version = row.current_version;
    let place = ciphertext_context(row, version);
    let ciphertext = CiphertextRow {
        entry: row.id,
        version,
        data_key: row.data_key,
        value: key.seal_value(&place, value.secret).map_err(Error::internal)?,
        hint: key.seal_hint(&place, &value.hint).map_err(Error::internal)?,
    };
    let mut version = VersionRow {
        entry: row.id,
        version,
        ciphertext_version: version,
        restored_from: None,
        not_after: value.not_after(),
        created_at: now,
        created_by: author.clone(),
        mac: vec![],
    };
    sign_version(row, &mut version, key);
    Ok(tx.insert_version(by, row, &version, Some(&ciphertext)).await?)
}
