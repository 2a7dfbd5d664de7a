//! What `exec` and the monitor of a terminal tell each other, through a pipe each way.

use rustix::process::Signal;
use std::fs::File;
use std::io::{self, ErrorKind, Read as _, Write as _};

/// A message: a letter and a number.
const LENGTH: usize = 5;

/// What the monitor is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Sends the signal to the command alone.
    Signal(i32),
    /// Sends the signal to the command's process group, as its terminal would.
    GroupSignal(i32),
    /// Lets the command go on if it is stopped.
    Continue {
        /// Whether it is in the foreground, where it may read from the terminal.
        in_foreground: bool,
        /// Whether somebody sent SIGCONT, which reaches a command that is not stopped as well.
        was_sent: bool,
    },
}

/// What the monitor tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Report {
    /// The command's process waits for its variables.
    Ready,
    /// No process could be started for the command: the system's error.
    NotStarted(i32),
    /// The command was stopped by the signal.
    Stopped(Signal),
    /// The command has ended.
    Ended(Ending),
}

/// How a command has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It gave this exit status.
    Status(u8),
    /// A signal ended it.
    Signal(i32),
}

impl Ending {
    /// From what the system says.
    pub fn of(status: rustix::process::WaitStatus) -> Option<Self> {
        if let Some(code) = status.exit_status() {
            return Some(Self::Status(u8::try_from(code & 0xff).unwrap_or(u8::MAX)));
        }
        status.terminating_signal().map(Self::Signal)
    }

    /// The exit status, as a shell gives it.
    pub fn code(self) -> u8 {
        match self {
            Self::Status(code) => code,
            Self::Signal(number) => u8::try_from(128 + number).unwrap_or(u8::MAX),
        }
    }
}

impl Order {
    /// Sends it.
    ///
    /// # Errors
    /// When the monitor is gone.
    pub fn send(self, to: &mut File) -> io::Result<()> {
        match self {
            Self::Signal(number) => write(to, b's', number),
            Self::GroupSignal(number) => write(to, b'g', number),
            Self::Continue { in_foreground, was_sent } => {
                write(to, b'c', i32::from(in_foreground) | i32::from(was_sent) << 1)
            }
        }
    }

    /// Waits for the next one.
    ///
    /// # Errors
    /// When `exec` is gone.
    pub fn receive(from: &mut File) -> io::Result<Self> {
        match read(from)? {
            (b's', number) => Ok(Self::Signal(number)),
            (b'g', number) => Ok(Self::GroupSignal(number)),
            (b'c', bits) => Ok(Self::Continue { in_foreground: bits & 1 != 0, was_sent: bits & 2 != 0 }),
            _ => Err(ErrorKind::InvalidData.into()),
        }
    }
}

impl Report {
    /// Sends it.
    ///
    /// # Errors
    /// When `exec` is gone.
    pub fn send(self, to: &mut File) -> io::Result<()> {
        match self {
            Self::Ready => write(to, b'r', 0),
            Self::NotStarted(error) => write(to, b'n', error),
            Self::Stopped(signal) => write(to, b't', signal.as_raw()),
            Self::Ended(Ending::Status(code)) => write(to, b'e', i32::from(code)),
            Self::Ended(Ending::Signal(number)) => write(to, b'k', number),
        }
    }

    /// Waits for the next one.
    ///
    /// # Errors
    /// When the monitor is gone.
    pub fn receive(from: &mut File) -> io::Result<Self> {
        let wrong = || io::Error::from(ErrorKind::InvalidData);
        match read(from)? {
            (b'r', _) => Ok(Self::Ready),
            (b'n', error) => Ok(Self::NotStarted(error)),
            (b't', number) => Signal::from_named_raw(number).map(Self::Stopped).ok_or_else(wrong),
            (b'e', code) => u8::try_from(code).map(|code| Self::Ended(Ending::Status(code))).map_err(|_| wrong()),
            (b'k', number) => Ok(Self::Ended(Ending::Signal(number))),
            _ => Err(wrong()),
        }
    }
}

fn write(to: &mut File, letter: u8, number: i32) -> io::Result<()> {
    let [a, b, c, d] = number.to_ne_bytes();
    // A pipe takes so few bytes as a whole.
    to.write_all(&[letter, a, b, c, d])
}

fn read(from: &mut File) -> io::Result<(u8, i32)> {
    let mut message = [0; LENGTH];
    from.read_exact(&mut message)?;
    let [letter, number @ ..] = message;
    Ok((letter, i32::from_ne_bytes(number)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_is_received() {
        let (reader, writer) = io::pipe().unwrap();
        let (mut from, mut to) =
            (File::from(std::os::fd::OwnedFd::from(reader)), File::from(std::os::fd::OwnedFd::from(writer)));
        for order in [
            Order::Signal(64),
            Order::GroupSignal(2),
            Order::Continue { in_foreground: true, was_sent: false },
            Order::Continue { in_foreground: false, was_sent: true },
        ] {
            order.send(&mut to).unwrap();
            assert_eq!(Order::receive(&mut from).unwrap(), order);
        }
        for report in [
            Report::Ready,
            Report::NotStarted(11),
            Report::Stopped(Signal::TTIN),
            Report::Ended(Ending::Status(255)),
            Report::Ended(Ending::Signal(9)),
        ] {
            report.send(&mut to).unwrap();
            assert_eq!(Report::receive(&mut from).unwrap(), report);
        }
        drop(to);
        assert!(Report::receive(&mut from).is_err());
    }
}
