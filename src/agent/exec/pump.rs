//! Passing on what a command writes, redacted.

use super::matcher::LazyMatcher;
use super::redact::Redactor;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::fs::File;
use std::io::{self, ErrorKind, PipeReader, Read as _, Write as _};
use std::os::fd::{AsFd, OwnedFd};

/// As much as is read at once.
pub const PIECE: usize = 128 * 1024;
/// No pipe of Linux holds more (`/proc/sys/fs/pipe-max-size` as it comes).
const MAX_PIPE: usize = 1024 * 1024;

/// Passes a pipe on until its end. When the command has ended (`ended` is closed), what is in the
/// pipe by then is the rest, even where something it left behind keeps the pipe open.
pub fn pump(from: PipeReader, to: OwnedFd, matcher: &LazyMatcher, ended: &PipeReader) -> io::Result<()> {
    let mut from = from;
    let mut to = File::from(to);
    // The automaton is made for a command that writes.
    let mut redactor = None;
    let mut piece = vec![0; PIECE];
    let mut out = Vec::with_capacity(PIECE);
    let mut left = None;
    while left != Some(0) {
        if !ready(&from, ended, &mut left)? {
            break;
        }
        let room = left.unwrap_or(PIECE).min(PIECE);
        let length = match from.read(&mut piece[..room]) {
            Ok(0) => break,
            Ok(length) => length,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        left = left.map(|left| left.saturating_sub(length));
        redactor.get_or_insert_with(|| Redactor::new(matcher)).push(&piece[..length], &mut out);
        write_all(&mut to, &out)?;
        out.clear();
    }
    if let Some(redactor) = redactor {
        redactor.finish(&mut out);
    }
    write_all(&mut to, &out)
}

/// Waits until there is something to read, or an end. Not when the command has ended and nothing is
/// left of what it wrote.
fn ready(from: &PipeReader, ended: &PipeReader, left: &mut Option<usize>) -> io::Result<bool> {
    loop {
        let mut fds = [PollFd::new(from, PollFlags::IN), PollFd::new(ended, PollFlags::IN)];
        let count = if left.is_some() { 1 } else { 2 };
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        match poll(&mut fds[..count], left.as_ref().map(|_| &at_once)) {
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
            Ok(_) if !fds[0].revents().is_empty() => return Ok(true),
            Ok(_) if left.is_some() => return Ok(false),
            // The command's own writes are complete now: look once more.
            Ok(_) => *left = Some(MAX_PIPE),
        }
    }
}

/// Writes everything, also to what others have made nonblocking.
pub fn write_all(to: &mut File, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match to.write(bytes) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(length) => bytes = &bytes[length..],
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                let fd = to.as_fd();
                // Whatever goes wrong here, the next write says.
                let _ = poll(&mut [PollFd::new(&fd, PollFlags::OUT)], None);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
