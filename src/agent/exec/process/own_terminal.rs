//! A command with a terminal of its own, whose output is redacted on its way to the user's.
//!
//! The user's terminal passes every key on as it is (raw) only while the command is in the
//! foreground and reads from its own; everywhere else it stays as it was. Where `exec` is one of
//! several commands of a pipeline, the command starts in the background of its terminal, and comes
//! to the foreground when it wants to read or to change settings there: the kernel stops it then.

use super::descriptors::{Inheritable, close_inherited, release_stdin, release_stdout};
use super::keys::{self, Keys, gives_lines, is_canonical};
use super::messages::{Ending, Order, Report};
use super::monitor;
use super::program::Program;
use super::pump::{Pumps, Source};
use super::reap::change;
use super::signals::{Incoming, Inheritance, Sent};
use super::start::{self, Instructions, Variables};
use super::{ByTerminal, Done, lost};
use crate::agent::Result;
use crate::agent::exec::matcher::LazyMatcher;
use crate::command::CommandFailure;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::{Errno, retry_on_intr};
use rustix::process::{Pid, Signal, WaitOptions, getpgrp, waitpid};
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{
    OptionalActions, OutputModes, Termios, isatty, tcgetattr, tcgetpgrp, tcgetwinsize, tcsetattr, tcsetwinsize,
};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::Stdio;
use std::sync::Arc;

/// The terminal that the user looks at.
pub struct UsersTerminal {
    fd: OwnedFd,
    settings: Termios,
    /// Which of the standard streams are this terminal. Where all are, no other command of a
    /// pipeline is likely to use it.
    streams: [bool; 3],
}

impl UsersTerminal {
    /// The controlling terminal, if standard output or standard error go there. Where none controls
    /// this process, somebody else may be using the one that they go to.
    pub fn find() -> Option<Self> {
        let fd: OwnedFd = File::options().read(true).write(true).open("/dev/tty").ok()?.into();
        let (stdin, stdout, stderr) = (io::stdin(), io::stdout(), io::stderr());
        let streams = [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()].map(is_controlling);
        let settings = tcgetattr(&fd).ok()?;
        (streams[1] || streams[2]).then_some(Self { fd, settings, streams })
    }

    /// Whether no other command is likely to use the terminal: all streams are it, and nobody has
    /// made it raw.
    fn is_alone(&self) -> bool {
        self.streams == [true; 3] && gives_lines(&self.settings)
    }

    /// Whether this process is in the terminal's foreground. In another process namespace that may
    /// not be known.
    fn is_in_foreground(&self) -> bool {
        tcgetpgrp(&self.fd).map_or(true, |group| group == getpgrp())
    }
}

/// Whether a stream is the controlling terminal.
fn is_controlling(stream: BorrowedFd<'_>) -> bool {
    isatty(stream) && !matches!(tcgetpgrp(stream), Err(Errno::NOTTY))
}

/// A command's process, on a terminal, that waits for its variables.
pub struct OnTerminal {
    users: UsersTerminal,
    master: Arc<OwnedFd>,
    instructions: Instructions,
    monitor: Pid,
    orders: File,
    reports: File,
    /// Output that does not go to the terminal, and where it goes.
    other_output: Option<(OwnedFd, OwnedFd)>,
    to_terminal: OwnedFd,
}

impl OnTerminal {
    /// Makes the terminal, and starts the process on it, under a monitor.
    pub fn start(users: UsersTerminal, program: &Program) -> io::Result<Self> {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        unlockpt(&master)?;
        let slave = ioctl_tiocgptpeer(&master, OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        if let Ok(size) = tcgetwinsize(&users.fd) {
            tcsetwinsize(&master, size)?;
        }
        let is_in_foreground = users.is_alone() && users.is_in_foreground();
        let mut settings = users.settings.clone();
        if !is_in_foreground {
            settings.output_modes.remove(OutputModes::OPOST);
        }
        tcsetattr(&master, OptionalActions::Now, &settings)?;

        let (instructions, ends) = Instructions::make()?;
        let (ordered, orders) = io::pipe()?;
        let (reports, report) = io::pipe()?;
        let pipes = [Inheritable::of(ordered)?, Inheritable::of(report)?, Inheritable::of(&users.fd)?];
        let inherited = Inheritance::of_process()?;
        let words = program.to_arguments();
        let mut command = monitor::helper(&pipes, &ends.to_arguments(), &inherited, is_in_foreground, words);
        let (stdout, stderr) = (io::stdout(), io::stderr());
        let [own_in, own_out, own_err] = users.streams;
        command.stdin(if own_in { Stdio::from(slave.try_clone()?) } else { Stdio::inherit() });
        let mut other_output = None;
        let mut output = |is_own: bool, stream: BorrowedFd<'_>| -> io::Result<Stdio> {
            if is_own {
                return Ok(Stdio::from(slave.try_clone()?));
            }
            let (reader, writer) = io::pipe()?;
            other_output = Some((OwnedFd::from(reader), stream.try_clone_to_owned()?));
            Ok(Stdio::from(writer))
        };
        command.stdout(output(own_out, stdout.as_fd())?).stderr(output(own_err, stderr.as_fd())?);
        let to_terminal = if own_out { stdout.as_fd() } else { stderr.as_fd() }.try_clone_to_owned()?;
        let child = command.spawn()?;
        Ok(Self {
            users,
            master: Arc::new(master),
            instructions,
            monitor: start::pid_of(&child)?,
            orders: OwnedFd::from(orders).into(),
            reports: OwnedFd::from(reports).into(),
            other_output,
            to_terminal,
        })
    }

    /// Runs the command; gives its exit status.
    pub fn run(mut self, program: &Program, variables: Variables, matcher: impl FnOnce() -> LazyMatcher) -> Result<u8> {
        let matcher = matcher();
        let incoming = Incoming::block().map_err(CommandFailure::Runtime)?;
        match Report::receive(&mut self.reports) {
            Ok(Report::Ready) => {}
            Ok(Report::NotStarted(error)) => return Err(program.not_started(&io::Error::from_raw_os_error(error))),
            _ => return Err(lost()),
        }
        let begin = || {
            let mut pumps = Pumps::new()?;
            pumps.add(self.master.clone(), Source::Terminal, self.to_terminal, matcher.clone())?;
            if let Some((from, to)) = self.other_output {
                pumps.add(Arc::new(from), Source::Pipe, to, matcher)?;
            }
            let keys = Keys::new(&self.users.fd, self.master.clone())?;
            io::Result::Ok((pumps, keys))
        };
        let (pumps, keys) = begin().map_err(CommandFailure::Runtime)?;
        let mut session = Session {
            wants_keys: self.users.is_alone(),
            taken: Taken::No,
            users: self.users,
            master: Some(self.master),
            monitor: self.monitor,
            orders: self.orders,
            incoming,
            pumps,
            keys,
            by_terminal: ByTerminal::No,
            is_sent_by_others: false,
        };
        session.look();
        self.instructions.start(program, variables)?;
        release_stdin();
        release_stdout();
        close_inherited();
        let done = session.until_done(&mut self.reports).map_err(CommandFailure::Runtime)?;
        let _ = waitpid(Some(session.monitor), WaitOptions::empty());
        drop(session);
        Ok(done.ok_or_else(lost)?.code())
    }
}

/// Whether keys are passed on as they come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Taken {
    /// They are not.
    No,
    /// They are; this process has made the user's terminal raw.
    Raw,
    /// They are; the terminal was raw already or cannot be changed, so there is nothing to set
    /// back.
    AsFound,
}

/// A running command on its terminal.
struct Session {
    users: UsersTerminal,
    /// None once the user's terminal is gone: then the command's is as well.
    master: Option<Arc<OwnedFd>>,
    monitor: Pid,
    orders: File,
    incoming: Incoming,
    pumps: Pumps,
    keys: Keys,
    /// Whether the command reads from its terminal, as far as that is known.
    wants_keys: bool,
    taken: Taken,
    by_terminal: ByTerminal,
    /// Whether somebody else sent the command a signal that a terminal sends to end it.
    is_sent_by_others: bool,
}

impl Session {
    /// Passes signals on until the command has ended, and then what is left of its output. `None`
    /// when the monitor was ended.
    fn until_done(&mut self, reports: &mut File) -> io::Result<Option<Done>> {
        let Some(ending) = self.until_ended(reports)? else { return Ok(None) };
        self.keys.stop();
        let ends = [Signal::INT, Signal::QUIT].map(|signal| Ending::Signal(signal.as_raw()));
        let by_terminal = match self.by_terminal {
            ByTerminal::No if self.is_raw() && ends.contains(&ending) && !self.is_sent_by_others => {
                ByTerminal::ToCommand
            }
            known => known,
        };
        self.restore(ending);
        let failure = self.pumps.finish(&mut self.incoming)?;
        Ok(Some(Done { ending, failure, by_terminal }))
    }

    fn until_ended(&mut self, reports: &mut File) -> io::Result<Option<Ending>> {
        loop {
            let mut fds = [
                PollFd::new(&*reports, PollFlags::IN),
                PollFd::new(&self.incoming, PollFlags::IN),
                // poll(2) tells that it is gone even if asked for nothing.
                PollFd::new(&self.users.fd, PollFlags::empty()),
            ];
            let count = if self.master.is_some() { 3 } else { 2 };
            retry_on_intr(|| poll(&mut fds[..count], None))?;
            let is_reported = !fds[0].revents().is_empty();
            if !fds[2].revents().is_empty() {
                // The pump, which has the last reference, ends as well.
                self.master = None;
                self.keys.stop();
            }
            while let Some(sent) = self.incoming.next()? {
                self.pass_on(sent);
            }
            if is_reported {
                match Report::receive(reports) {
                    Ok(Report::Ended(ending)) => return Ok(Some(ending)),
                    Ok(Report::Stopped(signal)) => self.stopped(signal)?,
                    Ok(_) => {}
                    Err(_) => return Ok(None),
                }
            }
        }
    }

    fn pass_on(&mut self, sent: Sent) {
        if sent.is(Signal::CHILD) {
            // What there is to know of the command, the monitor tells.
            let _ = change(self.monitor);
        } else if sent.is(Signal::WINCH) && sent.by_kernel {
            self.follow_size();
        } else if sent.is(Signal::CONT) {
            // Somebody had stopped this process alone. A shell may have set the terminal back.
            if is_canonical(&self.users.fd) {
                self.taken = Taken::No;
            }
            self.go_on(true);
        } else if sent.by_kernel {
            // Of the user's terminal, in whose foreground the command would be.
            let of_terminal = [Signal::INT, Signal::QUIT, Signal::TSTP, Signal::HUP];
            if of_terminal.iter().any(|signal| sent.is(*signal)) {
                if sent.is_interrupt() {
                    self.by_terminal = ByTerminal::ToGroup;
                }
                self.order(Order::GroupSignal(sent.number));
            } else if sent.is(Signal::ALARM) {
                self.order(Order::Signal(sent.number));
            }
        } else {
            self.is_sent_by_others |= sent.is_interrupt();
            self.order(Order::Signal(sent.number));
        }
    }

    /// The command was stopped: by its terminal, because it is in the background there, or by
    /// somebody.
    fn stopped(&mut self, signal: Signal) -> io::Result<()> {
        let wants_terminal = signal == Signal::TTIN || signal == Signal::TTOU;
        if wants_terminal {
            self.wants_keys = true;
            if self.users.is_in_foreground() {
                self.go_on(false);
                return Ok(());
            }
        }
        self.pumps.settle();
        // The kernel knows nothing of a Ctrl-Z that was typed in raw mode: the whole group is to
        // stop.
        let whole_group = wants_terminal || (signal == Signal::TSTP && self.is_raw());
        self.set_raw(false);
        for sent in self.incoming.stop(signal, whole_group)? {
            self.pass_on(sent);
        }
        self.go_on(false);
        Ok(())
    }

    /// Lets the command go on, in the foreground where it belongs there.
    fn go_on(&mut self, was_sent: bool) {
        self.follow_size();
        self.look();
        self.order(Order::Continue { in_foreground: self.is_raw(), was_sent });
    }

    /// The kernel tells the command where the size has changed. The next change tries again.
    fn follow_size(&self) {
        if let (Ok(size), Some(master)) = (tcgetwinsize(&self.users.fd), &self.master) {
            let _ = tcsetwinsize(master, size);
        }
    }

    /// Takes the keys where this process is in the foreground.
    fn look(&mut self) {
        let takes_keys = self.wants_keys && self.users.is_in_foreground();
        self.set_raw(takes_keys);
    }

    fn is_raw(&self) -> bool {
        self.taken != Taken::No
    }

    fn set_raw(&mut self, raw: bool) {
        if raw == self.is_raw() {
            return;
        }
        // Only one of the two terminals may turn \n into \r\n.
        if let Some(master) = &self.master
            && let Ok(mut settings) = tcgetattr(master)
        {
            let of_user = self.users.settings.output_modes & OutputModes::OPOST;
            settings.output_modes.set(OutputModes::OPOST, raw && !of_user.is_empty());
            let _ = tcsetattr(master, OptionalActions::Now, &settings);
        }
        if raw {
            self.taken = self.take_terminal();
        } else if std::mem::replace(&mut self.taken, Taken::No) == Taken::Raw {
            // Output that was written before is shown first.
            let _ = tcsetattr(&self.users.fd, OptionalActions::Drain, &self.users.settings);
        }
        self.keys.take(raw);
    }

    /// Makes the user's terminal raw, unless it is, or cannot be changed.
    fn take_terminal(&mut self) -> Taken {
        let Some(settings) = tcgetattr(&self.users.fd).ok().filter(gives_lines) else { return Taken::AsFound };
        if let Some(master) = &self.master {
            // Keys typed before were edited by the line.
            keys::pass_lines(&self.users.fd, &settings, master);
        }
        let mut raw = settings.clone();
        raw.make_raw();
        self.users.settings = settings;
        match tcsetattr(&self.users.fd, OptionalActions::Drain, &raw) {
            Ok(()) => Taken::Raw,
            Err(_) => Taken::AsFound,
        }
    }

    /// Sets the user's terminal back; to the settings of the command's own terminal if the command
    /// exited by itself, as after `stty`.
    fn restore(&mut self, ending: Ending) {
        if let (Taken::Raw, Ending::Status(_), Some(master)) = (self.taken, ending, &self.master)
            && let Ok(settings) = tcgetattr(master)
        {
            self.users.settings = settings;
        }
        self.set_raw(false);
    }

    fn order(&mut self, order: Order) {
        // A monitor that is gone shows when it is waited for.
        let _ = order.send(&mut self.orders);
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.set_raw(false);
    }
}
