//! An installation: what its servers and commands share before anything is asked of it. Its own
//! keys, its settings, each under a MAC, and with them the pinned authorizer.

use super::cache::KeyCache;
use super::installation_keys::InstallationKeys;
use super::settings::{self, ForgedSetting};
use crate::authz::{Authorizer, OpenFgaConfig, PinnedModel, SetupError};
use crate::crypto::{AuditKey, KeyBytes, KeyringError, WrapContext, WrappedKey};
use crate::domain::{Clock, DataKeyId, Error, Result, Timestamp};
use crate::kms::MasterKeys;
use crate::store::{Conn, Store, Tx};
use std::sync::Arc;
use uuid::Uuid;

/// Settings that pin what all servers use at OpenFGA.
const STORE: &str = "openfga.store";
const MODEL: &str = "openfga.model";
const MODEL_DIGEST: &str = "openfga.model_digest";
/// The setting that says that every row has been signed that has a MAC.
pub(in crate::vault) const SIGNED: (&str, &str) = ("row-macs", "1");
/// The lock under which one set-up runs at a time.
const SETUP: &str = "setup:openfga";
/// Data keys that are signed with one statement to read them.
const BATCH: i64 = 1_000;

/// The installation that a database and its master keys make. Cheap to clone.
#[derive(Clone)]
pub struct Installation(pub(super) Arc<Shared>);

pub(super) struct Shared {
    pub store: Store,
    pub cache: KeyCache,
    pub installation_keys: InstallationKeys,
    pub clock: Arc<dyn Clock>,
}

/// The treatment of rows without MACs, which an old release wrote, in a set-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExistingRows {
    /// It stops.
    Refuse,
    /// It signs them as they are, because the operator accepts their contents.
    Sign,
}

/// Why an installation cannot be used as it is.
#[derive(Debug, thiserror::Error)]
pub enum InstallationError {
    /// `migrate` has not run for this version.
    #[error("the database is not set up for this version; run `project-vault migrate`, or serve with --migrate")]
    NotSetUp,
    /// A setting that decides who may do what was not written by this installation.
    #[error(
        "the setting {0:?} in the table `installation` has no valid MAC: it was changed by hand, or belongs to another installation. \
         Find out who writes to the database; then run `project-vault migrate`, which looks the store up by OPENFGA_STORE"
    )]
    Forged(&'static str),
    /// Rows are without MACs although all were signed once.
    #[error(
        "rows of the tables `installation` and `data_keys` have been signed before, and the setting \"row-macs\" that says so is gone or \
         changed; somebody writes to the database. Restore both tables from a backup"
    )]
    SignedBefore,
    /// Rows are without MACs, and the operator did not say that they are to be signed.
    #[error(
        "the database holds settings or data keys without MACs: a release before row MACs left them so, or somebody who writes to the \
         database made them so. Signing them accepts their contents as authentic. If you upgrade from such a release, check the records with \
         its `audit verify`, and then run `project-vault migrate --sign-existing-rows` once; otherwise restore the tables \
         `installation`, `data_keys` and `audit_events` from a backup"
    )]
    Unsigned,
    /// The authorizer cannot be used.
    #[error(transparent)]
    Authorizer(#[from] SetupError),
    /// The installation's own keys, or the database, cannot be used.
    #[error(transparent)]
    Vault(#[from] Error),
}

impl From<crate::store::Error> for InstallationError {
    fn from(error: crate::store::Error) -> Self {
        Self::Vault(error.into())
    }
}

impl Installation {
    /// The installation of a database with its master keys; nothing is read yet.
    #[must_use]
    pub fn new(store: Store, keys: impl Into<MasterKeys>, clock: Arc<dyn Clock>) -> Self {
        let cache = KeyCache::new(keys.into(), clock.clone());
        let installation_keys = InstallationKeys::default();
        Self(Arc::new(Shared { store, cache, installation_keys, clock }))
    }

    /// The database.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.0.store
    }

    /// The master keys.
    pub(in crate::vault) fn master_keys(&self) -> &MasterKeys {
        self.0.cache.master()
    }

    /// Unwraps a key; where its master key is missing, the keyring is read again first.
    pub(in crate::vault) async fn unwrap(
        &self,
        wrapped: &WrappedKey,
        bound: &WrapContext,
    ) -> Result<KeyBytes, KeyringError> {
        self.0.cache.unwrap(wrapped, bound).await
    }

    /// Reads the master keys again, as an operator asks for with SIGHUP. Gives the id of the one
    /// that encrypts from now on.
    ///
    /// # Errors
    /// When they cannot be read; those in memory stay.
    pub async fn reload_keyring(&self) -> Result<String, KeyringError> {
        self.0.cache.master().reload().await
    }

    /// Sets it up with the embedded authorizer. Safe to repeat, and to run twice at once.
    ///
    /// # Errors
    /// When the database or the master keys cannot be reached, rows were changed by hand, or they
    /// carry no MACs and are not to be signed.
    pub async fn set_up_embedded(&self, existing: ExistingRows) -> Result<(), InstallationError> {
        Authorizer::set_up_embedded(&self.0.store).await?;
        let mut tx = self.begin_set_up().await?;
        self.sign_rows(&mut tx, existing).await?;
        Ok(tx.commit().await?)
    }

    /// Sets it up with OpenFGA: brings store and model there up to date, and pins their ids. Pinned
    /// ids that this installation did not sign are not believed: the store is looked up by
    /// its name then. Safe to repeat, and to run twice at once.
    ///
    /// # Errors
    /// As [`Self::set_up_embedded`], and when OpenFGA cannot be reached or does not have what it
    /// should.
    pub async fn set_up_openfga(
        &self,
        config: &OpenFgaConfig,
        existing: ExistingRows,
    ) -> Result<(), InstallationError> {
        let mut tx = self.begin_set_up().await?;
        let key = self.sign_rows(&mut tx, existing).await?;
        let is_new = tx.setting(STORE).await?.is_none();
        let known = match pinned(&mut tx, &key).await {
            Ok(known) => known,
            Err(InstallationError::Forged(name)) => {
                tracing::warn!(
                    name,
                    "a setting has no valid MAC and is not believed; the store is looked up by its name"
                );
                None
            }
            Err(error) => return Err(error),
        };
        let PinnedModel { store, model, digest } = Authorizer::set_up_openfga(config, known, is_new).await?;
        for (name, value) in [(STORE, store), (MODEL, model), (MODEL_DIGEST, digest)] {
            settings::write(&mut tx, &key, name, &value).await?;
        }
        Ok(tx.commit().await?)
    }

    /// The embedded authorizer.
    ///
    /// # Errors
    /// When the installation is not set up for it.
    pub async fn embedded(&self) -> Result<Authorizer, InstallationError> {
        let mut conn = self.0.store.conn().await?;
        let key = self.audit_key(&mut conn).await?;
        require_signed(&mut conn, &key).await?;
        drop(conn);
        if !Authorizer::is_embedded_set_up(&self.0.store).await? {
            return Err(InstallationError::NotSetUp);
        }
        Ok(Authorizer::embedded(self.0.store.clone())?)
    }

    /// OpenFGA as the authorizer, with the store and the model that were pinned.
    ///
    /// # Errors
    /// When the installation is not set up for it, or what is pinned is not what OpenFGA has.
    pub async fn openfga(&self, config: &OpenFgaConfig) -> Result<Authorizer, InstallationError> {
        let mut conn = self.0.store.conn().await?;
        let key = self.audit_key(&mut conn).await?;
        require_signed(&mut conn, &key).await?;
        let pinned = pinned(&mut conn, &key).await?.ok_or(InstallationError::NotSetUp)?;
        drop(conn);
        Ok(Authorizer::openfga(config, pinned).await?)
    }

    /// Whether what is pinned is still what an authorizer began with.
    pub(in crate::vault) async fn confirm_pinned(&self, authorizer: &Authorizer) -> Result<()> {
        let Some(used) = authorizer.pinned() else { return Ok(()) };
        let mut conn = self.0.store.conn().await?;
        let key = self.audit_key(&mut conn).await?;
        match pinned(&mut conn, &key).await {
            Ok(Some(pinned)) if pinned == *used => Ok(()),
            Ok(_) => Err(Error::internal(
                "what the table `installation` pins for OpenFGA is not what this server began with; it keeps using that. Find out \
                 who changed it, or restart the server after `project-vault migrate`",
            )),
            Err(error) => Err(Error::internal(error)),
        }
    }

    async fn begin_set_up(&self) -> Result<Tx> {
        let mut tx = self.0.store.begin_set_up().await?;
        tx.lock_name(SETUP).await?;
        Ok(tx)
    }

    /// Makes the key of the installation's records where there is none yet, and, once and where the
    /// operator says so, signs the rows that a release before row MACs wrote. Settings that decide
    /// who may do what are left: they are not believed without a MAC.
    async fn sign_rows(&self, tx: &mut Tx, existing: ExistingRows) -> Result<Arc<AuditKey>, InstallationError> {
        let key = self.audit_key_for_set_up(tx).await?;
        match settings::read(tx, &key, SIGNED.0).await {
            Ok(Some(value)) if value == SIGNED.1 => return Ok(key),
            Ok(None) if !tx.has_signed_rows().await? => {}
            Ok(_) | Err(settings::ReadError::Forged(_)) => return Err(InstallationError::SignedBefore),
            Err(settings::ReadError::Store(error)) => return Err(error.into()),
        }
        let mut settings = tx.settings().await?;
        settings.retain(|row| ![STORE, MODEL, MODEL_DIGEST].contains(&row.name.as_str()));
        let mut after = DataKeyId(Uuid::nil());
        let is_empty = settings.is_empty() && tx.data_keys_after(after, 1).await?.is_empty();
        if !is_empty && existing == ExistingRows::Refuse {
            return Err(InstallationError::Unsigned);
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

    pub(in crate::vault) fn now(&self) -> Timestamp {
        self.0.clock.now()
    }
}

/// The pinned store and model; none where nothing is pinned.
async fn pinned(conn: &mut Conn, key: &AuditKey) -> Result<Option<PinnedModel>, InstallationError> {
    let mut values = Vec::with_capacity(3);
    for name in [STORE, MODEL, MODEL_DIGEST] {
        match settings::read(conn, key, name).await {
            Ok(Some(value)) => values.push(value),
            Ok(None) => {}
            Err(settings::ReadError::Forged(ForgedSetting(_))) => return Err(InstallationError::Forged(name)),
            Err(settings::ReadError::Store(error)) => return Err(error.into()),
        }
    }
    match <[String; 3]>::try_from(values) {
        Ok([store, model, digest]) => Ok(Some(PinnedModel { store, model, digest })),
        Err(values) if values.is_empty() => Ok(None),
        Err(_) => Err(InstallationError::Forged(STORE)),
    }
}

async fn require_signed(conn: &mut Conn, key: &AuditKey) -> Result<(), InstallationError> {
    match settings::read(conn, key, SIGNED.0).await {
        Ok(Some(value)) if value == SIGNED.1 => Ok(()),
        Ok(None) if !conn.has_signed_rows().await? => Err(InstallationError::NotSetUp),
        Ok(_) | Err(settings::ReadError::Forged(_)) => Err(InstallationError::SignedBefore),
        Err(settings::ReadError::Store(error)) => Err(error.into()),
    }
}
