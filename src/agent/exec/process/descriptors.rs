//! Descriptors: those that a helper inherits by number, and those that this process lets go of.

use rustix::fs::OFlags;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};
use std::os::unix::fs::OpenOptionsExt as _;

/// A descriptor that programs inherit. Everything else that this program opens is closed in them.
pub struct Inheritable(OwnedFd);

impl Inheritable {
    /// A duplicate that is inherited until it is dropped.
    ///
    /// # Errors
    /// When the process may open no more.
    pub fn of(fd: impl AsFd) -> io::Result<Self> {
        Ok(Self(rustix::io::dup(fd)?))
    }

    /// Its number, by which the program that inherits it finds it.
    pub fn number(&self) -> String {
        self.0.as_raw_fd().to_string()
    }
}

/// An end of a pipe that this process inherited by a number; opened anew, so that no program
/// inherits it further.
#[derive(Clone, Copy)]
pub struct Inherited(i32);

impl Inherited {
    /// By its number. `None` when it is none, or one of the standard streams.
    pub fn parse(number: &OsStr) -> Option<Self> {
        number.to_str()?.parse().ok().filter(|number| *number > 2).map(Self)
    }

    /// The number.
    pub fn number(self) -> String {
        self.0.to_string()
    }

    /// Opens the reading end, and closes the inherited descriptor.
    ///
    /// # Errors
    /// When nothing was inherited by that number, or when there is no `/proc`.
    pub fn reader(self) -> io::Result<File> {
        let file = File::open(self.path())?;
        self.close();
        Ok(file)
    }

    /// Opens the writing end, and closes the inherited descriptor.
    ///
    /// # Errors
    /// By [`Self::reader`].
    pub fn writer(self) -> io::Result<File> {
        let file = File::options().write(true).open(self.path())?;
        self.close();
        Ok(file)
    }

    /// Opens the terminal, and closes the inherited descriptor.
    ///
    /// # Errors
    /// By [`Self::reader`].
    pub fn terminal(self) -> io::Result<File> {
        let flags = i32::try_from(OFlags::NOCTTY.bits()).unwrap_or_default();
        let file = File::options().read(true).write(true).custom_flags(flags).open(self.path());
        self.close();
        file
    }

    /// Closes it.
    pub fn close(self) {
        // It may be closed already.
        let _ = nix::unistd::close(self.0);
    }

    fn path(self) -> String {
        format!("/proc/self/fd/{}", self.0)
    }
}

/// Closes what this process inherited besides its standard streams. The command has it as well, and
/// the reader of a pipe would wait for this process, too.
pub fn close_inherited() {
    let Ok(open) = std::fs::read_dir("/proc/self/fd") else { return };
    let numbers = open.filter_map(|entry| Inherited::parse(&entry.ok()?.file_name()));
    // All at once, since closing one changes what is read.
    for inherited in numbers.collect::<Vec<_>>() {
        if is_inheritable(inherited).unwrap_or(false) {
            inherited.close();
        }
    }
}

/// Whether programs inherit it (proc_pid_fdinfo(5)). All that this process opened itself is closed
/// in them, so whatever is not was inherited.
fn is_inheritable(fd: Inherited) -> io::Result<bool> {
    let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", fd.0))?;
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
    let flags = flags.and_then(|flags| u32::from_str_radix(flags.trim(), 8).ok()).ok_or(ErrorKind::InvalidData)?;
    Ok(flags & OFlags::CLOEXEC.bits() == 0)
}

/// Lets go of standard input, which is the command's.
pub fn release_stdin() {
    if let Ok(null) = File::open("/dev/null") {
        // Kept, it would only be open for longer.
        let _ = rustix::stdio::dup2_stdin(null);
    }
}

/// Lets go of standard output: its reader would wait for this process, too.
pub fn release_stdout() {
    if let Ok(null) = File::options().write(true).open("/dev/null") {
        let _ = rustix::stdio::dup2_stdout(null);
    }
}

/// Lets go of all three standard streams.
pub fn release_standard_streams() {
    release_stdin();
    release_stdout();
    if let Ok(null) = File::options().write(true).open("/dev/null") {
        let _ = rustix::stdio::dup2_stderr(null);
    }
}
