//! All settings, validated together into typed configurations. An invalid configuration reports all
//! its problems at once, each with the name of its setting. Nothing else reads the environment.

mod backend;
mod keys;
mod log;
mod reading;
mod server;
mod settings;
#[cfg(test)]
mod tests;

pub use backend::{Authz, Backend};
pub use keys::{KeyConfig, KeyringSource, Provider};
pub use log::{Log, LogFormat};
pub use server::{Server, listen_addresses};
pub use settings::{
    BackendSettings, KeySettings, LogSettings, SECRET_VARIABLES, SECRETS_HELP, Secrets, ServerSettings,
};

use crate::command::{Problems, SettingReader};

/// The configuration of `serve`.
pub struct Config {
    /// The database and the authorizer.
    pub backend: Backend,
    /// The providers of the master keys.
    pub keys: KeyConfig,
    /// Addresses, issuers and limits.
    pub server: Server,
    /// The log's filter and format.
    pub log: Log,
}

impl Config {
    /// Validates all settings of a server.
    ///
    /// # Errors
    /// All problems.
    pub fn of_server(
        backend: &BackendSettings,
        keys: &KeySettings,
        server: &ServerSettings,
        log: &LogSettings,
        secrets: &Secrets,
    ) -> Result<Self, Problems> {
        let mut reader = SettingReader::default();
        let backend = backend::read(&mut reader, backend, secrets);
        let keys = keys::read(&mut reader, keys, secrets);
        let server = server::read(&mut reader, server);
        let log = log::read(&mut reader, log, "info");
        let config = match (backend, keys, server, log) {
            (Some(backend), Some(keys), Some(server), Some(log)) => Some(Self { backend, keys, server, log }),
            _ => None,
        };
        reader.finish(config)
    }
}

/// Validates the settings of a command that works on a server's data.
///
/// # Errors
/// All problems.
pub fn of_command(
    backend: &BackendSettings,
    keys: &KeySettings,
    log: &LogSettings,
    secrets: &Secrets,
) -> Result<(Backend, KeyConfig, Log), Problems> {
    let mut reader = SettingReader::default();
    let backend = backend::read(&mut reader, backend, secrets);
    let keys = keys::read(&mut reader, keys, secrets);
    let all = match (backend, keys, log::read(&mut reader, log, "warn")) {
        (Some(backend), Some(keys), Some(log)) => Some((backend, keys, log)),
        _ => None,
    };
    reader.finish(all)
}
