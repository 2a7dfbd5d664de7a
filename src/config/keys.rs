//! Where the master keys come from.

use super::problems::{Reader, with_causes};
use super::settings::KeySettings;
use crate::crypto::Keyring;
use std::path::PathBuf;

/// Where the master keys come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyringSource {
    /// A file.
    File(PathBuf),
    /// What a command prints.
    Command(String),
}

pub(super) fn read(reader: &mut Reader, settings: &KeySettings) -> Option<KeyringSource> {
    if reader.text("VAULT_KEY_PROVIDER", settings.key_provider.as_ref()).is_some_and(|given| given == "transit") {
        reader.problem("VAULT_KEY_PROVIDER", "transit is not available in this version; use keyring");
        return None;
    }
    reader.choice("VAULT_KEY_PROVIDER", settings.key_provider.as_ref(), &[("keyring", ())]);
    let file = Reader::path(settings.keyring_file.as_ref());
    let command = reader.text("VAULT_KEYRING_COMMAND", settings.keyring_command.as_ref());
    match (file, command) {
        (Some(path), None) => {
            // It is read again when it is used; here, so that what is wrong with it stands beside the other problems.
            if let Err(error) = Keyring::read_file(&path) {
                reader.problem("VAULT_KEYRING_FILE", with_causes(&error));
            }
            Some(KeyringSource::File(path))
        }
        (None, Some(command)) => Some(KeyringSource::Command(command)),
        (Some(_), Some(_)) => {
            reader.problem("VAULT_KEYRING_FILE", "is given, and VAULT_KEYRING_COMMAND as well; give one of the two");
            None
        }
        (None, None) => {
            reader.problem(
                "VAULT_KEYRING_FILE",
                "is missing; make a keyring with `project-vault keys generate`, or give VAULT_KEYRING_COMMAND",
            );
            None
        }
    }
}
