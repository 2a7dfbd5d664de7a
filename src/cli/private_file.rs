//! Files that hold keys: readable by their owner only, and replaced atomically.

use super::failure::{Failure, Result};
use secrecy::{ExposeSecret as _, SecretString};
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, fchown};
use std::path::{Path, PathBuf};

/// Creates a file of mode 0600 atomically; keeps a file that already exists.
pub fn create(path: &Path, text: &SecretString) -> Result {
    let temporary = Temporary::create(path, text, None).map_err(Failure::file(path))?;
    match std::fs::hard_link(&temporary.0, path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        linked => linked.and_then(|()| sync_folder(path)).map_err(Failure::file(path)),
    }
}

/// Replaces a file's content atomically; keeps its mode and owner.
pub fn replace(path: &Path, text: &SecretString) -> Result {
    let replace = || {
        let temporary = Temporary::create(path, text, Some(&std::fs::metadata(path)?))?;
        std::fs::rename(&temporary.0, path)?;
        sync_folder(path)
    };
    replace().map_err(Failure::file(path))
}

/// The folder a file is in.
pub fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(folder(path))?.sync_all()
}

/// A temporary file beside another, removed on drop.
struct Temporary(PathBuf);

impl Temporary {
    fn create(beside: &Path, text: &SecretString, like: Option<&Metadata>) -> io::Result<Self> {
        let name = beside.file_name().unwrap_or_default().to_string_lossy();
        let path = folder(beside).join(format!(".{name}.{}", uuid::Uuid::now_v7().simple()));
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        let temporary = Self(path);
        file.write_all(text.expose_secret().as_bytes())?;
        if let Some(like) = like {
            let own = file.metadata()?;
            if (own.uid(), own.gid()) != (like.uid(), like.gid()) {
                fchown(&file, Some(like.uid()), Some(like.gid()))?;
            }
            file.set_permissions(like.permissions())?;
        }
        file.sync_all()?;
        Ok(temporary)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // It no longer exists if it was renamed.
        let _ = std::fs::remove_file(&self.0);
    }
}
