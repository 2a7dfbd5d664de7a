//! Passing on what the user types.

use super::AT_ONCE;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, retry_on_intr};
use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};
use std::fs::File;
use std::io::{self, PipeReader, PipeWriter, Read as _, Write as _};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a terminal needs at most to take what it is written.
const ECHO: Duration = Duration::from_millis(5);
/// After a pause in typing that is this long, keys are read this much later in canonical mode: if
/// the command has just ended, they are for the shell, and keys that were read cannot be given
/// back.
const PAUSE: Duration = Duration::from_millis(30);
const PAUSE_SPEC: Timespec = Timespec { tv_sec: 0, tv_nsec: 30_000_000 };
const TAKE: u8 = b'+';
const LEAVE: u8 = b'-';

/// A thread that passes keys on while it is told to. Otherwise they stay in the terminal, for the
/// shell.
pub struct Keys(Option<PipeWriter>);

impl Keys {
    /// Starts the thread, which does not take any yet.
    ///
    /// # Errors
    /// When the process may open no more.
    pub fn new(from: &OwnedFd, to: Arc<OwnedFd>) -> io::Result<Self> {
        let (told, tell) = io::pipe()?;
        let from = from.as_fd().try_clone_to_owned()?;
        // It ends with the terminal, or with this process.
        std::thread::Builder::new().spawn(move || pass(&from, &to, told))?;
        Ok(Self(Some(tell)))
    }

    /// Takes keys from now on, or leaves them.
    pub fn take(&mut self, take: bool) {
        if let Some(tell) = &mut self.0 {
            // A thread that has ended takes none.
            let _ = tell.write_all(&[if take { TAKE } else { LEAVE }]);
        }
    }

    /// Leaves them for good.
    pub fn stop(&mut self) {
        self.0 = None;
    }
}

/// Whether a terminal gives whole lines.
pub fn is_canonical(terminal: impl AsFd) -> bool {
    tcgetattr(terminal).is_ok_and(|settings| gives_lines(&settings))
}

/// Whether a terminal with these settings gives whole lines.
pub fn gives_lines(settings: &Termios) -> bool {
    settings.local_modes.contains(LocalModes::ICANON)
}

/// Passes on lines that were typed in canonical mode, before the terminal became raw. They were
/// echoed already, so the command's terminal does not echo them. An end of file among them would be
/// lost in raw mode.
pub fn pass_lines(from: &OwnedFd, settings: &Termios, to: &OwnedFd) {
    let Ok(of_command) = tcgetattr(to) else { return };
    let mut silent = of_command.clone();
    silent.local_modes.remove(LocalModes::ECHO);
    let mut line = [0; 4096];
    let mut is_silent = false;
    while poll(&mut [PollFd::new(from, PollFlags::IN)], Some(&AT_ONCE)) == Ok(1) {
        let Ok(length) = rustix::io::read(from, &mut line) else { break };
        if !is_silent {
            is_silent = tcsetattr(to, OptionalActions::Now, &silent).is_ok();
        }
        let end = [settings.special_codes[SpecialCodeIndex::VEOF]];
        let keys = if length == 0 { &end } else { &line[..length] };
        if rustix::io::write(to, keys).is_err() || length == 0 {
            break;
        }
    }
    if is_silent {
        // The terminal takes what it is written a little later.
        std::thread::sleep(ECHO);
        let _ = tcsetattr(to, OptionalActions::Now, &of_command);
    }
}

fn pass(from: &OwnedFd, to: &Arc<OwnedFd>, mut told: PipeReader) -> io::Result<()> {
    let mut to = File::from(to.as_fd().try_clone_to_owned()?);
    let mut keys = [0; 4096];
    let mut takes = false;
    let mut last = Instant::now();
    loop {
        let mut fds = [PollFd::new(&told, PollFlags::IN), PollFd::new(from, PollFlags::IN)];
        let count = if takes { 2 } else { 1 };
        retry_on_intr(|| poll(&mut fds[..count], None))?;
        let mut is_told = !fds[0].revents().is_empty();
        if !is_told && last.elapsed() > PAUSE && is_canonical(&to) {
            is_told = poll(&mut fds[..1], Some(&PAUSE_SPEC)).is_ok_and(|ready| ready > 0);
        }
        if is_told {
            let mut said = [0];
            if told.read(&mut said)? == 0 {
                return Ok(());
            }
            takes = said == [TAKE];
            continue;
        }
        last = Instant::now();
        match rustix::io::read(from, &mut keys) {
            Ok(0) => return Ok(()),
            Ok(length) => to.write_all(&keys[..length])?,
            Err(Errno::INTR | Errno::AGAIN) => {}
            // Reading in the background gives EIO, because SIGTTIN is blocked.
            Err(Errno::IO) => takes = false,
            Err(error) => return Err(error.into()),
        }
    }
}
