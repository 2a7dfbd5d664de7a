//! The data directory of a `dev` vault: a database, a keyring and the key of a token issuer,
//! readable by their owner only.

use super::failure::{Failure, Result};
use super::private_file;
use crate::config::{Authz, Backend};
use crate::crypto::Keyring;
use crate::http::tokens::Signer;
use secrecy::SecretString;
use std::fs::{DirBuilder, OpenOptions, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// The default directory.
pub const DEFAULT: &str = ".project-vault";
/// The `iss` of tokens for a `dev` vault.
pub const ISSUER: &str = "project-vault-dev";

const DATABASE: &str = "vault.db";
const KEYRING: &str = "keyring.toml";
const ISSUER_KEY: &str = "issuer.pem";
/// Modes that give only the owner access.
const DIRECTORY_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

/// The data directory of a `dev` vault.
pub struct DataDir(PathBuf);

impl DataDir {
    /// Opens an existing data directory.
    pub fn open(path: &Path) -> Result<Self> {
        let dir = Self(path.canonicalize().unwrap_or_else(|_| path.to_owned()));
        if dir.file(DATABASE).is_file() && dir.file(ISSUER_KEY).is_file() {
            Ok(dir)
        } else {
            Err(Failure::NoDataDir(path.to_owned()))
        }
    }

    /// Opens a data directory, or creates it. Completes one that an interrupted start left behind.
    pub fn open_or_create(path: &Path) -> Result<Self> {
        let problem = |problem| Failure::DataDir { path: path.to_owned(), problem };
        DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(path).map_err(Failure::file(path))?;
        let dir = Self(path.canonicalize().map_err(Failure::file(path))?);
        let holds = |name: &str| dir.file(name).exists();
        if ![DATABASE, KEYRING, ISSUER_KEY].into_iter().any(holds) && dir.holds_others()? {
            return Err(problem("it holds other files; give an empty or new directory"));
        }
        std::fs::set_permissions(&dir.0, Permissions::from_mode(DIRECTORY_MODE)).map_err(Failure::file(path))?;

        let database = dir.file(DATABASE);
        if !dir.file(KEYRING).exists() {
            // The database is created last: where it exists, there were keys.
            if database.exists() {
                return Err(problem(
                    "the database exists, but its keys are missing; put keyring.toml back, or remove the directory to start afresh",
                ));
            }
            private_file::create(&dir.file(KEYRING), &Keyring::generate()?.to_text())?;
        }
        if !dir.file(ISSUER_KEY).exists() {
            private_file::create(&dir.file(ISSUER_KEY), &Signer::generate()?.to_pem())?;
        }
        // SQLite gives its other files the mode of the database.
        match OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(&database) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(Failure::file(database)(error)),
            _ => {}
        }
        Ok(dir)
    }

    /// Whether the directory holds files other than an interrupted start's.
    fn holds_others(&self) -> Result<bool> {
        let mut entries = std::fs::read_dir(&self.0).map_err(Failure::file(&self.0))?;
        Ok(entries.any(|entry| {
            entry.map_or(true, |entry| !entry.file_name().to_string_lossy().starts_with(&format!(".{KEYRING}.")))
        }))
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The directory's path.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The configuration of its database, with the embedded authorizer.
    pub fn backend(&self) -> Result<Backend> {
        let path = self.file(DATABASE);
        let path = path.to_str().ok_or_else(|| Failure::DataDir {
            path: self.0.clone(),
            problem: "its path is not UTF-8; give one that is",
        })?;
        Ok(Backend { database_url: SecretString::from(format!("sqlite:{path}")), authz: Authz::Embedded })
    }

    /// The path of its keyring.
    pub fn keyring(&self) -> PathBuf {
        self.file(KEYRING)
    }

    /// The signer of tokens for this vault.
    pub fn signer(&self) -> Result<Signer> {
        let path = self.file(ISSUER_KEY);
        let pem = std::fs::read_to_string(&path).map_err(Failure::file(path))?;
        Ok(Signer::from_pem(&pem.into())?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        path.metadata().unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn a_data_directory_is_for_its_owner_alone_whatever_was_there_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vault");
        std::fs::create_dir(&path).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        let dir = DataDir::open_or_create(&path).unwrap();
        assert_eq!(mode(&path), 0o700);
        let files: Vec<_> = std::fs::read_dir(&path).unwrap().map(|file| file.unwrap().path()).collect();
        assert_eq!(files.len(), 3, "{files:?}");
        for file in files {
            assert_eq!(mode(&file), 0o600, "{}", file.display());
        }
        assert!(dir.signer().is_ok() && Keyring::read_file(&dir.keyring()).is_ok());
    }

    #[test]
    fn a_second_start_keeps_the_keys() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vault");
        let read = |dir: &DataDir| [KEYRING, ISSUER_KEY].map(|name| std::fs::read(dir.file(name)).unwrap());
        let first = read(&DataDir::open_or_create(&path).unwrap());
        assert!(first == read(&DataDir::open_or_create(&path).unwrap()));
    }

    #[test]
    fn a_start_that_was_interrupted_is_completed() {
        let folder = tempfile::tempdir().unwrap();
        DataDir::open_or_create(folder.path()).unwrap();
        for name in [DATABASE, ISSUER_KEY] {
            std::fs::remove_file(folder.path().join(name)).unwrap();
            assert!(DataDir::open(folder.path()).is_err(), "{name}");
            assert!(DataDir::open_or_create(folder.path()).is_ok(), "{name}");
        }
    }

    #[test]
    fn a_database_without_its_keys_gets_no_new_ones() {
        let folder = tempfile::tempdir().unwrap();
        DataDir::open_or_create(folder.path()).unwrap();
        std::fs::remove_file(folder.path().join(KEYRING)).unwrap();
        let failure = DataDir::open_or_create(folder.path()).err().unwrap().to_string();
        assert!(failure.contains("put keyring.toml back"), "{failure}");
        assert!(!folder.path().join(KEYRING).exists());
    }

    #[test]
    fn a_directory_of_other_things_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("notes"), "").unwrap();
        std::fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        assert!(DataDir::open_or_create(folder.path()).is_err());
        assert_eq!(mode(folder.path()), 0o755);
    }
}
