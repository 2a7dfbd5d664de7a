//! Waiting for processes that have ended.

use super::signals::is_first_process;
use rustix::io::retry_on_intr;
use rustix::process::{Pid, WaitOptions, WaitStatus, wait, waitpid};
use std::io;

/// What has become of a process since the last call.
///
/// The first process of a container (pid 1) has to reap what others left behind, so it waits for
/// any child: also for its own helpers, whose status nobody needs.
///
/// # Errors
/// When there is no such process.
pub fn change(process: Pid) -> io::Result<Option<WaitStatus>> {
    let options = WaitOptions::NOHANG | WaitOptions::UNTRACED;
    if !is_first_process() {
        return Ok(waitpid(Some(process), options)?.map(|(_, status)| status));
    }
    loop {
        match retry_on_intr(|| wait(options))? {
            Some((found, status)) if found == process => return Ok(Some(status)),
            Some(_) => {}
            None => return Ok(None),
        }
    }
}
