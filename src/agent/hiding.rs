//! Keeping the token to this process: nobody else of the same user may dump or trace it, and its
//! environment does not hold the token once it works.

use super::settings::{TOKEN_FILE_VARIABLE, TOKEN_VARIABLE};
use std::ffi::OsString;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::Command;
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
/// returned.
///
/// The kernel shows the environment a process was started with for as long as it lives, to root
/// whatever is forbidden. So the program starts itself anew, in the same process, and hands the
/// token over on a pipe.
pub fn take_token() -> Option<OsString> {
    forbid_dumps();
    if let Some(token) = handed_over() {
        return Some(token);
    }
    let token = std::env::var_os(TOKEN_VARIABLE)?;
    // Where it cannot start itself anew, the process continues as it is: it cannot be dumped.
    if !token.is_empty() && token.len() <= MAX_TOKEN {
        let _ = start_anew(&token);
    }
    Some(token)
}

/// Returns only when it does not work.
fn start_anew(token: &OsString) -> std::io::Result<()> {
    // Without CLOEXEC: the reading end is for the program that follows.
    let (reader, writer) = rustix::pipe::pipe()?;
    let mut writer = File::from(writer);
    writer.write_all(token.as_encoded_bytes())?;
    drop(writer);
    let mut arguments = std::env::args_os();
    let mut program = Command::new("/proc/self/exe");
    program.arg0(arguments.next().unwrap_or_else(|| "project-vault".into())).args(arguments);
    program.env_remove(TOKEN_VARIABLE).env(HANDED_OVER, reader.as_raw_fd().to_string());
    Err(program.exec())
}

fn handed_over() -> Option<OsString> {
    let number: i32 = std::env::var(HANDED_OVER).ok()?.parse().ok().filter(|number| *number > 2)?;
    let read = || {
        let pipe = File::open(format!("/proc/self/fd/{number}"))?;
        // The command that is run later inherits no end of it.
        nix::unistd::close(number)?;
        let mut token = Zeroizing::new(Vec::with_capacity(MAX_TOKEN));
        pipe.take(MAX_TOKEN as u64).read_to_end(&mut token)?;
        std::io::Result::Ok(OsString::from_vec(token.to_vec()))
    };
    read().ok()
}

/// Whether a variable is this program's own way to its token, which a command it runs does not get.
#[must_use]
pub fn is_of_token(name: &std::ffi::OsStr) -> bool {
    [TOKEN_VARIABLE, TOKEN_FILE_VARIABLE, HANDED_OVER].iter().any(|own| name == *own)
}
