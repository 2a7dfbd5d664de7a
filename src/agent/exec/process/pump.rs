//! Passing on what a command writes, redacted: from a pipe or from its terminal.

use super::AT_ONCE;
use super::signals::Incoming;
use crate::agent::exec::matcher::LazyMatcher;
use crate::agent::exec::redact::Redactor;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, retry_on_intr};
use rustix::process::Signal;
use std::fs::File;
use std::io::{self, ErrorKind, PipeReader, PipeWriter, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

/// As much as is read at once.
const PIECE: usize = 128 * 1024;
/// No pipe of Linux holds more (`/proc/sys/fs/pipe-max-size` as it comes).
const MAX_PIPE: usize = 1024 * 1024;
/// When the command writes nothing to its terminal for this time, bytes that are held back are
/// shown, if they are fewer than a mask shows.
const QUIET: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
/// Maximum number of bytes of a value's beginning that may show while somebody waits for the echo
/// of their typing.
const MAX_SHOWN: usize = 3;
/// Time limit for showing what a command has written before it was stopped.
const SETTLING: Duration = Duration::from_millis(200);

/// Where the output comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// A pipe.
    Pipe,
    /// The command's terminal, on which somebody may be waiting for a prompt.
    Terminal,
}

/// Why output could not be passed on: what it went to is full, say. That nobody reads it any more
/// is no failure: the command has noticed as it would have alone.
pub type Failure = io::Error;

/// The threads that pass on output. They read on until the command has ended.
pub struct Pumps {
    running: Vec<JoinHandle<io::Result<()>>>,
    /// At its end when all have ended.
    all_done: PipeReader,
    /// Held by each that runs.
    is_running: Option<PipeWriter>,
    ended: PipeReader,
    /// Closed when the command has ended.
    end: Option<PipeWriter>,
    /// What each reads from, as long as it does, and whether it waits for output.
    idle: Vec<(Weak<OwnedFd>, Arc<AtomicBool>)>,
}

impl Pumps {
    /// None yet.
    ///
    /// # Errors
    /// When the process may open no more.
    pub fn new() -> io::Result<Self> {
        let (ended, end) = io::pipe()?;
        let (all_done, is_running) = io::pipe()?;
        let is_running = Some(is_running);
        Ok(Self { running: Vec::new(), all_done, is_running, ended, end: Some(end), idle: Vec::new() })
    }

    /// Starts one.
    ///
    /// # Errors
    /// By [`Self::new`].
    pub fn add(&mut self, from: Arc<OwnedFd>, source: Source, to: OwnedFd, matcher: LazyMatcher) -> io::Result<()> {
        let ended = self.ended.try_clone()?;
        let is_idle = Arc::new(AtomicBool::new(false));
        self.idle.push((Arc::downgrade(&from), is_idle.clone()));
        let running = self.is_running.as_ref().map(PipeWriter::try_clone).transpose()?;
        let pass = move || {
            let _running = running;
            Pump { from, source, to: File::from(to), ended, is_idle, left: None }.run(&matcher)
        };
        self.running.push(std::thread::Builder::new().spawn(pass)?);
        Ok(())
    }

    /// Waits until what the command has written by now is shown, but not for long.
    pub fn settle(&self) {
        let until = std::time::Instant::now() + SETTLING;
        let is_settled = |(from, is_idle): &(Weak<OwnedFd>, Arc<AtomicBool>)| {
            let Some(from) = from.upgrade() else { return true };
            // Idle before and after: a pump that takes output between the two is not.
            is_idle.load(Ordering::Acquire)
                && poll(&mut [PollFd::new(&from, PollFlags::IN)], Some(&AT_ONCE)) == Ok(0)
                && is_idle.load(Ordering::Acquire)
        };
        while !self.idle.iter().all(is_settled) && std::time::Instant::now() < until {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Passes on what is left after the command's end, unless somebody ends this process: its
    /// reader may take its time. Gives why something could not be passed on.
    ///
    /// # Errors
    /// When the system does not let it wait.
    pub fn finish(&mut self, incoming: &mut Incoming) -> io::Result<Option<Failure>> {
        drop(self.end.take());
        drop(self.is_running.take());
        loop {
            let mut fds = [PollFd::new(&self.all_done, PollFlags::IN), PollFd::new(&*incoming, PollFlags::IN)];
            retry_on_intr(|| poll(&mut fds, None))?;
            if !fds[0].revents().is_empty() {
                break;
            }
            while let Some(sent) = incoming.next()? {
                if [Signal::INT, Signal::TERM, Signal::HUP, Signal::QUIT].iter().any(|signal| sent.is(*signal)) {
                    return Ok(None);
                }
                if sent.is(Signal::TSTP) {
                    incoming.stop(Signal::TSTP, false)?;
                }
            }
        }
        let results = self.running.drain(..).map(|pump| pump.join().unwrap_or(Ok(())));
        let failures = results.filter_map(Result::err);
        // A terminal that is gone gives EIO.
        let is_failure = |error: &io::Error| {
            error.kind() != ErrorKind::BrokenPipe && error.raw_os_error() != Some(Errno::IO.raw_os_error())
        };
        Ok(failures.rev().find(is_failure))
    }
}

struct Pump {
    from: Arc<OwnedFd>,
    source: Source,
    to: File,
    /// At its end when the command has ended.
    ended: PipeReader,
    /// Whether it waits for output.
    is_idle: Arc<AtomicBool>,
    /// How much may still come, once the command has ended: something it left behind may write for
    /// ever.
    left: Option<usize>,
}

/// What a pump has waited for.
enum Event {
    Output,
    /// Nothing for some time.
    Quiet,
    End,
}

impl Pump {
    fn run(mut self, matcher: &LazyMatcher) -> io::Result<()> {
        // The automaton is made for a command that writes.
        let mut redactor: Option<Redactor<'_>> = None;
        let mut piece = vec![0; PIECE];
        let mut out = Vec::with_capacity(PIECE);
        while self.left != Some(0) {
            let is_holding = redactor.as_ref().is_some_and(|redactor| (1..=MAX_SHOWN).contains(&redactor.held()));
            match self.wait(is_holding && self.source == Source::Terminal)? {
                Event::End => break,
                Event::Quiet => {
                    if let Some(redactor) = &mut redactor {
                        redactor.release(&mut out);
                    }
                }
                Event::Output => {
                    let room = self.left.unwrap_or(PIECE).min(PIECE);
                    let length = match rustix::io::read(&self.from, &mut piece[..room]) {
                        // A terminal that nobody has open any more gives an error.
                        Ok(0) | Err(Errno::IO) => break,
                        Ok(length) => length,
                        Err(Errno::INTR | Errno::AGAIN) => continue,
                        Err(error) => return Err(error.into()),
                    };
                    self.left = self.left.map(|left| left.saturating_sub(length));
                    redactor.get_or_insert_with(|| Redactor::new(matcher)).push(&piece[..length], &mut out);
                }
            }
            write_all(&mut self.to, &out)?;
            out.clear();
        }
        if let Some(redactor) = redactor {
            redactor.finish(&mut out);
        }
        write_all(&mut self.to, &out)
    }

    /// Waits for output, or the end: when the command has ended, what is there by then is the rest,
    /// even where something it left behind keeps the pipe or terminal open.
    fn wait(&mut self, until_quiet: bool) -> io::Result<Event> {
        loop {
            let mut fds = [
                PollFd::new(&self.from, PollFlags::IN),
                // poll(2) tells even if asked for nothing that nobody reads any more.
                PollFd::new(&self.to, PollFlags::empty()),
                PollFd::new(&self.ended, PollFlags::IN),
            ];
            let has_ended = self.left.is_some();
            let count = if has_ended { 2 } else { 3 };
            let mut ready = retry_on_intr(|| poll(&mut fds[..count], Some(&AT_ONCE)))?;
            if ready == 0 && !has_ended {
                self.is_idle.store(true, Ordering::Release);
                ready = retry_on_intr(|| poll(&mut fds[..count], until_quiet.then_some(&QUIET)))?;
                self.is_idle.store(false, Ordering::Release);
            }
            if fds[1].revents().intersects(PollFlags::ERR | PollFlags::HUP) {
                return Err(ErrorKind::BrokenPipe.into());
            }
            if !fds[0].revents().is_empty() {
                return Ok(Event::Output);
            }
            if has_ended {
                return Ok(Event::End);
            }
            if ready == 0 {
                return Ok(Event::Quiet);
            }
            if !fds[2].revents().is_empty() {
                // The command's own writes are complete now: look once more.
                self.left = Some(MAX_PIPE);
            }
        }
    }
}

/// Writes everything, also to what others have made nonblocking.
fn write_all(to: &mut File, mut bytes: &[u8]) -> io::Result<()> {
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
