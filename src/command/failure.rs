//! The failures that any command can meet, and how failures are reported.

use super::{Printable, Problems};
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

/// The status of a command whose output nobody reads to its end, as in `project-vault schema |
/// head`: that of programs that SIGPIPE kills (128 + 13). Nothing is reported then.
const CLOSED_PIPE: u8 = 141;

/// Why a command cannot begin, or cannot hand over its result. No text holds a secret.
#[derive(Debug, thiserror::Error)]
pub enum CommandFailure {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] Problems),
    /// A file cannot be read or written.
    #[error("{}: {error}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why it cannot.
        error: io::Error,
    },
    /// Standard output cannot be written.
    #[error("standard output cannot be written: {0}")]
    Output(io::Error),
    /// The system refuses the process a thread, a pipe, a signal handler or the like.
    #[error("the process cannot be set up: {0}")]
    Runtime(io::Error),
}

impl CommandFailure {
    /// Wraps the error of a file operation, for `map_err`.
    pub fn file(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        |error| Self::File { path, error }
    }

    /// The exit status (`cli.md`): 2 for a wrong configuration, 141 for output that nobody reads
    /// any more, else 1.
    #[must_use]
    pub fn status(&self) -> u8 {
        match self {
            Self::Config(_) => 2,
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => CLOSED_PIPE,
            Self::File { .. } | Self::Output(_) | Self::Runtime(_) => 1,
        }
    }
}

/// Reports a failure on standard error, one line for each problem; gives the exit status back.
#[must_use]
pub fn report(failure: &dyn std::error::Error, status: u8) -> ExitCode {
    if status == CLOSED_PIPE {
        return ExitCode::from(status);
    }
    let mut err = io::stderr().lock();
    for line in Printable(failure).to_string().lines() {
        // A failure to print has nowhere to be reported.
        let _ = writeln!(err, "error: {line}");
    }
    ExitCode::from(status)
}
