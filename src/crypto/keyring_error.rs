//! Errors of keyrings.

use super::CryptoError;
use std::path::PathBuf;

/// Why a keyring cannot be read, or does not wrap or unwrap. It names keys by id and files by path, never what is in them.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    /// The keyring lacks the key that something was wrapped with.
    #[error("the keyring lacks the key {0:?}, with which data keys are wrapped; add it to the keyring again")]
    UnknownKey(String),
    /// There is a master key of this id, but it does not open what was wrapped under that id.
    #[error(
        "the master key {0:?} does not open what was wrapped under this id: it is another key, or the wrapped data key \
         was changed or moved"
    )]
    WrongKey(String),
    /// The key that encrypts cannot be taken out.
    #[error("the key {0:?} encrypts; make another one the current key first, with `project-vault keys generate --add`")]
    Current(String),
    /// Whoever keeps the master keys cannot wrap or unwrap now.
    #[error(transparent)]
    Provider(Box<dyn std::error::Error + Send + Sync>),
    /// There is no file.
    #[error("there is no keyring at {}; create one with `project-vault keys generate`", .0.display())]
    Missing(PathBuf),
    /// The file cannot be read.
    #[error("the keyring {} cannot be read", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// The file is readable or writable to more than its owner, and its group for reading.
    #[error("the keyring {path} has mode {mode:04o}, which is open to others; run `chmod 640 {path}`", path = path.display())]
    Exposed {
        /// Which file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// The source of the keyring, other than a file, gave none.
    #[error(transparent)]
    Source(Box<dyn std::error::Error + Send + Sync>),
    /// Larger than a keyring ever is.
    #[error("{} is too large for a keyring", .0.display())]
    TooLarge(PathBuf),
    /// Not TOML.
    #[error("the keyring is not valid TOML at line {line}; keys are written as \"ID\" = \"BASE64\", ids in quotes")]
    Syntax {
        /// Where.
        line: usize,
    },
    /// A field, or a form of one, that a keyring does not have.
    #[error(
        "line {line} of the keyring is not understood: it has `current = \"ID\"` and a table [keys] of \"ID\" = \"BASE64\""
    )]
    Field {
        /// Where.
        line: usize,
    },
    /// An id that is none.
    #[error("line {line} of the keyring: a key's id is 1 to 64 of the characters A-Z a-z 0-9 . _ -")]
    Id {
        /// Where.
        line: usize,
    },
    /// A name that is there twice.
    #[error("the keyring has {0:?} twice")]
    Duplicate(String),
    /// It is not said which key encrypts.
    #[error("the keyring does not say which key encrypts: it lacks `current = \"ID\"`")]
    NoCurrent,
    /// The key that encrypts is not there.
    #[error("the keyring's current key {0:?} is not in its table [keys]")]
    CurrentNotThere(String),
    /// A key of the wrong form or length.
    #[error("the keyring's key {0:?} is not the Base64 of 32 bytes")]
    Material(String),
    /// A key cannot be made or used.
    #[error(transparent)]
    Crypto(#[from] CryptoError),
}
