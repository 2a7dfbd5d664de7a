//! Signing the rows that a release without MACs wrote. A migration adds the columns but does not
//! have the installation's key, so `migrate` signs the rows right after it, once, if the operator
//! allows it. A setting states that it was done; from then on, a row without a MAC is refused.

use super::installation::{ExistingRows, Installation, InstallationError, MODEL, MODEL_DIGEST, STORE};
use super::project_states::{sign_milestone, sign_project};
use super::settings;
use crate::crypto::{AuditKey, Listed, Listing};
use crate::domain::{DataKeyId, Error, ProjectId};
use crate::store::records::ProjectState;
use crate::store::{Conn, Tx};
use std::sync::Arc;
use uuid::Uuid;

/// Name and value of the setting that states that all settings and data keys are signed.
pub(in crate::vault) const SIGNED: (&str, &str) = ("row-macs", "1");
/// The same for projects and milestones.
const PROJECTS_SIGNED: (&str, &str) = ("project-macs", "1");
/// The tables whose rows each of them is about, for messages.
const TABLES: &str = "`installation` and `data_keys`";
const PROJECT_TABLES: &str = "`projects` and `milestones`";
/// Maximum number of data keys read at once, to sign them.
const BATCH: i64 = 1_000;
/// Maximum number of projects read at once, to sign them. Each may have a listing of 40 KB.
const PROJECT_BATCH: i64 = 100;

impl Installation {
    /// Makes the AUDIT key if there is none yet, and signs what older releases left unsigned.
    ///
    /// # Errors
    /// When rows were changed by hand, or have no MACs and `existing` refuses them.
    pub(super) async fn sign_existing_rows(&self, existing: ExistingRows) -> Result<(), InstallationError> {
        let mut tx = self.begin_set_up().await?;
        let key = self.sign_rows(&mut tx, existing).await?;
        sign_projects(&mut tx, &key, existing).await?;
        Ok(tx.commit().await?)
    }

    /// Signs settings and data keys. Settings that pin the authorizer are not signed: without a MAC
    /// they are ignored.
    async fn sign_rows(&self, tx: &mut Tx, existing: ExistingRows) -> Result<Arc<AuditKey>, InstallationError> {
        let key = self.audit_key_for_set_up(tx).await?;
        if is_signed(tx, &key, SIGNED).await? {
            return Ok(key);
        }
        if tx.has_signed_rows().await? {
            return Err(signed_before(SIGNED));
        }
        let mut settings = tx.settings().await?;
        settings.retain(|row| ![STORE, MODEL, MODEL_DIGEST].contains(&row.name.as_str()));
        let mut after = DataKeyId(Uuid::nil());
        let is_empty = settings.is_empty() && tx.data_keys_after(after, 1).await?.is_empty();
        if !is_empty && existing == ExistingRows::Refuse {
            return Err(InstallationError::Unsigned { tables: TABLES });
        }
        for row in settings {
            settings::write(tx, &key, &row.name, &row.value).await?;
        }
        loop {
            let rows = tx.data_keys_after(after, BATCH).await?;
            let Some(last) = rows.last() else { break };
            after = last.id;
            for row in rows {
                let signed = super::data_key_states::signed(&key, row.clone());
                if !tx.update_data_key(&row, &signed).await? {
                    return Err(Error::unavailable("A data key was changed meanwhile; run it again.").into());
                }
            }
        }
        settings::write(tx, &key, SIGNED.0, SIGNED.1).await?;
        Ok(key)
    }
}

/// Signs projects and milestones, and lists the entries of each project as they are.
async fn sign_projects(tx: &mut Tx, key: &AuditKey, existing: ExistingRows) -> Result<(), InstallationError> {
    if is_signed(tx, key, PROJECTS_SIGNED).await? {
        return Ok(());
    }
    if tx.has_signed_projects().await? {
        return Err(signed_before(PROJECTS_SIGNED));
    }
    let mut after = String::new();
    loop {
        let rows = tx.project_states_after(&after, PROJECT_BATCH).await?;
        let Some(last) = rows.last() else { break };
        if existing == ExistingRows::Refuse {
            return Err(InstallationError::Unsigned { tables: PROJECT_TABLES });
        }
        last.id.as_str().clone_into(&mut after);
        let ids: Vec<ProjectId> = rows.into_iter().map(|row| row.id).collect();
        tx.lock_projects(&ids).await?;
        for id in ids {
            // As it is under the lock.
            if let Some(row) = tx.project_state(&id).await? {
                sign_one(tx, key, row).await?;
            }
        }
    }
    Ok(settings::write(tx, key, PROJECTS_SIGNED.0, PROJECTS_SIGNED.1).await?)
}

async fn sign_one(tx: &mut Tx, key: &AuditKey, mut row: ProjectState) -> Result<(), InstallationError> {
    let mut listing = Listing::default();
    row.revision = 1;
    for mut milestone in tx.milestones_of(std::slice::from_ref(&row.id)).await? {
        milestone.revision = row.revision;
        sign_milestone(key, &mut milestone);
        tx.save_milestone(&milestone).await?;
        listing.set_milestone_revision(&milestone.id, milestone.revision);
    }
    for entry in tx.live_entries(&row.id).await? {
        let listed = Listed { entry: entry.id, revision: entry.revision };
        if !listing.insert(entry.milestone.as_ref(), &entry.name, listed) {
            return Err(Error::internal("two entries of a scope have one name, or one has no milestone").into());
        }
    }
    sign_project(key, &mut row, &listing);
    Ok(tx.save_project(&row).await?)
}

/// Whether this setting states that its rows are signed. One that was changed by hand is an error.
async fn is_signed(
    conn: &mut Conn,
    key: &AuditKey,
    setting: (&'static str, &'static str),
) -> Result<bool, InstallationError> {
    match settings::read(conn, key, setting.0).await {
        Ok(Some(value)) if value == setting.1 => Ok(true),
        Ok(None) => Ok(false),
        Ok(_) | Err(settings::ReadError::Forged(_)) => Err(signed_before(setting)),
        Err(settings::ReadError::Store(error)) => Err(error.into()),
    }
}

fn signed_before((setting, _): (&'static str, &'static str)) -> InstallationError {
    InstallationError::SignedBefore { tables: if setting == SIGNED.0 { TABLES } else { PROJECT_TABLES }, setting }
}

/// Refuses an installation whose rows are not all signed.
///
/// # Errors
/// When `migrate` has not run for this version, or rows were changed by hand.
pub(super) async fn require_signed(conn: &mut Conn, key: &AuditKey) -> Result<(), InstallationError> {
    for setting in [SIGNED, PROJECTS_SIGNED] {
        if is_signed(conn, key, setting).await? {
            continue;
        }
        let signed = if setting == SIGNED { conn.has_signed_rows().await? } else { conn.has_signed_projects().await? };
        return Err(if signed { signed_before(setting) } else { InstallationError::NotSetUp });
    }
    Ok(())
}
