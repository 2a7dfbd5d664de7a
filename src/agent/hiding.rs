//! Keeping the token to this process: nobody else of the same user may dump or trace it, and its
//! environment does not hold the token once it works.

use super::exec::{Inheritance, Program};
use super::settings::{TOKEN_FILE_VARIABLE, TOKEN_VARIABLE};
use std::ffi::{CString, OsString};
use std::fs::File;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::FileExt as _;
use zeroize::Zeroizing;

/// Names the descriptor on which a program that started itself anew finds its token.
const HANDED_OVER: &str = "PROJECT_VAULT_TOKEN_FD";
/// As much as a pipe holds on every Linux.
const MAX_TOKEN: usize = 32 * 1024;

/// Forbids others of the same user to dump or trace this process, and core dumps with it.
/// `/proc/PID/environ`, `mem` and `maps` are root's alone from now on.
pub fn forbid_dumps() {
    use rustix::process::{DumpableBehavior, set_dumpable_behavior};
    // Where the kernel does not know it, the rest holds.
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
}

/// The token of the environment, which this process' environment does not hold any more when it has
/// returned. Call it before the process has a second thread.
///
/// The kernel shows root the memory in which a process was given its environment, whatever is
/// forbidden. So the token is erased there. Where the system does not let it, the program starts
/// itself anew, in the same process, and hands the token over on a pipe, which costs the time of a
/// second start.
pub fn take_token() -> Option<OsString> {
    // To be opened before: this process is forbidden as well, unless it is root's.
    let given = Given::open();
    forbid_dumps();
    if let Some(token) = handed_over() {
        return Some(token);
    }
    let token = std::env::var_os(TOKEN_VARIABLE)?;
    let is_erased = given.is_ok_and(|given| given.erase(TOKEN_VARIABLE).is_ok());
    // Where it cannot start itself anew, the process continues as it is: it cannot be dumped.
    if !is_erased && !token.is_empty() && token.len() <= MAX_TOKEN {
        let _ = start_anew(&token);
    }
    Some(token)
}

/// The memory in which the kernel gave this process its environment.
struct Given {
    environment: File,
    memory: File,
}

impl Given {
    fn open() -> io::Result<Self> {
        let memory = File::options().read(true).write(true).open("/proc/self/mem")?;
        Ok(Self { environment: File::open("/proc/self/environ")?, memory })
    }

    /// Leaves a variable set, to nothing.
    ///
    /// # Errors
    /// When the system does not let it. Then the variable may still be there.
    fn erase(mut self, variable: &str) -> io::Result<()> {
        let mut environment = Zeroizing::new(Vec::new());
        self.environment.read_to_end(&mut environment)?;
        let start = environment_start().ok_or(ErrorKind::Unsupported)?;
        // Nothing else is ever written to.
        let mut there = Zeroizing::new(vec![0; environment.len()]);
        self.memory.read_exact_at(&mut there, start)?;
        if there != environment {
            return Err(ErrorKind::InvalidData.into());
        }
        let mut at = start;
        for entry in environment.split(|byte| *byte == 0) {
            let value = entry.strip_prefix(variable.as_bytes()).and_then(|rest| rest.strip_prefix(b"="));
            if let Some(value) = value {
                self.memory.write_all_at(&vec![0; value.len()], at + (entry.len() - value.len()) as u64)?;
            }
            at += entry.len() as u64 + 1;
        }
        Ok(())
    }
}

/// Where the memory of the environment starts: `env_start` of proc_pid_stat(5).
fn environment_start() -> Option<u64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is the program's name in parentheses, which may hold blanks.
    let (_, after_name) = stat.rsplit_once(") ")?;
    after_name.split(' ').nth(50 - 3)?.parse().ok().filter(|start| *start != 0)
}

/// Returns only when it does not work.
fn start_anew(token: &OsString) -> io::Result<()> {
    // Without CLOEXEC: the reading end is for the program that follows.
    let (reader, writer) = rustix::pipe::pipe()?;
    let mut writer = File::from(writer);
    writer.write_all(token.as_encoded_bytes())?;
    drop(writer);
    let to_string = |text: &[u8]| CString::new(text).map_err(io::Error::from);
    let program = std::iter::once("/proc/self/exe".into()).chain(std::env::args_os());
    let handed_over = format!("{HANDED_OVER}={}", reader.as_raw_fd());
    let others = std::env::vars_os().filter(|(name, _)| name != TOKEN_VARIABLE);
    let others = others.map(|(name, value)| to_string(&[name.as_bytes(), b"=", value.as_bytes()].concat()));
    let environment = others.chain([to_string(handed_over.as_bytes())]).collect::<Result<Vec<_>, _>>()?;
    // What it inherits is the command's as well.
    Inheritance::of_process()?.apply()?;
    Err(Program::parse(program).map_or(ErrorKind::InvalidInput.into(), |program| program.become_with(&environment)))
}

fn handed_over() -> Option<OsString> {
    let number: i32 = std::env::var(HANDED_OVER).ok()?.parse().ok().filter(|number| *number > 2)?;
    let read = || {
        let pipe = File::open(format!("/proc/self/fd/{number}"))?;
        // The command that is run later inherits no end of it.
        nix::unistd::close(number)?;
        let mut token = Zeroizing::new(Vec::with_capacity(MAX_TOKEN));
        pipe.take(MAX_TOKEN as u64).read_to_end(&mut token)?;
        // The kernel calls it by the link by which it was started.
        let _ = rustix::thread::set_name(c"project-vault");
        io::Result::Ok(OsString::from_vec(token.to_vec()))
    };
    read().ok()
}

/// Whether a variable is this program's own way to its token, which a command it runs does not get.
#[must_use]
pub fn is_of_token(name: &std::ffi::OsStr) -> bool {
    [TOKEN_VARIABLE, TOKEN_FILE_VARIABLE, HANDED_OVER].iter().any(|own| name == *own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_is_where_the_kernel_says() {
        let environment = std::fs::read("/proc/self/environ").unwrap();
        let mut there = vec![0; environment.len()];
        let given = Given::open().unwrap();
        given.memory.read_exact_at(&mut there, environment_start().unwrap()).unwrap();
        assert!(!environment.is_empty() && there == environment);
    }
}
