//! The name of an entry, which is the environment variable it becomes.

use super::ReservedNames;

/// Maximum length of a name, in bytes.
const MAX_BYTES: usize = 128;

/// Why a text cannot name an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// It is not the name of an environment variable.
    #[error("a name starts with a letter or '_', followed by at most 127 letters, digits or '_'")]
    Form,
    /// It is one of [`ReservedNames`].
    #[error(
        "this name is reserved because programs find, configure or run code by it, or send data where it says; \
         choose another one"
    )]
    Reserved,
}

/// The name of an entry: `[A-Za-z_][A-Za-z0-9_]{0,127}`. Compared by byte.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SecretName(String);

impl SecretName {
    /// Parses a name for a new entry.
    ///
    /// # Errors
    /// When the text does not have the form of a name, or is reserved in any letter case.
    pub fn parse(text: impl Into<String>) -> Result<Self, NameError> {
        Self::parse_with(text, ReservedNames::built_in())
    }

    /// As [`Self::parse`], with another list of reserved names.
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub fn parse_with(text: impl Into<String>, reserved: &ReservedNames) -> Result<Self, NameError> {
        let name = Self::existing(text)?;
        if reserved.contains(&name.0) { Err(NameError::Reserved) } else { Ok(name) }
    }

    /// Parses a name that an existing entry may bear: an entry keeps its name when the name becomes
    /// reserved later.
    ///
    /// # Errors
    /// When the text does not have the form of a name.
    pub fn existing(text: impl Into<String>) -> Result<Self, NameError> {
        let text = text.into();
        if Self::has_form(&text) { Ok(Self(text)) } else { Err(NameError::Form) }
    }

    /// Whether a text has the form of a name, reserved or not.
    #[must_use]
    pub fn has_form(text: &str) -> bool {
        let mut bytes = text.bytes();
        text.len() <= MAX_BYTES
            && bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
            && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
    }

    /// The name as the process sees it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for SecretName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reserved_names_are_refused_for_new_entries_only() {
        for name in ["PATH", "ld_preload", "npm_config_registry", "Sudo_AskPass", "PROJECT_VAULT_TOKEN"] {
            assert_eq!(SecretName::parse(name), Err(NameError::Reserved), "{name}");
            assert!(SecretName::existing(name).is_ok(), "{name}");
        }
        for name in ["GIT_TOKEN", "git_password", "PATHS", "HOME_URL", "PROXY", "a"] {
            assert!(SecretName::parse(name).is_ok(), "{name}");
        }
    }

    #[test]
    fn a_name_has_at_most_128_characters() {
        assert!(SecretName::parse("A".repeat(128)).is_ok());
        assert_eq!(SecretName::parse("A".repeat(129)), Err(NameError::Form));
        assert_eq!(SecretName::existing("A".repeat(129)), Err(NameError::Form));
        assert_eq!(SecretName::parse(""), Err(NameError::Form));
    }

    proptest! {
        #[test]
        fn only_the_form_of_a_name_is_taken(text in ".{0,140}") {
            let expected = regex_like(&text);
            let taken = !matches!(SecretName::parse(text.clone()), Err(NameError::Form));
            prop_assert_eq!(taken, expected);
        }
    }

    fn regex_like(text: &str) -> bool {
        let chars: Vec<char> = text.chars().collect();
        (1..=128).contains(&chars.len())
            && !chars[0].is_ascii_digit()
            && chars.iter().all(|c| c.is_ascii_alphanumeric() || *c == '_')
    }
}
