//! The processes that `exec` starts of this same program. Each is a hidden command, which neither
//! `--help` nor completions name: their arguments are made by this program.

use super::{monitor, start, witness};
use crate::agent::exec::files;
use crate::agent::{AgentFailure, Result};
use crate::command::report;
use rustix::thread::set_name;
use std::ffi::CStr;
use std::process::{Command, ExitCode, Stdio};

/// A helper: what it is called among the arguments.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Helper {
    /// Becomes the command once it is told the variables.
    Start,
    /// Leads the session of a command that has a terminal of its own.
    Monitor,
    /// Tells which signals were sent to the whole process group.
    Witness,
    /// Removes files when the process that named them is gone.
    GuardFiles,
}

impl Helper {
    const ALL: [Self; 4] = [Self::Start, Self::Monitor, Self::Witness, Self::GuardFiles];

    const fn name(self) -> &'static str {
        match self {
            Self::Start => "start-command",
            Self::Monitor => "monitor-terminal",
            Self::Witness => "witness-signals",
            Self::GuardFiles => "guard-files",
        }
    }

    /// The name of the process. It differs from `project-vault`, so that `pkill project-vault` ends
    /// what somebody started, and not the helpers.
    const fn process_name(self) -> &'static CStr {
        match self {
            Self::Start => c"project-vault",
            Self::Monitor => c"vault-monitor",
            Self::Witness => c"vault-witness",
            Self::GuardFiles => c"vault-guardian",
        }
    }

    /// This program as the helper. It has no variables, and its standard input and output go
    /// nowhere unless that is changed.
    pub fn command(self) -> Command {
        use std::os::unix::process::CommandExt as _;
        let mut command = Command::new("/proc/self/exe");
        command.arg0(self.process_name().to_str().unwrap_or_default()).arg(self.name()).env_clear();
        // With a group, std forks instead of using posix_spawn(3), which has the program ignore
        // glibc's signals 32 and 33. The group stays as it is. Where no group may be set, the two
        // signals are ignored.
        let group = rustix::process::getegid();
        if rustix::thread::set_thread_gid(group).is_ok() {
            command.gid(group.as_raw());
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }
}

/// Runs as the helper that this process was started as, if it was; gives the exit status.
#[must_use]
pub fn run_as_helper() -> Option<ExitCode> {
    let mut arguments = std::env::args_os();
    let called = arguments.by_ref().nth(1)?;
    let helper = Helper::ALL.into_iter().find(|helper| called == helper.name())?;
    // Otherwise it is called after the link by which it was started.
    let _ = set_name(helper.process_name());
    let ended: Result = match helper {
        Helper::Start => start::become_command(arguments),
        Helper::Monitor => monitor::monitor(arguments),
        Helper::Witness => witness::witness(),
        Helper::GuardFiles => files::guard(),
    };
    Some(ended.map_or_else(|failure| report(&failure, failure.status()), |()| ExitCode::SUCCESS))
}

/// What somebody is told who starts a helper by hand.
pub fn not_for_people() -> AgentFailure {
    AgentFailure::Input("this command is for the program itself".to_owned())
}
