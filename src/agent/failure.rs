//! Why an agent's command did not do its work, by the exit statuses that scripts go by.

use crate::command::{CommandFailure, Problems};

/// The result of an agent's command.
pub type Result<T = (), E = AgentFailure> = std::result::Result<T, E>;

/// Why an agent's command did not do its work. None of the texts holds a secret.
#[derive(Debug, thiserror::Error)]
pub enum AgentFailure {
    /// A failure that any command can meet.
    #[error(transparent)]
    Command(#[from] CommandFailure),
    /// The secrets that were asked for have expired.
    #[error("{}: expired; ask a Responsible person of the project to rotate it", .0.join(", "))]
    Expired(Vec<String>),
    /// The secrets that were asked for do not exist for this agent.
    #[error(
        "{}: not found for this agent; `project-vault exec --dry-run` lists what there is", .0.join(", ")
    )]
    NotFound(Vec<String>),
    /// The vault refuses.
    #[error("the vault refuses: {0}")]
    Refused(String),
    /// The vault cannot be asked, or fails.
    #[error("{0}")]
    Unreachable(String),
    /// The arguments or settings are wrong.
    #[error("{0}")]
    Input(String),
    /// Files with secrets could not be removed.
    #[error("some files could not be removed")]
    FilesLeft,
    /// The command does not exist.
    #[error("{0}: command not found")]
    NoCommand(String),
    /// The command cannot be run.
    #[error("{command}: cannot be run: {reason}")]
    CannotRun {
        /// The command.
        command: String,
        /// Why it cannot.
        reason: String,
    },
}

impl AgentFailure {
    /// The exit status of `cli.md`; 126 and 127 are a shell's.
    #[must_use]
    pub fn status(&self) -> u8 {
        match self {
            Self::Command(failure) => failure.status(),
            Self::FilesLeft => 1,
            Self::Input(_) => 2,
            Self::Expired(_) => 3,
            Self::NotFound(_) => 4,
            Self::Refused(_) => 5,
            Self::Unreachable(_) => 6,
            Self::CannotRun { .. } => 126,
            Self::NoCommand(_) => 127,
        }
    }
}

impl From<Problems> for AgentFailure {
    fn from(problems: Problems) -> Self {
        CommandFailure::from(problems).into()
    }
}
