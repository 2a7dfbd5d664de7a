//! All settings, validated together into typed configurations. An invalid configuration reports all
//! its problems at once, each with the name of its setting. Nothing else reads the environment.

mod backend;
mod dashboard;
mod keys;
mod log;
mod reading;
mod server;
mod settings;
#[cfg(test)]
mod tests;
mod traces;

pub use backend::{Authz, Backend};
pub use dashboard::{DevDashboard, dev_dashboard};
pub use keys::{KeyConfig, KeyringSource, Provider};
pub use log::{Log, LogFormat};
pub use server::{Server, listen_addresses};
pub use settings::{
    BackendSettings, DashboardSettings, KeySettings, LogSettings, OidcSettings, SECRET_VARIABLES, SECRETS_HELP,
    Secrets, ServerSettings,
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

/// The configuration of `serve`, as far as its settings are right.
pub struct Parts {
    /// The database and the authorizer, if their settings are right; the same below.
    pub backend: Option<Backend>,
    /// The providers of the master keys.
    pub keys: Option<KeyConfig>,
    /// Addresses, issuers and limits.
    pub server: Option<Server>,
    /// The log's filter and format.
    pub log: Option<Log>,
    /// The problems of all settings.
    pub problems: Problems,
}

impl Parts {
    /// Validates all settings of a server.
    #[must_use]
    pub fn of_server(
        backend: &BackendSettings,
        keys: &KeySettings,
        server: &ServerSettings,
        log: &LogSettings,
        secrets: &Secrets,
    ) -> Self {
        let mut reader = SettingReader::default();
        let backend = part(&mut reader, |reader| backend::read(reader, backend, secrets));
        let keys = part(&mut reader, |reader| keys::read(reader, keys, secrets));
        let server = part(&mut reader, |reader| server::read(reader, server, secrets));
        let log = part(&mut reader, |reader| log::read(reader, log, "info"));
        Self { backend, keys, server, log, problems: reader.into_problems() }
    }

    /// The whole configuration.
    ///
    /// # Errors
    /// All problems.
    pub fn complete(self) -> Result<Config, Problems> {
        match (self.backend, self.keys, self.server, self.log) {
            (Some(backend), Some(keys), Some(server), Some(log)) => Ok(Config { backend, keys, server, log }),
            _ => Err(self.problems),
        }
    }
}

/// A part of the configuration, if none of its settings has a problem.
fn part<T>(reader: &mut SettingReader, read: impl FnOnce(&mut SettingReader) -> Option<T>) -> Option<T> {
    let before = reader.problem_count();
    read(reader).filter(|_| reader.problem_count() == before)
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
