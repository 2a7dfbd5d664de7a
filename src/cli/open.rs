//! Opening what a configuration names, for every command that works on it.

use super::data_dir::DataDir;
use super::failure::{Failure, Result};
use super::keyring_command::master_keys;
use super::logs;
use crate::authz::Authorizer;
use crate::config::{self, Authz, Backend, BackendSettings, KeySettings, Keys, Log, LogSettings, Secrets};
use crate::domain::SystemClock;
use crate::store::Store;
use crate::vault::Vault;
use secrecy::ExposeSecret as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// The database of a configuration; connects at first use.
pub fn store(backend: &Backend) -> Result<Store> {
    let url = backend.database_url.expose_secret();
    if let Some(path) = url.strip_prefix("sqlite:") {
        // SQLite would make it as open as the process' mask allows. Where it cannot be made, SQLite says why.
        let _ = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    }
    Ok(Store::open(url, None)?)
}

/// Brings database and authorization model up to date. Safe to repeat, and to run twice at once.
pub async fn migrate(backend: &Backend, store: &Store) -> Result {
    store.migrate().await?;
    match &backend.authz {
        Authz::Embedded => Authorizer::set_up_embedded(store).await?,
        Authz::OpenFga(config) => Authorizer::set_up_openfga(config, store).await?,
    }
    Ok(())
}

/// The authorizer of a configuration, over a database that would lose nothing.
///
/// # Errors
/// When the database or the model is not the one of this version, or cannot be reached.
pub async fn authorizer(backend: &Backend, store: &Store) -> Result<Authorizer> {
    store.require_durable().await?;
    if !store.is_migrated().await? {
        return Err(Failure::NotMigrated);
    }
    match &backend.authz {
        Authz::Embedded if Authorizer::is_embedded_set_up(store).await? => Ok(Authorizer::embedded(store.clone())?),
        Authz::Embedded => Err(Failure::NotMigrated),
        Authz::OpenFga(config) => Ok(Authorizer::openfga(config, store).await?),
    }
}

/// Ends the records of this process once its work is done, whatever came of that: the next process goes on with its chains.
pub async fn recorded<T, E: Into<Failure>>(vault: &Vault, done: Result<T, E>) -> Result<T> {
    let ended = vault.end_records().await;
    let done = done.map_err(Into::into)?;
    ended?;
    Ok(done)
}

/// The vault that an operator's command works on.
#[derive(clap::Args)]
pub struct Place {
    /// The data directory of a `dev` vault, instead of the settings below; it works beside a running server
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    #[command(flatten)]
    backend: BackendSettings,
    #[command(flatten)]
    keys: KeySettings,
    #[command(flatten)]
    log: LogSettings,
}

impl Place {
    /// Opens it. Whatever is done in it is recorded under the installation's key, so that nothing goes without keys.
    pub async fn vault(&self) -> Result<Vault> {
        Ok(self.open().await?.0)
    }

    /// The same, with where its master keys are.
    pub async fn open(&self) -> Result<(Vault, Keys)> {
        let (backend, keys, log) = match &self.data_dir {
            Some(path) => {
                let log = Log::of(&self.log, "warn")?;
                let dir = DataDir::open(path)?;
                (dir.backend()?, Keys::in_file(dir.keyring()), log)
            }
            None => config::of_command(&self.backend, &self.keys, &self.log, &Secrets::from_env())?,
        };
        logs::begin(log);
        let store = store(&backend)?;
        let authorizer = authorizer(&backend, &store).await?;
        let vault = Vault::new(store, authorizer, master_keys(&keys)?, Arc::new(SystemClock), Duration::MAX);
        Ok((vault, keys))
    }
}
