//! Running the command between pipes, and what running it has in common on a terminal.

use super::environment::Environment;
use super::matcher::LazyMatcher;
use super::pump::pump;
use crate::agent::{AgentFailure, Result};
use crate::command::CommandFailure;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use std::ffi::{OsStr, OsString};
use std::io::{self, ErrorKind, IsTerminal as _, PipeWriter};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot};

/// A command to run.
pub struct Job {
    /// The command with its arguments.
    pub command: Vec<OsString>,
    /// Its variables.
    pub environment: Environment,
}

impl Job {
    /// The program, as far as it can be told before it runs.
    ///
    /// # Errors
    /// When it is not there, or cannot be run.
    pub fn program(&self) -> Result<PathBuf, AgentFailure> {
        let name = self.command.first().cloned().unwrap_or_default();
        let shown = || name.to_string_lossy().into_owned();
        let is_path = name.to_string_lossy().contains('/');
        let path = self.environment.get("PATH").unwrap_or(OsStr::new("/usr/local/bin:/usr/bin:/bin"));
        let places: Vec<PathBuf> = if is_path {
            vec![PathBuf::from(&name)]
        } else {
            std::env::split_paths(path).map(|folder| folder.join(&name)).collect()
        };
        let there: Vec<&PathBuf> =
            places.iter().filter(|place| place.is_file() || (is_path && place.exists())).collect();
        match there.iter().find(|place| is_executable(place)) {
            Some(found) => Ok((**found).clone()),
            None if there.is_empty() || name.is_empty() => Err(AgentFailure::NoCommand(shown())),
            None => Err(AgentFailure::CannotRun {
                command: shown(),
                reason: "it is no program, or not yours to run".to_owned(),
            }),
        }
    }

    /// A command as the standard library runs it.
    ///
    /// # Errors
    /// When the program is not there, or cannot be run.
    pub fn to_command(&self) -> Result<Command, AgentFailure> {
        let mut command = Command::new(self.program()?);
        let mut words = self.command.iter();
        command.arg0(words.next().cloned().unwrap_or_default()).args(words);
        command.env_clear().envs(self.environment.variables().iter().map(|(name, value)| (name, value)));
        Ok(command)
    }

    /// Why it did not start.
    pub fn not_started(&self, error: &io::Error) -> AgentFailure {
        let command = self.command.first().cloned().unwrap_or_default().to_string_lossy().into_owned();
        match error.kind() {
            ErrorKind::NotFound => AgentFailure::NoCommand(command),
            ErrorKind::ArgumentListTooLong => AgentFailure::CannotRun {
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

/// Turns this process into the command. Returns only when that does not work.
pub fn become_command(job: &Job) -> Result<u8> {
    let error = job.to_command()?.exec();
    Err(job.not_started(&error))
}

/// Runs the command with its standard input as it is and its output through a redactor each.
pub async fn run_between_pipes(job: &Job, redacting: Option<LazyMatcher>) -> Result<u8> {
    let mut signals = Signals::catch().map_err(CommandFailure::Runtime)?;
    let mut command = job.to_command()?;
    // The terminal's signals reach the processes of its foreground group, and that group alone may
    // read from it. Without one, the command has a group of its own, to which signals are passed
    // on.
    let shares_terminal = io::stdin().is_terminal();
    if !shares_terminal {
        command.process_group(0);
    }
    let mut streams = Vec::new();
    if let Some(matcher) = &redacting {
        let (out, err) = (io::stdout().as_fd().try_clone_to_owned(), io::stderr().as_fd().try_clone_to_owned());
        let (out, err) = (out.map_err(CommandFailure::Runtime)?, err.map_err(CommandFailure::Runtime)?);
        let (reader, writer) = io::pipe().map_err(CommandFailure::Runtime)?;
        // Where both go to one place, they keep their order.
        if is_same(&out, &err) {
            command.stderr(writer.try_clone().map_err(CommandFailure::Runtime)?);
        } else {
            let (reader, writer) = io::pipe().map_err(CommandFailure::Runtime)?;
            command.stderr(writer);
            streams.push((reader, err, matcher.clone()));
        }
        command.stdout(writer);
        streams.push((reader, out, matcher.clone()));
    }
    let child = command.spawn().map_err(|error| job.not_started(&error))?;
    // With it go our ends of the pipes it writes to.
    drop(command);
    let pid = pid_of(child.id())?;
    let (ended, end) = io::pipe().map_err(CommandFailure::Runtime)?;
    let mut pumps = Vec::new();
    for (from, to, matcher) in streams {
        let ended = ended.try_clone().map_err(CommandFailure::Runtime)?;
        pumps.push(std::thread::spawn(move || pump(from, to, &matcher, &ended)));
    }
    let mut done = when_ended(child, end);
    let status = loop {
        tokio::select! {
            status = &mut done => break status.map_err(|_| lost())?,
            caught = signals.next() => {
                if shares_terminal {
                    // It has reached the command already where the terminal sends it.
                    if !caught.of_terminal {
                        let _ = kill_process(pid, caught.signal);
                    }
                } else {
                    forward(pid, caught.signal);
                }
            }
        }
    };
    for pump in pumps {
        // The reader of our output may be gone; the command has noticed as it would have without
        // us.
        let _ = pump.join();
    }
    Ok(code(status.map_err(CommandFailure::Runtime)?))
}

/// Passes a signal on to the command and what it has started. A process may be gone by then.
pub fn forward(pid: Pid, signal: Signal) {
    let _ = kill_process_group(pid, signal);
    if signal == Signal::TSTP {
        // Stops as the command does, until somebody continues both.
        let _ = kill_process(rustix::process::getpid(), Signal::STOP);
    }
}

/// Waits in a thread of its own; the writing end is closed when the command has ended.
pub fn when_ended(mut child: Child, end: PipeWriter) -> oneshot::Receiver<io::Result<ExitStatus>> {
    let (sender, receiver) = oneshot::channel();
    std::thread::spawn(move || {
        let status = child.wait();
        drop(end);
        // The receiver is there as long as the process is.
        let _ = sender.send(status);
    });
    receiver
}

/// A process' id, as signals take it.
pub fn pid_of(id: u32) -> Result<Pid> {
    i32::try_from(id).ok().and_then(Pid::from_raw).ok_or_else(lost)
}

/// The command is not to be found any more.
pub fn lost() -> AgentFailure {
    CommandFailure::Runtime(io::Error::other("the command was lost sight of")).into()
}

/// The exit status as a shell gives it.
pub fn code(status: ExitStatus) -> u8 {
    let signal = status.signal().and_then(|signal| u8::try_from(128 + signal).ok());
    status.code().map(|code| u8::try_from(code & 0xff).unwrap_or(u8::MAX)).or(signal).unwrap_or(u8::MAX)
}

fn is_same(one: &OwnedFd, other: &OwnedFd) -> bool {
    let place = |fd: &OwnedFd| rustix::fs::fstat(fd).map(|found| (found.st_dev, found.st_ino));
    matches!((place(one), place(other)), (Ok(one), Ok(other)) if one == other)
}

/// A signal that this process was sent.
#[derive(Clone, Copy)]
pub struct Caught {
    /// The signal.
    pub signal: Signal,
    /// Whether a terminal sends it to its foreground group.
    of_terminal: bool,
}

/// The signals that are passed on.
pub struct Signals(mpsc::UnboundedReceiver<Caught>);

impl Signals {
    /// Catches them from now on.
    ///
    /// # Errors
    /// When the system does not let it.
    pub fn catch() -> io::Result<Self> {
        let terminal = io::stdin().is_terminal();
        let mut kinds = vec![
            (SignalKind::interrupt(), Signal::INT, true),
            (SignalKind::quit(), Signal::QUIT, true),
            (SignalKind::terminate(), Signal::TERM, false),
            (SignalKind::hangup(), Signal::HUP, false),
            (SignalKind::user_defined1(), Signal::USR1, false),
            (SignalKind::user_defined2(), Signal::USR2, false),
        ];
        if !terminal {
            // On a terminal both stop and go on by themselves.
            kinds.push((SignalKind::from_raw(Signal::TSTP.as_raw()), Signal::TSTP, true));
            kinds.push((SignalKind::from_raw(Signal::CONT.as_raw()), Signal::CONT, false));
        }
        let (sender, receiver) = mpsc::unbounded_channel();
        for (kind, signal_of, of_terminal) in kinds {
            let mut stream = signal(kind)?;
            let sender = sender.clone();
            tokio::spawn(async move {
                while stream.recv().await.is_some() {
                    if sender.send(Caught { signal: signal_of, of_terminal }).is_err() {
                        break;
                    }
                }
            });
        }
        Ok(Self(receiver))
    }

    /// The next one.
    pub async fn next(&mut self) -> Caught {
        match self.0.recv().await {
            Some(caught) => caught,
            None => std::future::pending().await,
        }
    }
}
