//! An installation: a database with its master keys. All servers and commands share its own keys,
//! its settings, and the authorizer that the settings pin.

use super::cache::KeyCache;
use super::installation_keys::InstallationKeys;
use super::project_states::ProjectRevisions;
use super::settings::{self, ForgedSetting};
use super::signing::require_signed;
use crate::authz::{Authorizer, OpenFgaConfig, PinnedModel, SetupError};
use crate::crypto::{AuditKey, KeyBytes, KeyringError, WrapContext, WrappedKey};
use crate::domain::{Clock, Error, Result, Timestamp};
use crate::kms::MasterKeys;
use crate::store::{Conn, Store, Tx};
use std::sync::Arc;

/// Settings that pin the OpenFGA store and model that all servers use.
pub(super) const STORE: &str = "openfga.store";
pub(super) const MODEL: &str = "openfga.model";
pub(super) const MODEL_DIGEST: &str = "openfga.model_digest";
/// Name of the lock that lets one set-up run at a time.
const SETUP: &str = "setup:openfga";

/// An installation: a database with its master keys. Cheap to clone.
#[derive(Clone)]
pub struct Installation(pub(super) Arc<Shared>);

pub(super) struct Shared {
    pub store: Store,
    pub cache: KeyCache,
    pub installation_keys: InstallationKeys,
    pub project_revisions: ProjectRevisions,
    pub clock: Arc<dyn Clock>,
}

/// What a set-up does with rows without MACs, as a release before row MACs wrote them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExistingRows {
    /// Stop with an error.
    Refuse,
    /// Sign them as they are; the operator has checked them.
    Sign,
}

/// Why an installation cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InstallationError {
    /// `migrate` has not run for this version.
    #[error("the database is not set up for this version; run `project-vault migrate`, or serve with --migrate")]
    NotSetUp,
    /// A setting that pins the authorizer was not written by this installation.
    #[error(
        "the setting {0:?} in the table `installation` has no valid MAC: it was changed by hand, or belongs to another installation. \
         Find out who writes to the database; then run `project-vault migrate`, which looks the store up by OPENFGA_STORE"
    )]
    Forged(&'static str),
    /// Rows have no MACs, although all were signed earlier.
    #[error(
        "rows of the tables {tables} were signed before, but the setting {setting:?} that says so is missing or changed: someone \
         writes to the database. Restore the table `installation`, and these, from a backup"
    )]
    SignedBefore {
        /// The tables.
        tables: &'static str,
        /// The setting.
        setting: &'static str,
    },
    /// Rows have no MACs, and the operator did not ask to sign them.
    #[error(
        "the database holds rows without MACs in the tables {tables}: a release before these MACs left them so, or somebody who writes \
         to the database made them so. Signing them accepts their contents as authentic. If you upgrade from such a release, check the \
         records with its `audit verify`, and then run `project-vault migrate --sign-existing-rows` once; otherwise restore these tables, \
         `installation` and `audit_events` from a backup"
    )]
    Unsigned {
        /// The tables.
        tables: &'static str,
    },
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
    /// The installation of a database and its master keys. Reads nothing yet.
    #[must_use]
    pub fn new(store: Store, keys: impl Into<MasterKeys>, clock: Arc<dyn Clock>) -> Self {
        let cache = KeyCache::new(keys.into(), clock.clone());
        let installation_keys = InstallationKeys::default();
        Self(Arc::new(Shared {
            store,
            cache,
            installation_keys,
            project_revisions: ProjectRevisions::default(),
            clock,
        }))
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
    /// When they cannot be read; those in memory stay in use.
    pub async fn reload_keyring(&self) -> Result<String, KeyringError> {
        self.0.cache.master().reload().await
    }

    /// Sets the installation up with the embedded authorizer. Safe to repeat and to run
    /// concurrently.
    ///
    /// # Errors
    /// When the database or the master keys cannot be reached, when rows were changed by hand, or
    /// when rows have no MACs and `existing` refuses them.
    pub async fn set_up_embedded(&self, existing: ExistingRows) -> Result<(), InstallationError> {
        Authorizer::set_up_embedded(&self.0.store).await?;
        self.sign_existing_rows(existing).await
    }

    /// Sets the installation up with OpenFGA: brings the store and model there up to date, and pins
    /// their ids. Pinned ids without a valid MAC are ignored, and the store is looked up by its
    /// name. Safe to repeat and to run concurrently.
    ///
    /// # Errors
    /// As [`Self::set_up_embedded`]; also when OpenFGA cannot be reached or lacks the store or
    /// model.
    pub async fn set_up_openfga(
        &self,
        config: &OpenFgaConfig,
        existing: ExistingRows,
    ) -> Result<(), InstallationError> {
        // In a transaction of its own: it locks projects, and OpenFGA may be slow.
        self.sign_existing_rows(existing).await?;
        let mut tx = self.begin_set_up().await?;
        let key = self.audit_key(&mut tx).await?;
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

    /// OpenFGA as the authorizer, with the pinned store and model.
    ///
    /// # Errors
    /// When the installation is not set up for it, or OpenFGA lacks the pinned store or model.
    pub async fn openfga(&self, config: &OpenFgaConfig) -> Result<Authorizer, InstallationError> {
        let mut conn = self.0.store.conn().await?;
        let key = self.audit_key(&mut conn).await?;
        require_signed(&mut conn, &key).await?;
        let pinned = pinned(&mut conn, &key).await?.ok_or(InstallationError::NotSetUp)?;
        drop(conn);
        Ok(Authorizer::openfga(config, pinned).await?)
    }

    /// Checks that the pinned store and model are still those that an authorizer started with.
    ///
    /// # Errors
    /// INTERNAL when they are not; UNAVAILABLE when the database cannot be reached.
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

    pub(super) async fn begin_set_up(&self) -> Result<Tx> {
        let mut tx = self.0.store.begin_set_up().await?;
        tx.lock_name(SETUP).await?;
        Ok(tx)
    }

    pub(in crate::vault) fn now(&self) -> Timestamp {
        self.0.clock.now()
    }
}

/// The pinned store and model; `None` if nothing is pinned.
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
