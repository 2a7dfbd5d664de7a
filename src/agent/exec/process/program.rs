//! The program of a command: finding it, and taking its place.

use crate::agent::AgentFailure;
use rustix::io::Errno;
use std::ffi::{CString, OsStr, OsString};
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// Where programs are looked for without a PATH, as by execvp(3).
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";
/// Runs a script that names no interpreter (execvp(3)).
const SHELL: &str = "/bin/sh";

/// A command whose program was found.
pub struct Program {
    /// The program's file.
    path: PathBuf,
    /// Its arguments, the first of which is the program as it was typed.
    arguments: Vec<OsString>,
}

impl Program {
    /// Finds the program of a command.
    ///
    /// # Errors
    /// When it is not there, or cannot be run.
    pub fn find(command: &[OsString], path: Option<&OsStr>) -> Result<Self, AgentFailure> {
        let name = command.first().cloned().unwrap_or_default();
        let shown = || name.to_string_lossy().into_owned();
        let is_path = name.as_bytes().contains(&b'/');
        let places: Vec<PathBuf> = if is_path {
            vec![PathBuf::from(&name)]
        } else {
            std::env::split_paths(path.unwrap_or(OsStr::new(DEFAULT_PATH))).map(|folder| folder.join(&name)).collect()
        };
        let there: Vec<&PathBuf> =
            places.iter().filter(|place| place.is_file() || (is_path && place.exists())).collect();
        match there.iter().find(|place| is_executable(place)) {
            Some(found) => Ok(Self { path: (**found).clone(), arguments: command.to_vec() }),
            None if there.is_empty() || name.is_empty() => Err(AgentFailure::NoCommand(shown())),
            None => Err(AgentFailure::CannotRun {
                command: shown(),
                reason: "it is no program, or not yours to run".to_owned(),
            }),
        }
    }

    /// The words by which a helper is told it: its file, then its arguments.
    pub fn to_arguments(&self) -> impl Iterator<Item = &OsStr> {
        std::iter::once(self.path.as_os_str()).chain(self.arguments.iter().map(OsString::as_os_str))
    }

    /// Reads [`Self::to_arguments`].
    pub fn parse(mut arguments: impl Iterator<Item = OsString>) -> Option<Self> {
        Some(Self { path: arguments.next()?.into(), arguments: arguments.collect() })
    }

    /// Turns this process into the program. Returns only when that does not work.
    pub fn become_with(&self, environment: &[CString]) -> io::Error {
        let run = |path: &Path, arguments: &[OsString]| -> io::Error {
            let words =
                arguments.iter().map(|argument| CString::new(argument.as_bytes())).collect::<Result<Vec<_>, _>>();
            match (CString::new(path.as_os_str().as_bytes()), words) {
                (Ok(path), Ok(words)) => match nix::unistd::execve(&path, &words, environment) {
                    Err(error) => error.into(),
                },
                _ => io::ErrorKind::InvalidInput.into(),
            }
        };
        let error = run(&self.path, &self.arguments);
        if error.raw_os_error() != Some(Errno::NOEXEC.raw_os_error()) || !is_text(&self.path) {
            return error;
        }
        // A script that names no interpreter: what looks for programs by PATH has a shell run it.
        let mut arguments = vec![SHELL.into(), self.path.clone().into_os_string()];
        arguments.extend(self.arguments.iter().skip(1).cloned());
        run(Path::new(SHELL), &arguments)
    }

    /// Why it did not start.
    pub fn not_started(&self, error: &io::Error) -> AgentFailure {
        let command = self.arguments.first().cloned().unwrap_or_default().to_string_lossy().into_owned();
        match error.kind() {
            io::ErrorKind::NotFound => AgentFailure::NoCommand(command),
            io::ErrorKind::ArgumentListTooLong => AgentFailure::CannotRun {
                command,
                reason: "its environment would be too large; use --only, or --file for large values".to_owned(),
            },
            _ => AgentFailure::CannotRun { command, reason: error.to_string() },
        }
    }
}

fn is_executable(path: &Path) -> bool {
    let mode = path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0);
    mode && rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok()
}

/// Whether a file may be a script: shells take one for a program of another machine that has a
/// zero byte in its first line.
fn is_text(path: &Path) -> bool {
    let mut beginning = Vec::new();
    let read = File::open(path).and_then(|file| file.take(256).read_to_end(&mut beginning));
    let first_line = beginning.split(|byte| *byte == b'\n').next().unwrap_or_default();
    read.is_ok() && !first_line.contains(&0)
}
