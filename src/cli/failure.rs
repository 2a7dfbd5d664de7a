//! The failures of operators' commands, and their exit status.

use crate::agent::AgentFailure;
use crate::command::{CommandFailure, Problems};
use crate::crypto::KeyringError;
use crate::domain::with_causes;
use crate::http::StartError;
use crate::http::tokens::SignerError;
use crate::vault::InstallationError;
use crate::{domain, store};
use std::io;
use std::path::PathBuf;

/// The result of a command.
pub type Result<T = (), E = Failure> = std::result::Result<T, E>;

/// Why a command failed. None of the texts holds a secret.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// A failure that any command can meet.
    #[error(transparent)]
    Command(#[from] CommandFailure),
    /// The arguments do not go together.
    #[error("{0}; see --help")]
    Usage(String),
    /// An agent's command failed.
    #[error(transparent)]
    Agent(#[from] AgentFailure),
    /// The database failed.
    #[error("{}; check DATABASE_URL and the database", with_causes(.0))]
    Store(#[from] store::Error),
    /// The tables are not those of this version.
    #[error("the database is not up to date; run `project-vault migrate`, or serve with --migrate")]
    NotMigrated,
    /// The installation or OpenFGA is not as it was set up.
    #[error("{}", of_installation(.0))]
    Installation(#[from] InstallationError),
    /// The keyring cannot be used.
    #[error("{}", with_causes(.0))]
    Keyring(#[from] KeyringError),
    /// The vault refused the operation, or failed.
    #[error("{}", of_vault(.0))]
    Vault(#[from] domain::Error),
    /// A development token could not be made.
    #[error(transparent)]
    Signer(#[from] SignerError),
    /// There is no data directory of a `dev` vault.
    #[error(
        "there is no dev vault in {}; create it with `project-vault dev --data-dir DIR`, or name another with --data-dir", .0.display()
    )]
    NoDataDir(PathBuf),
    /// The data directory cannot be used.
    #[error("the data directory {}: {problem}", path.display())]
    DataDir {
        /// The directory.
        path: PathBuf,
        /// What is wrong, and what to do.
        problem: &'static str,
    },
    /// An address cannot be bound, or the certificate cannot be used.
    #[error(transparent)]
    Listen(#[from] StartError),
    /// The server stopped unexpectedly.
    #[error("the server stopped: {0}")]
    Stopped(String),
    /// A check found something wrong.
    #[error("{0}")]
    CheckFailed(String),
    /// A check could not be made.
    #[error(transparent)]
    CheckNotMade(Box<Failure>),
    /// The command did only part of its work.
    #[error("{0}")]
    Incomplete(String),
}

fn of_installation(error: &InstallationError) -> String {
    match error {
        InstallationError::Vault(error) => of_vault(error),
        InstallationError::NotSetUp
        | InstallationError::Forged(_)
        | InstallationError::SignedBefore { .. }
        | InstallationError::Unsigned { .. }
        | InstallationError::Authorizer(_) => with_causes(error),
    }
}

/// Tells the operator, who runs this command, about internal errors; callers of the API are told
/// nothing of them.
fn of_vault(error: &domain::Error) -> String {
    match error {
        domain::Error::Internal(source) => with_causes(&**source),
        other => with_causes(other),
    }
}

impl Failure {
    /// A file that cannot be read or written.
    pub fn file(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let failure = CommandFailure::file(path);
        |error| failure(error).into()
    }

    /// The exit status (`cli.md`).
    pub fn status(&self) -> u8 {
        match self {
            Self::CheckNotMade(failure) => match failure.status() {
                2 => 2,
                _ => 6,
            },
            Self::Usage(_) => 2,
            Self::Command(failure) => failure.status(),
            Self::Agent(failure) => failure.status(),
            Self::Store(_)
            | Self::NotMigrated
            | Self::Installation(_)
            | Self::Keyring(_)
            | Self::Vault(_)
            | Self::Signer(_)
            | Self::NoDataDir(_)
            | Self::DataDir { .. }
            | Self::Listen(_)
            | Self::Stopped(_)
            | Self::CheckFailed(_)
            | Self::Incomplete(_) => 1,
        }
    }
}

impl From<Problems> for Failure {
    fn from(problems: Problems) -> Self {
        CommandFailure::from(problems).into()
    }
}
