//! Every setting, validated together into typed configurations. A bad configuration gives every problem at once, each naming
//! its setting. Nothing else reads the environment.

mod backend;
mod client;
mod log;
mod problems;
mod server;
mod settings;
#[cfg(test)]
mod tests;

pub use backend::{Authz, Backend};
pub use client::{
    Client, ClientSettings, TOKEN_FILE_VARIABLE, TOKEN_HELP, TOKEN_VARIABLE, TokenSettings, client_token,
};
pub use log::{Log, LogFormat};
pub use problems::Problems;
pub use server::{KeyringSource, Server, listen_address};
pub use settings::{BackendSettings, LogSettings, SECRET_VARIABLES, SECRETS_HELP, Secrets, ServerSettings};

pub(crate) use problems::with_causes;

use problems::Reader;

/// The configuration of `serve`.
pub struct Config {
    /// Where the vault keeps things, and who decides.
    pub backend: Backend,
    /// What the server needs besides.
    pub server: Server,
    /// What is logged.
    pub log: Log,
}

impl Config {
    /// Validates all settings of a server.
    ///
    /// # Errors
    /// Every problem there is.
    pub fn of_server(
        backend: &BackendSettings,
        server: &ServerSettings,
        log: &LogSettings,
        secrets: &Secrets,
    ) -> Result<Self, Problems> {
        let mut reader = Reader::default();
        let backend = backend::read(&mut reader, backend, secrets);
        let server = server::read(&mut reader, server);
        let log = log::read(&mut reader, log, "info");
        let config = match (backend, server, log) {
            (Some(backend), Some(server), Some(log)) => Some(Self { backend, server, log }),
            _ => None,
        };
        reader.finish(config)
    }
}

/// Validates what a command needs that works on the data of a server.
///
/// # Errors
/// Every problem there is.
pub fn of_command(backend: &BackendSettings, log: &LogSettings, secrets: &Secrets) -> Result<(Backend, Log), Problems> {
    let mut reader = Reader::default();
    let both = backend::read(&mut reader, backend, secrets).zip(log::read(&mut reader, log, "warn"));
    reader.finish(both)
}
