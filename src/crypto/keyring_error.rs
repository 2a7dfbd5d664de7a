//! Errors of keyrings.

use super::CryptoError;
use std::path::PathBuf;

/// Why a keyring cannot be read, or cannot wrap or unwrap. Messages name keys by id and files by
/// path, never their contents.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    /// The keyring lacks the master key that wraps a key.
    #[error("the keyring lacks the key {0:?}, with which data keys are wrapped; add it to the keyring again")]
    UnknownKey(String),
    /// The master key of this id does not open what was wrapped under the id.
    #[error(
        "the master key {0:?} does not open what was wrapped under this id: it is another key, or the wrapped data key \
         was changed or moved"
    )]
    WrongKey(String),
    /// The current key, which encrypts, cannot be removed.
    #[error("the key {0:?} encrypts; make another one the current key first, with `project-vault keys generate --add`")]
    Current(String),
    /// The provider of the master keys cannot wrap or unwrap now.
    #[error(transparent)]
    Provider(Box<dyn std::error::Error + Send + Sync>),
    /// The keyring's file does not exist.
    #[error("there is no keyring at {}; create one with `project-vault keys generate`", .0.display())]
    Missing(PathBuf),
    /// The keyring's file cannot be read.
    #[error("the keyring {} cannot be read", path.display())]
    Unreadable {
        /// The keyring's file.
        path: PathBuf,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// The file's mode permits more than reading and writing by its owner and reading by its group.
    #[error("the keyring {path} has mode {mode:04o}, which is open to others; run `chmod 640 {path}`", path = path.display())]
    Exposed {
        /// The keyring's file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// A source other than a file gave no keyring.
    #[error(transparent)]
    Source(Box<dyn std::error::Error + Send + Sync>),
    /// The file is larger than a keyring may be.
    #[error("{} is too large for a keyring; give the keyring's own file", .0.display())]
    TooLarge(PathBuf),
    /// The text is not TOML.
    #[error("the keyring is not valid TOML at line {line}; keys are written as \"ID\" = \"BASE64\", ids in quotes")]
    Syntax {
        /// The line, from 1.
        line: usize,
    },
    /// A keyring has no such field, or no value of this type in it.
    #[error(
        "line {line} of the keyring is not understood: it has `current = \"ID\"` and a table [keys] of \"ID\" = \"BASE64\""
    )]
    Field {
        /// The line, from 1.
        line: usize,
    },
    /// A key's id is malformed.
    #[error("line {line} of the keyring: a key's id is 1 to 64 of the characters A-Z a-z 0-9 . _ -")]
    Id {
        /// The line, from 1.
        line: usize,
    },
    /// A name is there twice.
    #[error("the keyring has {0:?} twice; remove one of the two")]
    Duplicate(String),
    /// The keyring does not name its current key.
    #[error("the keyring does not say which key encrypts; add `current = \"ID\"`")]
    NoCurrent,
    /// The keyring lacks its current key.
    #[error("the keyring's current key {0:?} is not in its table [keys]; add it, or name another one")]
    CurrentNotThere(String),
    /// A key has the wrong form or length.
    #[error("the keyring's key {0:?} is not the Base64 of 32 bytes")]
    Material(String),
    /// A key cannot be generated or used.
    #[error(transparent)]
    Crypto(#[from] CryptoError),
}
