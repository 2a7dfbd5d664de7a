//! Secrets as files: for their owner alone, in memory, and gone when the command ends, however it
//! ends.
//!
//! A guardian, this program in another process and process group, is told each path before anything
//! is there. It waits for its standard input to close, which the kernel does for a process that
//! dies in whatever way, and removes what it was told.

use super::process::{Helper, close_inherited, ignore_signals};
use crate::agent::{AgentFailure, Result};
use crate::command::CommandFailure;
use rustix::fs::StatFs;
use secrecy::{ExposeSecret as _, SecretString};
use std::ffi::OsStr;
use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Component, Path, PathBuf};
use std::process::{Child, Stdio};

/// Filesystems in memory: tmpfs and ramfs (linux/magic.h).
const IN_MEMORY: [u64; 2] = [0x0102_1994, 0x8584_58f6];

/// A secret that is to be a file: `NAME=PATH`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileOf {
    /// The secret.
    pub name: String,
    /// Where it is to be: below a private directory of the call, or an absolute path.
    pub path: PathBuf,
}

impl FileOf {
    /// Reads `NAME=PATH`.
    ///
    /// # Errors
    /// When it is none, or when the path leads out of the private directory.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (name, path) = text.split_once('=').ok_or("write NAME=PATH, such as TLS_KEY=tls/key.pem")?;
        if !crate::domain::SecretName::has_form(name) {
            return Err(format!("{name}: no name of a secret"));
        }
        let path = PathBuf::from(path);
        let plain = |part: Component<'_>| matches!(part, Component::Normal(_) | Component::RootDir);
        if path.file_name().is_none() || path.as_os_str().as_bytes().contains(&0) || !path.components().all(plain) {
            return Err(format!("{}: write a path of plain names, without . and ..", path.display()));
        }
        Ok(Self { name: name.to_owned(), path })
    }
}

/// Files that are there as long as this value is.
pub struct Files {
    guardian: Child,
    /// The private directory, where one was needed.
    private: Option<PathBuf>,
    allow_disk: bool,
    told: Vec<PathBuf>,
}

impl Files {
    /// Starts the guardian; nothing is written yet.
    ///
    /// # Errors
    /// When no process can be started.
    pub fn begin(allow_disk: bool) -> Result<Self> {
        let mut guardian = Helper::GuardFiles.command();
        // Away from the terminal's signals, and from a kill of the command's group.
        let guardian = guardian.current_dir("/").process_group(0).stdin(Stdio::piped()).spawn();
        let guardian = guardian.map_err(CommandFailure::Runtime)?;
        Ok(Self { guardian, private: None, allow_disk, told: Vec::new() })
    }

    /// Writes a secret; gives the path for its variable.
    ///
    /// # Errors
    /// When the place is not in memory and disks are not allowed, or when something is there
    /// already.
    pub fn write(&mut self, file: &FileOf, value: &SecretString) -> Result<PathBuf> {
        let path = if file.path.is_absolute() {
            self.check_place(&file.path)?;
            file.path.clone()
        } else {
            let private = self.private()?;
            let path = private.join(&file.path);
            let folders: Vec<&Path> = path.ancestors().skip(1).take_while(|folder| **folder != private).collect();
            for folder in folders.into_iter().rev().filter(|folder| !folder.is_dir()) {
                make_directory(folder).map_err(CommandFailure::file(folder))?;
            }
            path
        };
        // The guardian removes every path it is told, so it is never told somebody else's file.
        if path.symlink_metadata().is_ok() {
            return Err(CommandFailure::file(path)(io::ErrorKind::AlreadyExists.into()).into());
        }
        self.tell(&path).map_err(CommandFailure::Runtime)?;
        let write = || {
            let mut created = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
            created.write_all(value.expose_secret().as_bytes())
        };
        write().map_err(CommandFailure::file(&path))?;
        Ok(path)
    }

    /// A private directory, made at first use.
    fn private(&mut self) -> Result<PathBuf> {
        if let Some(private) = &self.private {
            return Ok(private.clone());
        }
        let of_user = format!("/run/user/{}", rustix::process::geteuid().as_raw());
        let in_memory = [std::env::var_os("XDG_RUNTIME_DIR"), Some(of_user.into()), Some("/dev/shm".into())];
        let places = in_memory.into_iter().flatten().map(PathBuf::from).filter(|place| place.is_absolute());
        let places = places.filter(|place| is_in_memory(place)).chain(self.allow_disk.then(std::env::temp_dir));
        for place in places {
            let private = place.join(format!("project-vault-{}", uuid::Uuid::now_v7().simple()));
            self.tell(&private).map_err(CommandFailure::Runtime)?;
            if make_directory(&private).is_ok() {
                self.private = Some(private.clone());
                return Ok(private);
            }
        }
        Err(AgentFailure::Input(
            "--file: there is no directory in memory to write to (XDG_RUNTIME_DIR, /run/user, /dev/shm); mount a tmpfs, \
             or say --allow-disk"
                .to_owned(),
        ))
    }

    fn check_place(&self, path: &Path) -> Result {
        let folder = path.parent().unwrap_or(Path::new("/"));
        let metadata = std::fs::metadata(folder).map_err(CommandFailure::file(folder))?;
        let refuse = |why: &str| Err(AgentFailure::Input(format!("--file: {}: {why}", folder.display())));
        if metadata.uid() != rustix::process::geteuid().as_raw() || metadata.mode() & 0o077 != 0 {
            return refuse("others may enter this directory; chmod 700 it, or give a path that does not begin with /");
        }
        if !self.allow_disk && !is_in_memory(folder) {
            return refuse(
                "it is not in memory, so the file could stay on the disk; say --allow-disk, or name a tmpfs",
            );
        }
        Ok(())
    }

    fn tell(&mut self, path: &Path) -> io::Result<()> {
        let message = [path.as_os_str().as_bytes(), &[0]].concat();
        self.told.push(path.to_owned());
        let stdin = self.guardian.stdin.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        stdin.write_all(&message)?;
        stdin.flush()
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        drop(self.guardian.stdin.take());
        let done = self.guardian.wait().is_ok_and(|status| status.success());
        if !done {
            // Somebody ended the guardian; what can be removed is.
            for path in self.told.iter().rev() {
                let _ = remove(path);
            }
        }
    }
}

fn make_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(path)
}

fn is_in_memory(folder: &Path) -> bool {
    // The type is signed on some machines and narrower on others.
    #[allow(clippy::cast_sign_loss, clippy::unnecessary_cast, reason = "it is a pattern of bits")]
    let kind = |found: StatFs| found.f_type as u64 & 0xffff_ffff;
    rustix::fs::statfs(folder).is_ok_and(|found| IN_MEMORY.contains(&kind(found)))
}

fn remove(path: &Path) -> io::Result<()> {
    // A link is removed, not what it names.
    if path.symlink_metadata()?.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) }
}

/// The guardian: reads paths until nobody is left who could write any, then removes what is there.
///
/// # Errors
/// When some of the files cannot be removed.
pub fn guard() -> Result {
    // A signal that ends everything else is no reason to leave files behind.
    ignore_signals().map_err(CommandFailure::Runtime)?;
    close_inherited();
    let mut told = Vec::new();
    // An error is an end as well.
    let _ = io::stdin().lock().read_to_end(&mut told);
    let mut complete = true;
    for path in told.split(|byte| *byte == 0).rev().filter(|path| !path.is_empty()) {
        let path = Path::new(OsStr::from_bytes(path));
        complete &= remove(path).is_ok() || path.symlink_metadata().is_err();
    }
    if complete { Ok(()) } else { Err(AgentFailure::FilesLeft) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_a_name_and_a_plain_path() {
        let file = FileOf::parse("TLS_KEY=tls/key.pem").unwrap();
        assert_eq!((file.name.as_str(), file.path.as_path()), ("TLS_KEY", Path::new("tls/key.pem")));
        assert!(FileOf::parse("A=/run/x/key=1").is_ok());
        for text in ["A", "=x", "A=", "A=..", "A=../x", "A=x/../y", "A=/", "not a name=x"] {
            assert!(FileOf::parse(text).is_err(), "{text}");
        }
    }
}
