//! Settings of the master keys.

use super::settings::{KeySettings, Secrets};
use crate::command::SettingReader;
use crate::crypto::Keyring;
use crate::domain::with_causes;
use crate::kms::{TransitConfig, TransitUrl, is_key_name};
use secrecy::ExposeSecret as _;
use std::ffi::OsString;
use std::path::PathBuf;

/// The providers of the master keys: the one that wraps, and also the other one when its settings
/// are given, so that keys it wrapped can still be unwrapped.
pub struct KeyConfig {
    /// The provider that wraps.
    pub provider: Provider,
    /// The keyring, if configured.
    pub keyring: Option<KeyringSource>,
    /// The Transit engine, if configured.
    pub transit: Option<TransitConfig>,
}

/// A kind of key provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Provider {
    /// A keyring in this process.
    #[default]
    Keyring,
    /// The Transit engine of OpenBao or HashiCorp Vault.
    Transit,
}

/// The source of a keyring.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyringSource {
    /// A file.
    File(PathBuf),
    /// The output of this command: a program and its arguments.
    Command(Vec<String>),
}

impl KeyConfig {
    /// The configuration of a keyring in a file.
    #[must_use]
    pub const fn in_file(path: PathBuf) -> Self {
        Self { provider: Provider::Keyring, keyring: Some(KeyringSource::File(path)), transit: None }
    }
}

pub(super) fn read(reader: &mut SettingReader, settings: &KeySettings, secrets: &Secrets) -> Option<KeyConfig> {
    let words = [("keyring", Provider::Keyring), ("transit", Provider::Transit)];
    let provider = reader.choice("VAULT_KEY_PROVIDER", settings.key_provider.as_ref(), &words).unwrap_or_default();
    // Settings are validated even when they are not needed.
    let keyring = keyring(reader, settings, provider);
    let transit = transit(reader, settings, secrets, provider);
    let chosen_is_there = match provider {
        Provider::Keyring => keyring.is_some(),
        Provider::Transit => transit.is_some(),
    };
    chosen_is_there.then_some(KeyConfig { provider, keyring, transit })
}

fn keyring(reader: &mut SettingReader, settings: &KeySettings, provider: Provider) -> Option<KeyringSource> {
    let file = SettingReader::path(settings.keyring_file.as_ref());
    let command = reader.text("VAULT_KEYRING_COMMAND", settings.keyring_command.as_ref());
    match (file, command) {
        (Some(path), None) => {
            // The keyring is read again when it is used. Reading it here reports its problems with
            // all others.
            if let Err(error) = Keyring::read_file(&path) {
                reader.problem("VAULT_KEYRING_FILE", with_causes(&error));
            }
            Some(KeyringSource::File(path))
        }
        (None, Some(command)) => command_words(reader, &command).map(KeyringSource::Command),
        (Some(_), Some(_)) => {
            reader.problem("VAULT_KEYRING_FILE", "is given, and VAULT_KEYRING_COMMAND as well; give one of the two");
            None
        }
        (None, None) if provider == Provider::Transit => None,
        (None, None) => {
            reader.problem(
                "VAULT_KEYRING_FILE",
                "is missing; create a keyring with `project-vault keys generate`, or give VAULT_KEYRING_COMMAND",
            );
            None
        }
    }
}

/// Splits a command into a program and its arguments. No shell is involved, so nothing in them is
/// expanded or run.
fn command_words(reader: &mut SettingReader, command: &str) -> Option<Vec<String>> {
    const SETTING: &str = "VAULT_KEYRING_COMMAND";
    match shlex::split(command) {
        Some(words) if words.first().is_some_and(|program| !program.is_empty()) => Some(words),
        Some(_) => {
            reader.problem(SETTING, "names no program; write a program and its arguments");
            None
        }
        None => {
            reader.problem(SETTING, "ends within a quotation or after a backslash; quote its arguments as for a shell");
            None
        }
    }
}

fn transit(
    reader: &mut SettingReader,
    settings: &KeySettings,
    secrets: &Secrets,
    provider: Provider,
) -> Option<TransitConfig> {
    const TOKEN: &str = "VAULT_TRANSIT_TOKEN";
    let given = |value: &Option<OsString>| value.as_ref().is_some_and(|value| !value.is_empty());
    let url = reader.text("VAULT_TRANSIT_URL", settings.transit_url.as_ref());
    let key = reader.text("VAULT_TRANSIT_KEY", settings.transit_key.as_ref());
    let has_token = given(&secrets.transit_token) || given(&settings.transit_token_file);
    let token = reader.secret(TOKEN, secrets.transit_token.as_ref(), settings.transit_token_file.as_ref());
    if provider == Provider::Transit || url.is_some() || key.is_some() || has_token {
        let missing = [
            (
                "VAULT_TRANSIT_URL",
                given(&settings.transit_url),
                "the engine's address, such as https://bao.example:8200/v1/transit",
            ),
            ("VAULT_TRANSIT_KEY", given(&settings.transit_key), "the name of the key in the engine"),
            (TOKEN, has_token, "the token for the engine, here or in VAULT_TRANSIT_TOKEN_FILE"),
        ];
        for (setting, _, what) in missing.into_iter().filter(|(_, is_given, _)| !is_given) {
            reader.problem(setting, format_args!("is missing; give {what}"));
        }
    }
    let url = url.and_then(|text| match TransitUrl::parse(&text) {
        Ok(url) => Some(url),
        Err(reason) => {
            reader.problem("VAULT_TRANSIT_URL", reason);
            None
        }
    });
    let key = key.filter(|name| {
        let is_name = is_key_name(name);
        if !is_name {
            reader.problem("VAULT_TRANSIT_KEY", "is not a key's name; use letters and digits, with - _ . between them");
        }
        is_name
    });
    let token = token.filter(|token| {
        let is_sendable = token.expose_secret().bytes().all(|b| b.is_ascii_graphic());
        if !is_sendable {
            reader.problem(TOKEN, "contains a character that a header cannot carry; give the token alone");
        }
        is_sendable
    });
    Some(TransitConfig { url: url?, key: key?, token: token? })
}
