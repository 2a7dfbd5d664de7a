//! The command as a process: it runs as if it ran alone.
//!
//! The command's process is started before the vault is asked (`start`), and becomes the command
//! when it is told its variables. What it writes passes through `pump`. Where it writes to a
//! terminal, it gets one of its own, under a `monitor`; otherwise it is in the process group of
//! `exec`, so that whoever ends the group ends the command, and a prompt on `/dev/tty` works.

mod descriptors;
mod helper;
mod keys;
mod messages;
mod monitor;
mod own_terminal;
mod program;
mod pump;
mod reap;
mod same_group;
mod signals;
mod start;
mod witness;

pub use descriptors::close_inherited;
pub use helper::{Helper, run_as_helper};
pub use program::Program;
pub use signals::{Inheritance, ignore_signals};

use super::environment::Environment;
use super::matcher::LazyMatcher;
use crate::agent::{AgentFailure, Result};
use crate::command::{CommandFailure, notice};
use messages::Ending;
use own_terminal::OnTerminal;
use pump::Failure;
use rustix::event::Timespec;
use rustix::process::Signal;
use same_group::InGroup;
use start::Variables;
use std::ffi::OsString;

/// For poll(2): without waiting.
const AT_ONCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };

/// A started process that waits for its variables.
pub struct Waiting {
    program: Program,
    place: Place,
}

enum Place {
    /// The command takes this process' place.
    Own,
    InGroup(InGroup),
    OnTerminal(Box<OnTerminal>),
}

/// How a command runs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// In the place of this process: nothing is left to be done.
    InPlace,
    /// Beside this process, which has something to do at its end.
    Beside,
    /// Beside this process, which passes on what it writes.
    Redacted,
}

impl Waiting {
    /// Finds the program, and starts the process.
    ///
    /// # Errors
    /// When there is no such program, or when the system gives no process.
    pub fn start(command: &[OsString], environment: &Environment, mode: Mode) -> Result<Self> {
        let program = Program::find(command, environment.get("PATH"))?;
        let place = match (mode, own_terminal::UsersTerminal::find()) {
            (Mode::InPlace, _) => Ok(Place::Own),
            (Mode::Redacted, Some(terminal)) => {
                OnTerminal::start(terminal, &program).map(Box::new).map(Place::OnTerminal)
            }
            (mode, _) => InGroup::start(&program, mode == Mode::Redacted).map(Place::InGroup),
        };
        Ok(Self { program, place: place.map_err(CommandFailure::Runtime)? })
    }

    /// Runs the command with these variables; gives its exit status. The matcher is asked for where
    /// output is passed on.
    ///
    /// # Errors
    /// When it cannot be run.
    pub fn run(self, environment: Environment, matcher: impl FnOnce() -> LazyMatcher) -> Result<u8> {
        let variables = Variables::of(&environment)?;
        // It holds secrets.
        drop(environment);
        match self.place {
            Place::Own => {
                let variables = variables.to_strings().map_err(CommandFailure::Runtime)?;
                Inheritance::of_process().and_then(|own| own.apply()).map_err(CommandFailure::Runtime)?;
                Err(self.program.not_started(&self.program.become_with(&variables)))
            }
            Place::InGroup(place) => place.run(&self.program, variables, matcher),
            Place::OnTerminal(place) => place.run(&self.program, variables, matcher),
        }
    }
}

/// How running a command has ended.
struct Done {
    ending: Ending,
    /// Why not all of its output was passed on.
    failure: Option<Failure>,
    by_terminal: ByTerminal,
}

/// Whether a terminal sent a signal that ends processes, and to whom.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ByTerminal {
    No,
    /// The kernel sent it to the whole process group of `exec`.
    ToGroup,
    /// A key was passed on to the command, and nobody else knows of it.
    ToCommand,
}

impl Done {
    /// The exit status, unless a terminal's signal ends this process first.
    fn code(self) -> u8 {
        if let Some(failure) = self.failure {
            notice(&format!("the command's output cannot be written: {failure}"));
            return self.ending.code().max(1);
        }
        if let Ending::Signal(number) = self.ending
            && let Some(signal) = Signal::from_named_raw(number)
            && self.by_terminal != ByTerminal::No
        {
            signals::die_of(signal, self.by_terminal == ByTerminal::ToCommand);
        }
        self.ending.code()
    }
}

/// The process that watches over the command was killed.
fn lost() -> AgentFailure {
    CommandFailure::Runtime(std::io::Error::other("somebody ended what watches over the command")).into()
}
