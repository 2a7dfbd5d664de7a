//! Opens the database, keys and authorizer of a configuration, for the operators' commands.

use super::data_dir::DataDir;
use super::failure::{Failure, Result};
use super::keyring_command::master_keys;
use super::logs;
use crate::authz::Authorizer;
use crate::config::{self, Authz, Backend, BackendSettings, KeyConfig, KeySettings, Log, LogSettings, Secrets};
use crate::domain::SystemClock;
use crate::store::{self, Store, Tables};
use crate::vault::{ExistingRows, Installation, Vault};
use secrecy::ExposeSecret as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Opens the database of a configuration; it connects at first use.
pub fn store(backend: &Backend) -> Result<Store> {
    Ok(Store::open(prepare(backend), None)?)
}

/// The URL of a configuration's database, whose file is made private if it is missing.
fn prepare(backend: &Backend) -> &str {
    let url = backend.database_url.expose_secret();
    if let Some(path) = url.strip_prefix("sqlite:") {
        // SQLite would create the file with the mode that the umask allows. If creating it fails,
        // SQLite reports why.
        let _ = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    }
    url
}

/// Brings the database and the authorization model up to date. Can be repeated, and run
/// concurrently.
pub async fn migrate(backend: &Backend, installation: &Installation, store: &Store, existing: ExistingRows) -> Result {
    store.migrate().await?;
    match &backend.authz {
        Authz::Embedded => installation.set_up_embedded(existing).await?,
        Authz::OpenFga(config) => installation.set_up_openfga(config, existing).await?,
    }
    Ok(())
}

/// Refuses a database that could lose committed changes, or whose tables are not those of this
/// version.
async fn require_current(store: &Store) -> Result {
    store.require_durable().await?;
    match store.tables().await? {
        Tables::Current => Ok(()),
        Tables::Behind => Err(Failure::NotMigrated),
        Tables::Newer(versions) => Err(store::Error::Newer(versions).into()),
    }
}

/// Opens the authorizer of a configuration, after checking the database and the master keys.
///
/// # Errors
/// When the database, the keys or the model are not those of this installation and version, or
/// cannot be reached.
pub async fn authorizer(backend: &Backend, installation: &Installation, store: &Store) -> Result<Authorizer> {
    require_current(store).await?;
    installation.check_keyring().await?;
    Ok(match &backend.authz {
        Authz::Embedded => installation.embedded().await?,
        Authz::OpenFga(config) => installation.openfga(config).await?,
    })
}

/// Ends this process' audit records after its work, whether that succeeded or not, so that the next
/// process continues its chains.
pub async fn recorded<T, E: Into<Failure>>(vault: &Vault, done: Result<T, E>) -> Result<T> {
    let ended = vault.audit().end_records().await;
    let done = done.map_err(Into::into)?;
    ended?;
    Ok(done)
}

/// The options that say which vault an operator's command works on.
#[derive(clap::Args)]
pub struct DataLocation {
    /// The data directory of a `dev` vault, instead of the settings below; its server may be
    /// running
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    #[command(flatten)]
    backend: BackendSettings,
    #[command(flatten)]
    keys: KeySettings,
    #[command(flatten)]
    log: LogSettings,
}

impl DataLocation {
    /// Opens the vault. This needs the master keys, because every change is recorded under the
    /// installation's key.
    pub async fn vault(&self) -> Result<Vault> {
        let VaultParts { backend, store, installation, .. } = self.parts()?;
        let authorizer = authorizer(&backend, &installation, &store).await?;
        Ok(Vault::of(installation, authorizer, Duration::MAX))
    }

    /// Opens the vault for commands that need no permission: without the authorizer, and even if
    /// master keys are missing. Also gives the configuration of the keys.
    pub async fn open_without_authorizer(&self) -> Result<(Vault, KeyConfig)> {
        let VaultParts { store, installation, keys, .. } = self.parts()?;
        require_current(&store).await?;
        Ok((Vault::of(installation, Authorizer::closed(), Duration::MAX), keys))
    }

    /// Brings the vault up to date; gives its backend and database, and whether its tables were
    /// current before. Signs rows without MACs if `sign_existing` is set.
    pub async fn migrate(&self, sign_existing: bool) -> Result<(Backend, Store, bool)> {
        let VaultParts { backend, store, installation, .. } = self.parts()?;
        let existing = if sign_existing { ExistingRows::Sign } else { ExistingRows::Refuse };
        let was_current = store.tables().await? == Tables::Current;
        migrate(&backend, &installation, &store, existing).await?;
        Ok((backend, store, was_current))
    }

    fn parts(&self) -> Result<VaultParts> {
        let (backend, keys, log) = match &self.data_dir {
            Some(path) => {
                let log = Log::of(&self.log, "warn")?;
                let dir = DataDir::open(path)?;
                (dir.backend()?, KeyConfig::in_file(dir.keyring()), log)
            }
            None => config::of_command(&self.backend, &self.keys, &self.log, &Secrets::from_env())?,
        };
        logs::begin(log, None);
        let store = Store::open_patiently(prepare(&backend))?;
        let installation = Installation::new(store.clone(), master_keys(&keys)?, Arc::new(SystemClock));
        Ok(VaultParts { backend, keys, store, installation })
    }
}

/// An opened vault, before its authorizer.
struct VaultParts {
    backend: Backend,
    keys: KeyConfig,
    store: Store,
    installation: Installation,
}
