//! The monitor of a command that has a terminal of its own: it leads that terminal's session, with
//! the command in a process group below it.
//!
//! A session's leader cannot be stopped by its terminal, and neither can a process whose parent is
//! outside of its session (an orphaned process group). So that Ctrl-Z stops the command, its parent
//! has to be in the session and in another group, as a shell is.

use super::descriptors::{Inheritable, Inherited, close_inherited, release_standard_streams};
use super::helper::{Helper, not_for_people};
use super::keys::is_canonical;
use super::messages::{Ending, Order, Report};
use super::signals::{Incoming, Inheritance, send};
use super::start;
use crate::agent::Result;
use crate::agent::hiding::forbid_dumps;
use crate::command::CommandFailure;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::retry_on_intr;
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, kill_process_group, waitpid};
use rustix::termios::{OptionalActions, Termios, isatty, tcgetattr, tcgetpgrp, tcsetattr, tcsetpgrp};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// The monitor, to be started with the command's standard streams, of which one at least is its
/// terminal.
pub fn helper(
    [orders, reports, terminal]: &[Inheritable; 3],
    ends: &[String; 2],
    inherited: &Inheritance,
    in_foreground: bool,
    words: impl Iterator<Item = impl AsRef<OsStr>>,
) -> Command {
    let mut command = Helper::Monitor.command();
    command.args([orders.number(), reports.number(), terminal.number()]).args(ends).arg(inherited.to_argument());
    command.arg(std::process::id().to_string()).arg(if in_foreground { "foreground" } else { "background" });
    command.args(words);
    command
}

/// Runs until the command has ended, or `exec` has.
///
/// # Errors
/// When the session cannot be set up.
pub fn monitor(mut arguments: impl Iterator<Item = OsString>) -> Result {
    forbid_dumps();
    let mut next = || arguments.next().unwrap_or_default();
    let inherited_fds = [next(), next(), next(), next(), next()].map(|number| Inherited::parse(&number));
    let inherited = next().to_str().and_then(Inheritance::parse);
    let (started_as, in_foreground) = (next(), next() == "foreground");
    let ([Some(orders), Some(reports), Some(users), Some(variables), Some(failure)], Some(inherited)) =
        (inherited_fds, inherited)
    else {
        return Err(not_for_people());
    };
    let run = || {
        let orders = orders.reader()?;
        let mut reports = reports.writer()?;
        let users = users.terminal().and_then(|users| Ok((tcgetattr(&users)?, users))).ok();
        let lead = || {
            let terminal = lead_session()?;
            let ends = [variables.number(), failure.number()];
            let mut command = start::helper(&ends, &inherited, &started_as, arguments);
            let child = command.process_group(0).spawn()?;
            let command = start::pid_of(&child)?;
            let monitor =
                Monitor { command, terminal, users, group: command, is_stopped: false, incoming: Incoming::block()? };
            variables.close();
            failure.close();
            close_inherited();
            release_standard_streams();
            io::Result::Ok(monitor)
        };
        match lead() {
            Ok(monitor) => monitor.run(orders, &mut reports, in_foreground),
            Err(error) => Report::NotStarted(start::number_of(&error)).send(&mut reports),
        }
    };
    run().map_err(|error| CommandFailure::Runtime(error).into())
}

/// Makes this process the leader of a session with the terminal among its standard streams; gives
/// the terminal.
fn lead_session() -> io::Result<OwnedFd> {
    let (stdin, stdout, stderr) = (io::stdin(), io::stdout(), io::stderr());
    let streams = [stdout.as_fd(), stderr.as_fd(), stdin.as_fd()];
    let terminal = streams
        .into_iter()
        .find(|stream| isatty(stream))
        .ok_or_else(|| io::Error::other("no terminal was handed over"))?;
    rustix::process::setsid()?;
    rustix::process::ioctl_tiocsctty(terminal)?;
    Ok(rustix::io::fcntl_dupfd_cloexec(terminal, 3)?)
}

/// The session of a command.
struct Monitor {
    /// The command's process, which is its process group as well.
    command: Pid,
    terminal: OwnedFd,
    /// The user's terminal, where it can be opened, and its settings before anybody changed them.
    users: Option<(Termios, File)>,
    /// The process group that is in the terminal's foreground, when this one is not.
    group: Pid,
    /// Whether the command is stopped, as far as it is known.
    is_stopped: bool,
    incoming: Incoming,
}

impl Monitor {
    fn run(mut self, mut orders: File, reports: &mut File, in_foreground: bool) -> io::Result<()> {
        self.set_foreground(in_foreground);
        Report::Ready.send(reports)?;
        loop {
            let mut fds = [PollFd::new(&orders, PollFlags::IN), PollFd::new(&self.incoming, PollFlags::IN)];
            retry_on_intr(|| poll(&mut fds, None))?;
            let is_ordered = !fds[0].revents().is_empty();
            // Signals to the monitor are dropped: what is for the command is sent to `exec`.
            while self.incoming.next()?.is_some() {}
            while let Some(status) = self.change()? {
                if let Some(signal) = status.stopping_signal().and_then(Signal::from_named_raw) {
                    self.is_stopped = true;
                    Report::Stopped(signal).send(reports)?;
                } else if status.continued() {
                    if std::mem::take(&mut self.is_stopped) {
                        // Another process let it go on. `exec`, the parent of this one, may be
                        // stopped.
                        if let Some(exec) = rustix::process::getppid() {
                            send(Signal::CONT.as_raw(), exec);
                        }
                    }
                } else if let Some(ending) = Ending::of(status) {
                    // The end of a session hangs up on its terminal's foreground group. What the
                    // command has left there runs on.
                    self.set_foreground(false);
                    return Report::Ended(ending).send(reports);
                }
            }
            if is_ordered {
                let Ok(order) = Order::receive(&mut orders) else {
                    self.exec_is_gone();
                    return Ok(());
                };
                self.obey(order);
            }
        }
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Signal(number) => send(number, self.command),
            Order::GroupSignal(number) => {
                if let Some(signal) = Signal::from_named_raw(number) {
                    let _ = kill_process_group(self.command, signal);
                }
            }
            Order::Continue { in_foreground, was_sent } => {
                self.set_foreground(in_foreground);
                if std::mem::take(&mut self.is_stopped) {
                    let _ = kill_process_group(self.command, Signal::CONT);
                } else if was_sent {
                    send(Signal::CONT.as_raw(), self.command);
                }
            }
        }
    }

    /// Gives the terminal to the command, or to the shell or job below it that had it last; or
    /// takes it. Where that fails, the command stays in the background and is stopped when it
    /// reads, which leads here again.
    fn set_foreground(&mut self, in_foreground: bool) {
        let own = rustix::process::getpgrp();
        let now = tcgetpgrp(&self.terminal).unwrap_or(own);
        if in_foreground && now == own {
            let _ = tcsetpgrp(&self.terminal, self.group);
        } else if !in_foreground && now != own {
            self.group = now;
            let _ = tcsetpgrp(&self.terminal, own);
        }
    }

    /// `exec` was killed: so is the command, and the user's terminal is set back.
    fn exec_is_gone(&self) {
        let _ = kill_process_group(self.command, Signal::KILL);
        if let Some((settings, users)) = &self.users
            && !is_canonical(users)
        {
            let _ = tcsetattr(users, OptionalActions::Now, settings);
        }
    }

    /// What has become of the command since the last call.
    fn change(&self) -> io::Result<Option<WaitStatus>> {
        Ok(waitpid(Some(self.command), WaitOptions::NOHANG | WaitOptions::UNTRACED | WaitOptions::CONTINUED)?
            .map(|(_, status)| status))
    }
}
