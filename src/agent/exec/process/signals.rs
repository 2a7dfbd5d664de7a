//! Signals: what a command is to find as this process found it, and those that others send.

use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal as NamedSignal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::process::{Pid, Signal};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

/// `si_code` of a signal that the kernel sent, such as a terminal's (sigaction(2)).
const SI_KERNEL: i32 = 0x80;

static PIPE_IGNORED: AtomicBool = AtomicBool::new(false);
/// The standard streams that were closed, a bit each.
static CLOSED_STREAMS: AtomicU8 = AtomicU8::new(0);

/// Before `main`: the standard library ignores SIGPIPE from then on, and opens the standard streams
/// that are closed. Nothing tells how it was.
#[ctor::ctor]
fn note_inherited() {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok()).unwrap_or_default();
    PIPE_IGNORED.store(ignored & (1 << (Signal::PIPE.as_raw() - 1)) != 0, Ordering::Relaxed);
    let is_closed = |stream: &u8| std::fs::read_link(format!("/proc/self/fd/{stream}")).is_err();
    let has_proc = !status.is_empty();
    let closed = (0..3).filter(is_closed).map(|stream| 1 << stream).sum::<u8>();
    CLOSED_STREAMS.store(if has_proc { closed } else { 0 }, Ordering::Relaxed);
}

/// What a program inherits of signals and standard streams, and this process had to change for
/// itself. Other ignored signals stay ignored, as long as nobody in this process touches them.
#[derive(Debug, PartialEq, Eq)]
pub struct Inheritance {
    blocked: Vec<i32>,
    pipe_is_ignored: bool,
    closed_streams: u8,
}

impl Inheritance {
    /// As this process found them. To be called before anything is blocked. A blocked real-time
    /// signal is not among them.
    ///
    /// # Errors
    /// None that is known; the system call may give some.
    pub fn of_process() -> io::Result<Self> {
        let mask = SigSet::thread_get_mask()?;
        let blocked = NamedSignal::iterator().filter(|signal| mask.contains(*signal)).map(|signal| signal as i32);
        Ok(Self {
            blocked: blocked.collect(),
            pipe_is_ignored: PIPE_IGNORED.load(Ordering::Relaxed),
            closed_streams: CLOSED_STREAMS.load(Ordering::Relaxed),
        })
    }

    /// For the arguments of a helper.
    pub fn to_argument(&self) -> String {
        let blocked: Vec<_> = self.blocked.iter().map(i32::to_string).collect();
        format!("{}:{}:{}", u8::from(self.pipe_is_ignored), self.closed_streams, blocked.join(","))
    }

    /// Reads [`Self::to_argument`].
    pub fn parse(argument: &str) -> Option<Self> {
        let (pipe, rest) = argument.split_once(':')?;
        let (closed_streams, blocked) = rest.split_once(':')?;
        let numbers = blocked.split(',').filter(|number| !number.is_empty()).map(|number| number.parse().ok());
        Some(Self {
            blocked: numbers.collect::<Option<_>>()?,
            pipe_is_ignored: pipe == "1",
            closed_streams: closed_streams.parse().ok()?,
        })
    }

    /// Restores them, right before a program takes this process' place.
    ///
    /// # Errors
    /// By [`Self::of_process`].
    pub fn apply(&self) -> io::Result<()> {
        if !self.pipe_is_ignored {
            // The kernel sets a signal that is caught to its default for the next program.
            catch(Signal::PIPE)?;
        }
        let mask: SigSet = self.blocked.iter().filter_map(|number| NamedSignal::try_from(*number).ok()).collect();
        mask.thread_set_mask()?;
        for stream in (0..3).filter(|stream| self.closed_streams & (1 << stream) != 0) {
            // It was opened to be harmless here.
            let _ = nix::unistd::close(stream);
        }
        Ok(())
    }
}

/// Catches a signal and does nothing about it.
fn catch(signal: Signal) -> io::Result<()> {
    signal_hook::flag::register(signal.as_raw(), Arc::new(AtomicBool::new(false))).map(drop)
}

/// A signal that this process was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Its number; it may be a real-time signal.
    pub number: i32,
    /// Whether the kernel sent it: to all processes of a terminal's foreground group, say.
    pub by_kernel: bool,
    /// The process that sent it, where one did.
    pub sender: i32,
}

impl Sent {
    /// Whether it is this one.
    pub fn is(&self, signal: Signal) -> bool {
        self.number == signal.as_raw()
    }

    /// Whether it is one by which a key of the terminal ends processes.
    pub fn is_interrupt(&self) -> bool {
        self.is(Signal::INT) || self.is(Signal::QUIT)
    }
}

/// The signals that this process is sent, instead of what they do by default.
pub struct Incoming(SignalFd);

impl Incoming {
    /// From now on, for this thread and those that it starts. The other threads, if there are any,
    /// have to have ended.
    ///
    /// A blocked signal comes in even where it is ignored. Only an ignored SIGCHLD has to be
    /// caught: otherwise no status would be left of a process that ends. So the command has to
    /// exist by then, to inherit it as it was.
    ///
    /// # Errors
    /// When the system does not let it.
    pub fn block() -> io::Result<Self> {
        let all = SigSet::all();
        all.thread_block()?;
        catch(Signal::CHILD)?;
        Ok(Self(SignalFd::with_flags(&all, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?))
    }

    /// The next one that has come in.
    ///
    /// # Errors
    /// By [`Self::block`].
    pub fn next(&mut self) -> io::Result<Option<Sent>> {
        loop {
            let found = match self.0.read_signal() {
                Err(Errno::EINTR) => continue,
                other => other?,
            };
            let sent = found.map(|found| Sent {
                number: found.ssi_signo.cast_signed(),
                by_kernel: found.ssi_code == SI_KERNEL,
                sender: found.ssi_pid.cast_signed(),
            });
            // A write to a pipe that nobody reads sends this process a SIGPIPE of its own.
            if sent.is_none_or(|sent| sent.sender != rustix::process::getpid().as_raw_nonzero().get()) {
                return Ok(sent);
            }
        }
    }

    /// Stops this process, or its whole group as a terminal does, as this signal stops processes
    /// that leave it alone. Returns when somebody lets it go on: at once where there is nobody,
    /// since the kernel stops no orphaned process group for a terminal's signal. Gives what else
    /// was sent.
    ///
    /// # Errors
    /// By [`Self::block`].
    pub fn stop(&mut self, signal: Signal, whole_group: bool) -> io::Result<Vec<Sent>> {
        let set: SigSet = NamedSignal::try_from(signal.as_raw()).into_iter().collect();
        set.thread_unblock()?;
        let stopped = if whole_group {
            rustix::process::kill_current_process_group(signal)
        } else {
            rustix::process::kill_process(rustix::process::getpid(), signal)
        };
        set.thread_block()?;
        stopped?;
        let mut others = Vec::new();
        while let Some(sent) = self.next()? {
            // It is what has let this process go on.
            if !sent.is(Signal::CONT) {
                others.push(sent);
            }
        }
        Ok(others)
    }
}

/// Ends this process as a terminal's signal ends it, so that the script or loop around it ends too;
/// with its whole group, where the others do not know of the signal. Returns where the system has
/// other plans, as for the first process of a container.
pub fn die_of(signal: Signal, with_group: bool) {
    if !is_first_process() {
        if with_group {
            let _ = rustix::process::kill_current_process_group(signal);
        }
        let _ = signal_hook::low_level::emulate_default_handler(signal.as_raw());
    }
}

impl AsFd for Incoming {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Has this process ignore every signal that a process can.
///
/// # Errors
/// By [`Incoming::block`].
pub fn ignore_signals() -> io::Result<()> {
    Ok(SigSet::all().thread_block()?)
}

/// Whether this is the first process of a container, or of the system.
pub fn is_first_process() -> bool {
    rustix::process::getpid().as_raw_nonzero().get() == 1
}

/// Sends a signal to a process. It may be gone by then.
pub fn send(number: i32, to: Pid) {
    if let Some(signal) = Signal::from_named_raw(number) {
        let _ = rustix::process::kill_process(to, signal);
    } else {
        // The libraries name no real-time signal; a shell knows their numbers.
        let script = ["-c", "kill -\"$1\" \"$2\"", "sh"];
        let arguments = [number.to_string(), to.as_raw_nonzero().to_string()];
        let shell = std::process::Command::new("/bin/sh").args(script).args(arguments).env_clear().spawn();
        let _ = shell.and_then(|mut shell| shell.wait());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_inherited_is_told_in_an_argument() {
        for inherited in [
            Inheritance { blocked: vec![], pipe_is_ignored: false, closed_streams: 0 },
            Inheritance { blocked: vec![1, 15], pipe_is_ignored: true, closed_streams: 6 },
        ] {
            assert_eq!(Inheritance::parse(&inherited.to_argument()), Some(inherited));
        }
        assert_eq!(Inheritance::parse("1"), None);
        assert_eq!(Inheritance::parse("1:0:x"), None);
    }
}
