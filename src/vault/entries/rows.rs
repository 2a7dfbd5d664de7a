//! The MACs of the rows of entries and versions: what they cover, and how they are made and
//! verified.

use crate::crypto::{AuditKey, CiphertextContext, CryptoError, DataKey, EntryFacts, VersionFacts};
use crate::domain::{AuditAction, AuditOutcome, MilestoneId};
use crate::store::records::{CandidateRow, ChainedEvent, EntryRow, EventRow, VersionRow};
use crate::vault::audit::{data_key_subject, verify_event};

/// A row, or the ciphertext it refers to, is not as the vault wrote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a row or ciphertext fails authentication")]
pub struct Tampered;

impl From<CryptoError> for Tampered {
    fn from(_: CryptoError) -> Self {
        Self
    }
}

fn entry_facts(row: &EntryRow) -> EntryFacts<'_> {
    EntryFacts {
        project: &row.project,
        entry: row.id,
        milestone: row.milestone.as_ref(),
        name: &row.name,
        category: row.category,
        expires_at: row.expires_at,
        disabled: row.disabled,
        deleted_at: row.deleted_at,
        current_version: row.current_version,
        revision: row.revision,
        data_key: row.data_key,
    }
}

fn version_facts<'a>(entry: &'a EntryRow, row: &VersionRow) -> VersionFacts<'a> {
    VersionFacts {
        project: &entry.project,
        entry: row.entry,
        version: row.version,
        ciphertext_version: row.ciphertext_version,
        restored_from: row.restored_from,
        not_after: row.not_after,
        data_key: entry.data_key,
    }
}

/// The context that the ciphertext of a version is bound to.
pub(in crate::vault) fn ciphertext_context(entry: &EntryRow, ciphertext_version: i32) -> CiphertextContext<'_> {
    CiphertextContext {
        project: &entry.project,
        entry: entry.id,
        version: ciphertext_version,
        data_key: entry.data_key,
    }
}

pub(super) fn sign_entry(row: &mut EntryRow, key: &DataKey) {
    row.mac = key.entry_mac(&entry_facts(row)).to_vec();
}

pub(super) fn sign_version(entry: &EntryRow, row: &mut VersionRow, key: &DataKey) {
    row.mac = key.version_mac(&version_facts(entry, row)).to_vec();
}

pub(in crate::vault) fn verify_entry(row: &EntryRow, key: &DataKey) -> Result<(), Tampered> {
    Ok(key.verify_entry_mac(&entry_facts(row), &row.mac)?)
}

pub(super) fn verify_version(entry: &EntryRow, row: &VersionRow, key: &DataKey) -> Result<(), Tampered> {
    if row.entry != entry.id {
        return Err(Tampered);
    }
    Ok(key.verify_version_mac(&version_facts(entry, row), &row.mac)?)
}

/// Verifies that a row is the result of the entry's newest change, by that change's event. A row
/// that was put back has a valid MAC, but the newest event does not match it.
pub(in crate::vault) fn verify_newest(
    row: &EntryRow,
    newest: Option<&ChainedEvent>,
    audit: &AuditKey,
) -> Result<(), Tampered> {
    let newest = newest.ok_or(Tampered)?;
    verify_event(audit, newest)?;
    let event = &newest.event;
    let is_of_row = event.entry == Some(row.id)
        && event.entry_revision == Some(row.revision)
        && event.outcome == AuditOutcome::Allowed
        && event.action != AuditAction::EntryPurged;
    if is_of_row && differs_from_change(row, event).is_none() { Ok(()) } else { Err(Tampered) }
}

/// The first property in which a row differs from the event of its newest change; `None` if they
/// agree.
pub(in crate::vault) fn differs_from_change(row: &EntryRow, event: &EventRow) -> Option<&'static str> {
    let agree = [
        ("project", event.project.as_deref() == Some(row.project.as_str())),
        ("milestone", event.milestone.as_deref() == row.milestone.as_ref().map(MilestoneId::as_str)),
        ("name", event.entry_name.as_deref() == Some(&row.name)),
        ("version", event.entry_version == Some(row.current_version)),
        // Events of old releases name no data key.
        ("data key", event.subject.as_ref().is_none_or(|subject| *subject == data_key_subject(row.data_key))),
        ("state", leaves_deleted(event.action).is_none_or(|deleted| deleted == row.deleted_at.is_some())),
    ];
    agree.into_iter().find(|(_, agrees)| !agrees).map(|(property, _)| property)
}

/// Whether an entry is deleted after a change; `None` for a change that does not affect this.
fn leaves_deleted(action: AuditAction) -> Option<bool> {
    (action != AuditAction::KeysRotated)
        .then_some(matches!(action, AuditAction::EntryDeleted | AuditAction::EntryPurged))
}

/// Verifies an entry and its current version, that the ciphertext is under the entry's data key,
/// and that no event records a newer revision.
pub(in crate::vault) fn verify_candidate(row: &CandidateRow, key: &DataKey, audit: &AuditKey) -> Result<(), Tampered> {
    verify_entry(&row.entry, key)?;
    verify_version(&row.entry, &row.version, key)?;
    if row.ciphertext_data_key != row.entry.data_key || row.data_key.id != row.entry.data_key {
        return Err(Tampered);
    }
    if row.newest_revision != row.entry.revision {
        return Err(Tampered);
    }
    verify_newest(&row.entry, Some(&row.change), audit)
}
