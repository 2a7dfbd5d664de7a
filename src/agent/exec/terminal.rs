//! Running the command on a terminal of its own, whose output is redacted on its way to ours.

use super::matcher::LazyMatcher;
use super::pump::{PIECE, write_all};
use super::redact::Redactor;
use super::run::{Job, Signals, code, forward, lost, pid_of, when_ended};
use crate::agent::{AgentFailure, Result};
use crate::command::CommandFailure;
use portable_pty::{CommandBuilder, MasterPty, PtySize, native_pty_system};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::OFlags;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use std::fs::{File, OpenOptions};
use std::io::{self, PipeReader, Read, Write};
use std::os::fd::AsFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// When the command writes nothing for this time, bytes that are held back are shown, if they are
/// fewer than a mask shows.
const QUIET: Duration = Duration::from_millis(50);
/// Maximum number of bytes of a value's beginning that may show while somebody waits for the echo
/// of their typing.
const MAX_SHOWN: usize = 3;
/// How long to wait for what the command has left on its terminal.
const REST: Duration = Duration::from_millis(100);

/// Whether all three standard streams are a terminal.
pub fn is_there() -> bool {
    use std::io::IsTerminal as _;
    io::stdin().is_terminal() && io::stdout().is_terminal() && io::stderr().is_terminal()
}

/// Runs the command.
pub async fn run_on_terminal(job: &Job, matcher: LazyMatcher) -> Result<u8> {
    let mut signals = Signals::catch().map_err(CommandFailure::Runtime)?;
    let mut resized = signal(SignalKind::window_change()).map_err(CommandFailure::Runtime)?;
    let settings = tcgetattr(io::stdin()).map_err(|error| CommandFailure::Runtime(error.into()))?;
    let pair = native_pty_system().openpty(size()).map_err(not_opened)?;
    set_up_like(&*pair.master, &settings);

    let mut command = CommandBuilder::new(job.program()?);
    command.args(job.command.iter().skip(1));
    command.env_clear();
    for (name, value) in job.environment.variables() {
        command.env(name, value);
    }
    // Without one, it would start in the home directory.
    command.cwd(std::env::current_dir().map_err(CommandFailure::Runtime)?);
    let child: Box<dyn portable_pty::Child> =
        pair.slave.spawn_command(command).map_err(|error| match error.downcast::<io::Error>() {
            Ok(error) => job.not_started(&error),
            Err(error) => not_opened(error),
        })?;
    drop(pair.slave);
    let child = child.downcast::<std::process::Child>().map_err(|_| lost())?;
    let pid = pid_of(child.id())?;

    let (ended, end) = io::pipe().map_err(CommandFailure::Runtime)?;
    let reader = pair.master.try_clone_reader().map_err(not_opened)?;
    let writer = pair.master.take_writer().map_err(not_opened)?;
    let raw = Raw::set(&settings);
    let input_ended = ended.try_clone().map_err(CommandFailure::Runtime)?;
    std::thread::spawn(move || pass_input(writer, &input_ended));
    let (sender, pieces) = sync_channel(4);
    std::thread::spawn(move || read_pieces(reader, &sender));
    let output = std::thread::spawn(move || pass_output(&pieces, &matcher, &ended));

    let mut done = when_ended(*child, end);
    let status = loop {
        tokio::select! {
            status = &mut done => break status.map_err(|_| lost())?,
            caught = signals.next() => forward(pid, caught.signal),
            _ = resized.recv() => {
                // The next change tries again.
                let _ = pair.master.resize(size());
            }
        }
    };
    let _ = output.join();
    drop(raw);
    Ok(code(status.map_err(CommandFailure::Runtime)?))
}

fn not_opened(error: impl std::fmt::Display) -> AgentFailure {
    CommandFailure::Runtime(io::Error::other(format!("no terminal can be made for the command: {error}"))).into()
}

/// The size of our terminal.
fn size() -> PtySize {
    tcgetwinsize(io::stdout()).map_or_else(
        |_| PtySize::default(),
        |size| PtySize {
            rows: size.ws_row,
            cols: size.ws_col,
            pixel_width: size.ws_xpixel,
            pixel_height: size.ws_ypixel,
        },
    )
}

/// Gives the command's terminal the settings of ours. Where that does not work, it has the usual
/// ones.
fn set_up_like(master: &dyn MasterPty, settings: &Termios) {
    let Some(name) = master.tty_name() else { return };
    let flags = i32::try_from(OFlags::NOCTTY.bits()).unwrap_or_default();
    if let Ok(terminal) = OpenOptions::new().read(true).write(true).custom_flags(flags).open(name) {
        let _ = tcsetattr(terminal, OptionalActions::Now, settings);
    }
}

/// Our terminal, passing every key on as it is; set back when dropped.
struct Raw(Termios);

impl Raw {
    fn set(settings: &Termios) -> Self {
        let mut raw = settings.clone();
        raw.make_raw();
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &raw);
        Self(settings.clone())
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // Output that was written before is shown first.
        let _ = tcsetattr(io::stdin(), OptionalActions::Drain, &self.0);
    }
}

/// Passes keys on until the command has ended; what is typed later is the shell's.
fn pass_input(mut to: Box<dyn Write + Send>, ended: &PipeReader) -> io::Result<()> {
    let stdin = io::stdin();
    let mut from = File::from(stdin.as_fd().try_clone_to_owned()?);
    let mut keys = [0; 4096];
    loop {
        let mut fds = [PollFd::new(&from, PollFlags::IN), PollFd::new(ended, PollFlags::IN)];
        match poll(&mut fds, None) {
            Err(rustix::io::Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
            Ok(_) if !fds[1].revents().is_empty() => break,
            Ok(_) => {}
        }
        match from.read(&mut keys) {
            Ok(0) => break,
            Ok(length) => to.write_all(&keys[..length])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    // Dropped, it would type an end of file; the command is over, or its terminal is.
    std::mem::forget(to);
    Ok(())
}

fn read_pieces(mut from: Box<dyn Read + Send>, to: &std::sync::mpsc::SyncSender<Vec<u8>>) {
    let mut piece = vec![0; PIECE];
    // An error is the end of the terminal.
    while let Ok(length @ 1..) = from.read(&mut piece) {
        if to.send(piece[..length].to_vec()).is_err() {
            return;
        }
    }
}

fn pass_output(pieces: &Receiver<Vec<u8>>, matcher: &LazyMatcher, ended: &PipeReader) -> io::Result<()> {
    let mut to = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    let mut redactor: Option<Redactor<'_>> = None;
    let mut out = Vec::new();
    loop {
        let over = has_ended(ended);
        match pieces.recv_timeout(if over { REST } else { QUIET }) {
            Ok(piece) => redactor.get_or_insert_with(|| Redactor::new(matcher)).push(&piece, &mut out),
            Err(RecvTimeoutError::Timeout) if over => break,
            Err(RecvTimeoutError::Timeout) => {
                if let Some(redactor) = redactor.as_mut().filter(|redactor| redactor.held() <= MAX_SHOWN) {
                    redactor.release(&mut out);
                }
            }
            Err(RecvTimeoutError::Disconnected) => break,
        }
        write_all(&mut to, &out)?;
        out.clear();
    }
    if let Some(redactor) = redactor {
        redactor.finish(&mut out);
    }
    write_all(&mut to, &out)
}

fn has_ended(ended: &PipeReader) -> bool {
    let at_once = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut [PollFd::new(ended, PollFlags::IN)], Some(&at_once)).is_ok_and(|ready| ready > 0)
}
