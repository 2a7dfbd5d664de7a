//! Starting the command: a process that is there, with everything the command will have but its
//! variables, and becomes the command when it is told them.
//!
//! It is started before the vault is asked, so that both take their time at once. It dies with the
//! process that started it, and so does the command (`PR_SET_PDEATHSIG`).

use super::descriptors::{Inheritable, Inherited};
use super::helper::{Helper, not_for_people};
use super::program::Program;
use super::signals::Inheritance;
use crate::agent::exec::environment::Environment;
use crate::agent::{AgentFailure, Result};
use crate::command::CommandFailure;
use rustix::io::Errno;
use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};
use std::ffi::{CString, OsStr, OsString};
use std::fs::File;
use std::io::{self, ErrorKind, PipeReader, PipeWriter, Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::process::{Command, Stdio};
use zeroize::Zeroizing;

/// Maximum size of the variables, in bytes. The kernel's limit for arguments and variables together
/// is lower unless somebody raised it.
const MAX_ENVIRONMENT: u64 = 64 * 1024 * 1024;

/// Variables as the command's process is told them: each with a zero byte behind it, and then an
/// empty one, which says that these are all. Without it, the sender has died.
pub struct Variables(Zeroizing<Vec<u8>>);

impl Variables {
    /// Of an environment.
    ///
    /// # Errors
    /// When a value holds a zero byte.
    pub fn of(environment: &Environment) -> Result<Self> {
        let variables = environment.variables();
        let length = variables.iter().map(|(name, value)| name.len() + value.len() + 2).sum::<usize>() + 1;
        // One that grows leaves copies behind.
        let mut text = Zeroizing::new(Vec::with_capacity(length));
        for (name, value) in variables {
            if name.as_bytes().contains(&0) || value.as_bytes().contains(&0) {
                let name = name.to_string_lossy();
                return Err(AgentFailure::Input(format!("{name}: no variable can hold a zero byte; use --file")));
            }
            for part in [name.as_bytes(), b"=", value.as_bytes(), &[0]] {
                text.extend_from_slice(part);
            }
        }
        text.push(0);
        Ok(Self(text))
    }

    /// As a program is given them.
    ///
    /// # Errors
    /// When they are not complete.
    pub fn to_strings(&self) -> io::Result<Vec<CString>> {
        read_variables(&self.0)?.ok_or_else(|| ErrorKind::UnexpectedEof.into())
    }
}

/// The ends of the pipes by which the command's process is told its variables, and says why it did
/// not start.
pub struct Instructions {
    variables: PipeWriter,
    failure: PipeReader,
}

/// The other ends, which the process inherits.
pub struct Ends {
    variables: Inheritable,
    failure: Inheritable,
}

impl Instructions {
    /// The ends of this process, and those for the command's.
    ///
    /// # Errors
    /// When the process may open no more.
    pub fn make() -> io::Result<(Self, Ends)> {
        let (reader, variables) = io::pipe()?;
        let (failure, writer) = io::pipe()?;
        let ends = Ends { variables: Inheritable::of(reader)?, failure: Inheritable::of(writer)? };
        Ok((Self { variables, failure }, ends))
    }

    /// Starts the command with these variables; returns when it runs.
    ///
    /// # Errors
    /// When the program cannot be run.
    pub fn start(mut self, program: &Program, variables: Variables) -> Result {
        // Where nobody reads it, the failure says why.
        let _ = self.variables.write_all(&variables.0);
        drop((self.variables, variables));
        let mut number = Vec::new();
        self.failure.read_to_end(&mut number).map_err(CommandFailure::Runtime)?;
        match <[u8; 4]>::try_from(number.as_slice()) {
            Err(_) => Ok(()),
            Ok(number) => Err(program.not_started(&io::Error::from_raw_os_error(i32::from_ne_bytes(number)))),
        }
    }
}

impl Ends {
    /// The numbers of the inherited ends.
    pub fn to_arguments(&self) -> [String; 2] {
        [self.variables.number(), self.failure.number()]
    }
}

/// The helper that becomes the command. Standard streams and the process group are the caller's to
/// choose.
///
/// `started_as` is the process that somebody started as `exec`.
pub fn helper(
    ends: &[String; 2],
    inherited: &Inheritance,
    started_as: &OsStr,
    words: impl Iterator<Item = impl AsRef<OsStr>>,
) -> Command {
    let mut command = Helper::Start.command();
    command.args(ends).arg(inherited.to_argument()).arg(started_as).arg(std::process::id().to_string()).args(words);
    command.stdin(Stdio::inherit()).stdout(Stdio::inherit()).stderr(Stdio::inherit());
    command
}

/// Becomes the command. Returns only when the parent gave up, or when execve(2) fails.
///
/// # Errors
/// When the arguments are wrong.
pub fn become_command(mut arguments: impl Iterator<Item = OsString>) -> Result {
    let mut next = || arguments.next().unwrap_or_default();
    let (variables, failure) = (Inherited::parse(&next()), Inherited::parse(&next()));
    let inherited = next().to_str().and_then(Inheritance::parse);
    let (started_as, parent) = (next(), next());
    let (Some(variables), Some(failure), Some(inherited)) = (variables, failure, inherited) else {
        return Err(not_for_people());
    };
    let Some(program) = Program::parse(arguments) else { return Ok(()) };
    let mut failure = failure.writer().map_err(CommandFailure::Runtime)?;
    let error = match prepare(variables, &inherited, &started_as, &parent) {
        Ok(None) => return Ok(()),
        Ok(Some(variables)) => program.become_with(&variables),
        Err(error) => error,
    };
    // Without a number, the parent would take the end of the pipe for a start.
    failure.write_all(&number_of(&error).to_ne_bytes()).map_err(|error| CommandFailure::Runtime(error).into())
}

/// Waits for the variables. `None` when the parent is gone, or gave up.
fn prepare(
    variables: Inherited,
    inherited: &Inheritance,
    started_as: &OsStr,
    parent: &OsStr,
) -> io::Result<Option<Vec<CString>>> {
    let variables = variables.reader()?;
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // It may have died before.
    let parent_now = getppid().map(|pid| pid.as_raw_nonzero().to_string());
    if parent_now.as_deref() != parent.to_str() {
        return Ok(None);
    }
    let Some(mut variables) = receive_variables(variables)? else { return Ok(None) };
    let own = format!("LISTEN_PID={}", std::process::id());
    let handed = [b"LISTEN_PID=", started_as.as_encoded_bytes()].concat();
    for variable in &mut variables {
        // A service manager's descriptors are for the process that it started (sd_listen_fds(3)).
        if variable.to_bytes() == handed {
            *variable = CString::new(own.clone())?;
        }
    }
    inherited.apply()?;
    Ok(Some(variables))
}

fn receive_variables(from: File) -> io::Result<Option<Vec<CString>>> {
    let mut text = Zeroizing::new(Vec::new());
    from.take(MAX_ENVIRONMENT).read_to_end(&mut text)?;
    if text.len() as u64 == MAX_ENVIRONMENT {
        return Err(Errno::TOOBIG.into());
    }
    read_variables(&text)
}

fn read_variables(text: &[u8]) -> io::Result<Option<Vec<CString>>> {
    let mut variables = Vec::new();
    for variable in text.split_inclusive(|byte| *byte == 0) {
        if variable == [0] {
            return Ok(Some(variables));
        }
        variables.push(CString::from_vec_with_nul(variable.to_vec()).map_err(|_| ErrorKind::UnexpectedEof)?);
    }
    Ok(None)
}

/// The system's number of an error, by which another process is told it.
pub fn number_of(error: &io::Error) -> i32 {
    error.raw_os_error().unwrap_or(Errno::INVAL.raw_os_error())
}

/// A process' id, as signals take it.
pub fn pid_of(child: &std::process::Child) -> io::Result<Pid> {
    let id = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    id.ok_or_else(|| io::Error::other("the process was lost sight of"))
}
