//! A command in the process group of `exec`.

use super::descriptors::{close_inherited, release_stdin, release_stdout};
use super::messages::Ending;
use super::program::Program;
use super::pump::{Pumps, Source};
use super::reap::change;
use super::signals::{Incoming, Inheritance, Sent, send};
use super::start::{self, Instructions, Variables};
use super::witness::Witness;
use super::{ByTerminal, Done, lost};
use crate::agent::Result;
use crate::agent::exec::matcher::LazyMatcher;
use crate::command::CommandFailure;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::retry_on_intr;
use rustix::process::{Pid, Signal};
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;

/// A command's process that waits for its variables.
pub struct InGroup {
    instructions: Instructions,
    command: Pid,
    streams: Vec<Stream>,
    /// None where no process could be started for it.
    witness: Option<Witness>,
}

/// Output of the command, and where it goes.
struct Stream {
    from: OwnedFd,
    to: OwnedFd,
}

impl InGroup {
    /// Starts the process; with its output into pipes where it is to be redacted.
    pub fn start(program: &Program, redacted: bool) -> io::Result<Self> {
        let (instructions, ends) = Instructions::make()?;
        let inherited = Inheritance::of_process()?;
        let started_as = OsString::from(std::process::id().to_string());
        let mut command = start::helper(&ends.to_arguments(), &inherited, &started_as, program.to_arguments());
        let mut streams = Vec::new();
        if redacted {
            let (out, err) = (io::stdout().as_fd().try_clone_to_owned()?, io::stderr().as_fd().try_clone_to_owned()?);
            let (reader, writer) = io::pipe()?;
            // Where both go to one place, they keep their order.
            if is_same(&out, &err) {
                command.stderr(writer.try_clone()?);
            } else {
                let (reader, writer) = io::pipe()?;
                command.stderr(writer);
                streams.push(Stream { from: reader.into(), to: err });
            }
            command.stdout(writer);
            streams.push(Stream { from: reader.into(), to: out });
        }
        let child = command.spawn()?;
        // With it go our ends of the pipes the command writes to.
        drop(command);
        let command = start::pid_of(&child)?;
        let mut witness = Witness::start().ok();
        if let Some(witness) = &mut witness {
            witness.watch(command);
        }
        Ok(Self { instructions, command, streams, witness })
    }

    /// Runs the command; gives its exit status.
    pub fn run(self, program: &Program, variables: Variables, matcher: impl FnOnce() -> LazyMatcher) -> Result<u8> {
        let matcher = (!self.streams.is_empty()).then(matcher);
        let mut incoming = Incoming::block().map_err(CommandFailure::Runtime)?;
        self.instructions.start(program, variables)?;
        let run = || {
            let mut pumps = Pumps::new()?;
            release_stdin();
            for Stream { from, to } in self.streams {
                // There is one where there are streams.
                if let Some(matcher) = &matcher {
                    pumps.add(Arc::new(from), Source::Pipe, to, matcher.clone())?;
                }
            }
            release_stdout();
            close_inherited();
            let mut supervisor =
                Supervisor { command: self.command, pumps: &pumps, witness: self.witness, by_terminal: ByTerminal::No };
            let Some(ending) = supervisor.until_ended(&mut incoming)? else { return Ok(None) };
            let by_terminal = supervisor.by_terminal;
            drop(supervisor);
            let failure = pumps.finish(&mut incoming)?;
            io::Result::Ok(Some(Done { ending, failure, by_terminal }))
        };
        Ok(run().map_err(CommandFailure::Runtime)?.ok_or_else(lost)?.code())
    }
}

struct Supervisor<'a> {
    command: Pid,
    pumps: &'a Pumps,
    /// None where no process could be started: a signal to the group is passed on then.
    witness: Option<Witness>,
    by_terminal: ByTerminal,
}

impl Supervisor<'_> {
    /// Passes signals on until the command has ended.
    fn until_ended(&mut self, incoming: &mut Incoming) -> io::Result<Option<Ending>> {
        let mut sent = Vec::new();
        loop {
            while let Some(signal) = incoming.next()? {
                sent.push(signal);
            }
            if sent.is_empty() {
                retry_on_intr(|| poll(&mut [PollFd::new(incoming, PollFlags::IN)], None))?;
                continue;
            }
            let is_changed = sent.iter().any(|sent| sent.is(Signal::CHILD));
            self.pass_on(std::mem::take(&mut sent));
            if !is_changed {
                continue;
            }
            while let Some(status) = change(self.command)? {
                let Some(signal) = status.stopping_signal().and_then(Signal::from_named_raw) else {
                    return Ok(Ending::of(status));
                };
                // Stop this process too, so that the shell sees it; who continues the group
                // continues both. Not for SIGSTOP without a terminal: nobody would continue this
                // process.
                if signal != Signal::STOP || has_terminal() {
                    self.pumps.settle();
                    sent = incoming.stop(signal, false)?;
                    if is_stopped(self.command) {
                        send(Signal::CONT.as_raw(), self.command);
                    }
                }
            }
        }
    }

    fn pass_on(&mut self, mut sent: Vec<Sent>) {
        if sent.iter().any(|sent| sent.by_kernel && sent.is_interrupt()) {
            self.by_terminal = ByTerminal::ToGroup;
        }
        // The kernel sends a terminal's signals to the whole group, but an alarm to the process
        // that was given it, and then became this program.
        sent.retain(|sent| if sent.by_kernel { sent.is(Signal::ALARM) } else { !sent.is(Signal::CHILD) });
        if let Some(witness) = self.witness.as_mut().filter(|_| !sent.is_empty()) {
            witness.sort_out(&mut sent);
        }
        for sent in sent {
            if sent.sender == self.command.as_raw_nonzero().get() {
                // The command means its parent's parent: that of this process.
                if let Some(parent) = rustix::process::getppid() {
                    send(sent.number, parent);
                }
            } else {
                send(sent.number, self.command);
            }
        }
    }
}

/// Whether a shell may control this process as a job.
fn has_terminal() -> bool {
    std::fs::File::open("/dev/tty").is_ok()
}

/// Whether the command is still stopped (proc_pid_stat(5)).
fn is_stopped(command: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", command.as_raw_nonzero())).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T'))
}

fn is_same(one: &OwnedFd, other: &OwnedFd) -> bool {
    let place = |fd: &OwnedFd| rustix::fs::fstat(fd).map(|found| (found.st_dev, found.st_ino));
    matches!((place(one), place(other)), (Ok(one), Ok(other)) if one == other)
}
