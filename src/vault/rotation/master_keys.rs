//! The master keys: what is wrapped with which, and wrapping everything with the current one.

use super::KeyRotation;
use crate::crypto::{KeyBytes, KeyringError, WrapContext, WrappedKey};
use crate::domain::{Actor, AuditAction, DataKeyId, Error, KeyPurpose, RequestId, Result};
use crate::permission::Operator;
use crate::store::records::{DataKeyRow, DataKeyTotals, InstallationKeyRow};
use crate::vault::audit::event;
use crate::vault::keys::{self, OnProgress, keyring_error, retired_setting};
use futures::stream::{self, StreamExt as _};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Number of data keys wrapped in one transaction, and of those the number at their keeper at once.
const BATCH: usize = 100;
const AT_ONCE: usize = 8;
/// Servers that have not heard of the current master key yet may go on using the old one; a few
/// more rounds find what they made.
const ROUNDS: usize = 3;

/// One master key, as far as the installation knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MasterKeyUse {
    /// Its id.
    pub id: String,
    /// It wraps what is made from now on.
    pub current: bool,
    /// It is there, in the keyring or with its keeper.
    pub present: bool,
    /// Number of data keys it wraps.
    pub data_keys: i64,
    /// The keys of the installation it wraps.
    pub installation_keys: Vec<KeyPurpose>,
}

impl MasterKeyUse {
    /// Whether something is wrapped with it.
    #[must_use]
    pub fn is_used(&self) -> bool {
        self.data_keys > 0 || !self.installation_keys.is_empty()
    }
}

/// Which master key wraps what, and how far data keys have been used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyStatus {
    /// Every master key that is there or wraps something, by id.
    pub master_keys: Vec<MasterKeyUse>,
    /// The data keys.
    pub data_keys: DataKeyTotals,
    /// Maximum number of values that one data key seals.
    pub bound: i64,
}

/// The keys that were wrapped anew.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rewrapped {
    /// The master key that wraps it now.
    pub master_key: String,
    /// Number of data keys.
    pub data_keys: u64,
    /// Number of keys of the installation.
    pub installation_keys: u64,
    /// How many data keys could not be, since the master key they are wrapped with is missing or
    /// wrong.
    pub left: u64,
    /// Why, once for each of those master keys.
    pub problems: BTreeSet<String>,
}

impl KeyRotation {
    /// Which master key wraps what, and how far data keys have been used.
    ///
    /// # Errors
    /// UNAVAILABLE when the database or the keeper of the master keys cannot answer.
    pub async fn status(&self) -> Result<KeyStatus> {
        let master = self.installation.master_keys();
        let current = master.current().await.map_err(|error| keyring_error(Arc::new(error)))?;
        let known = master.known().await.map_err(|error| keyring_error(Arc::new(error)))?;
        let mut conn = self.store.conn().await?;
        let mut uses = BTreeMap::new();
        let new = |id: &str, present| MasterKeyUse {
            id: id.to_owned(),
            current: id == current,
            present,
            data_keys: 0,
            installation_keys: vec![],
        };
        for id in known.iter().chain([&current]) {
            uses.insert(id.clone(), new(id, true));
        }
        for (id, count) in conn.data_keys_by_master().await? {
            uses.entry(id.clone()).or_insert_with(|| new(&id, false)).data_keys = count;
        }
        for (purpose, row) in conn.installation_keys().await? {
            let id = row.master_key;
            uses.entry(id.clone()).or_insert_with(|| new(&id, false)).installation_keys.push(purpose);
        }
        let bound = self.installation.seal_limit();
        let data_keys = conn.data_key_totals(bound).await?;
        Ok(KeyStatus { master_keys: uses.into_values().collect(), data_keys, bound })
    }

    /// Wraps every data key and the installation's keys with the current master key. Values stay as
    /// they are. Goes on where an earlier run was cut off, and beside other runs and servers: a
    /// wrapping takes the place only of the one it was made from.
    ///
    /// # Errors
    /// UNAVAILABLE when a part cannot be reached; run it again then.
    pub async fn rewrap(&self, _: &Operator, progress: OnProgress<'_>) -> Result<Rewrapped> {
        let current = self.installation.master_keys().reload().await.map_err(|error| keyring_error(Arc::new(error)))?;
        let mut rewrapped = Rewrapped { master_key: current.clone(), ..Rewrapped::default() };
        let total = self.store.conn().await?.count_data_keys_not_under(&current).await?;
        let total = u64::try_from(total).unwrap_or_default();
        progress(0, total);
        for round in 0..ROUNDS {
            let before = rewrapped.data_keys;
            rewrapped.left = 0;
            let mut after = DataKeyId(uuid::Uuid::nil());
            loop {
                let limit = i64::try_from(BATCH).unwrap_or(i64::MAX) + 1;
                let mut rows = self.store.conn().await?.data_keys_not_under(&current, after, limit).await?;
                let is_last = rows.len() <= BATCH;
                rows.truncate(BATCH);
                if let Some(row) = rows.last() {
                    after = row.id;
                }
                let ends = is_last && round == 0;
                self.rewrap_batch(rows, ends, &mut rewrapped).await?;
                progress(rewrapped.data_keys, total.max(rewrapped.data_keys));
                if is_last {
                    break;
                }
            }
            if rewrapped.data_keys == before {
                break;
            }
        }
        Ok(rewrapped)
    }

    /// The last batch takes the installation's keys along, and the event.
    async fn rewrap_batch(&self, rows: Vec<DataKeyRow>, is_last: bool, rewrapped: &mut Rewrapped) -> Result<()> {
        let audit = match self.installation.open_audit_key().await {
            Ok(audit) => audit,
            Err(error @ Error::Unavailable { .. }) => return Err(error),
            // No row can be signed. Why, the installation's keys tell.
            Err(error) => {
                tracing::error!(%error, "the key of the installation's records does not open; nothing is wrapped anew");
                rewrapped.left += rows.len() as u64;
                return self.rewrap_installation_keys(rewrapped).await.map(drop);
            }
        };
        // A row that was changed by hand is not signed anew.
        let (rows, forged): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| keys::verify(&audit, row).is_ok());
        for row in forged {
            rewrapped.left += 1;
            rewrapped.problems.insert(format!("the row of data key {} was changed by hand", row.id));
        }
        let made: Vec<_> = stream::iter(rows)
            .map(|row| async move {
                let wrapped = WrappedKey { master_key: row.master_key.clone(), bytes: row.wrapped.clone() };
                let new = self.wrap_again(&wrapped, &WrapContext::for_data_key(&row.project, row.id)).await;
                (row, new)
            })
            .buffered(AT_ONCE)
            .collect()
            .await;
        let mut ready = Vec::with_capacity(made.len());
        for (old, new) in made {
            match new {
                Ok(new) => {
                    let new = DataKeyRow { master_key: new.master_key, wrapped: new.bytes, ..old.clone() };
                    ready.push((old, keys::signed(&audit, new)));
                }
                Err(error) => {
                    rewrapped.left += 1;
                    rewrapped.problems.insert(problem(error)?);
                }
            }
        }
        let own = if is_last { self.rewrap_installation_keys(rewrapped).await? } else { vec![] };
        let mut tx = self.store.begin().await?;
        // Before the rows of keys, as whoever changes a project locks them.
        let projects: Vec<_> = ready.iter().map(|(old, _)| old.project.clone()).collect();
        tx.lock_projects(&projects).await?;
        // Counted apart, since only what commits is done.
        let (mut data_keys, mut installation_keys) = (0, 0);
        for (old, new) in &ready {
            data_keys += u64::from(tx.update_data_key(old, new).await?);
        }
        for (purpose, old, new) in &own {
            installation_keys += u64::from(tx.rewrap_installation_key(*purpose, old, new).await?);
        }
        let all = rewrapped.data_keys + data_keys + installation_keys;
        if is_last && all > 0 {
            let event = event(&Actor::Operator, RequestId::new().as_str(), AuditAction::KeysRotated, self.now());
            self.audit.append(&mut tx, &[event.about(format_args!("master-key:{}", rewrapped.master_key))]).await?;
        }
        tx.commit().await?;
        rewrapped.data_keys += data_keys;
        rewrapped.installation_keys += installation_keys;
        Ok(())
    }

    async fn rewrap_installation_keys(
        &self,
        rewrapped: &mut Rewrapped,
    ) -> Result<Vec<(KeyPurpose, Vec<u8>, InstallationKeyRow)>> {
        let rows = self.store.conn().await?.installation_keys().await?;
        let mut own = Vec::with_capacity(rows.len());
        for (purpose, row) in rows.into_iter().filter(|(_, row)| row.master_key != rewrapped.master_key) {
            let wrapped = WrappedKey { master_key: row.master_key, bytes: row.wrapped };
            match self.wrap_again(&wrapped, &WrapContext::for_installation_key(purpose)).await {
                Ok(new) => {
                    let new = InstallationKeyRow { master_key: new.master_key, wrapped: new.bytes };
                    own.push((purpose, wrapped.bytes, new));
                }
                Err(error) => {
                    rewrapped.problems.insert(problem(error)?);
                }
            }
        }
        Ok(own)
    }

    async fn wrap_again(&self, wrapped: &WrappedKey, bound: &WrapContext) -> Result<WrappedKey, KeyringError> {
        let secret: KeyBytes = self.installation.unwrap(wrapped, bound).await?;
        self.installation.master_keys().wrap(&secret, bound).await
    }

    /// Remembers that a master key was taken out of the keyring, so that it can be told from one
    /// that was never there.
    ///
    /// # Errors
    /// CONFLICT while something is wrapped with it, UNAVAILABLE when the database cannot be
    /// reached.
    pub async fn retire_master_key(&self, _: &Operator, id: &str) -> Result<()> {
        let mut tx = self.store.begin().await?;
        let data_keys: i64 =
            tx.data_keys_by_master().await?.into_iter().filter(|(key, _)| key == id).map(|(_, count)| count).sum();
        let own = tx.installation_keys().await?.into_iter().filter(|(_, row)| row.master_key == id).count();
        if data_keys > 0 || own > 0 {
            return Err(Error::Conflict(format!(
                "The key {id:?} still wraps {data_keys} data keys and {own} keys of the installation; run `project-vault keys \
                 rotate` first."
            )));
        }
        let now = self.now().to_rfc3339();
        self.installation.set_setting_in(&mut tx, &retired_setting(id), &now).await?;
        Ok(tx.commit().await?)
    }
}

/// The report on a key that cannot be wrapped anew; an error where it is not the key's fault.
fn problem(error: KeyringError) -> Result<String> {
    match error {
        KeyringError::UnknownKey(_) | KeyringError::WrongKey(_) => Ok(error.to_string()),
        error => Err(keyring_error(Arc::new(error))),
    }
}
