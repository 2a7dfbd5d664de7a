//! The name of an entry, which is the environment variable it becomes.

/// The longest name, in bytes.
const MAX_BYTES: usize = 128;

/// Names that change how a process finds or runs code (`product.md`, section 3), in upper case.
const RESERVED: &[&str] = &[
    "PATH",
    "HOME",
    "SHELL",
    "IFS",
    "ENV",
    "USER",
    "TERM",
    "EDITOR",
    "VISUAL",
    "PAGER",
    "BASH_ENV",
    "BASHOPTS",
    "SHELLOPTS",
    "PS4",
    "PROMPT_COMMAND",
    "CDPATH",
    "ZDOTDIR",
    "TMPDIR",
    "NO_PROXY",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "CURL_CA_BUNDLE",
    "REQUESTS_CA_BUNDLE",
    "NODE_OPTIONS",
    "NODE_PATH",
    "NODE_EXTRA_CA_CERTS",
    "PYTHONPATH",
    "PYTHONHOME",
    "PYTHONSTARTUP",
    "PYTHONINSPECT",
    "PERL5OPT",
    "PERL5LIB",
    "RUBYOPT",
    "RUBYLIB",
    "JAVA_TOOL_OPTIONS",
    "_JAVA_OPTIONS",
    "JDK_JAVA_OPTIONS",
    "CLASSPATH",
    "RUSTC_WRAPPER",
    "RUSTFLAGS",
    "GOFLAGS",
    "DOTNET_STARTUP_HOOKS",
    "KUBECONFIG",
];
const RESERVED_PREFIXES: &[&str] = &["LD_", "DYLD_", "GIT_", "NPM_CONFIG_", "PIP_", "CARGO_", "PROJECT_VAULT_"];
const RESERVED_SUFFIXES: &[&str] = &["_ASKPASS", "_PROXY"];
/// Credentials that a reserved prefix would refuse.
const ALLOWED: &[&str] = &["GIT_TOKEN", "GIT_USERNAME", "GIT_PASSWORD", "CARGO_REGISTRY_TOKEN"];

/// Why a text cannot name an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// It is no environment variable's name.
    #[error("a name starts with a letter or '_', followed by at most 127 letters, digits or '_'")]
    Form,
    /// It would change how a process finds or runs code.
    #[error("this name is reserved because it changes how a process finds or runs code; choose another one")]
    Reserved,
}

/// A name that an entry may bear: `[A-Za-z_][A-Za-z0-9_]{0,127}`, and not reserved. Compared by byte.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SecretName(String);

impl SecretName {
    /// Takes a name for a new entry.
    ///
    /// # Errors
    /// When the text is no name, or a reserved one in any case of letters.
    pub fn parse(text: impl Into<String>) -> Result<Self, NameError> {
        let text = text.into();
        if !has_form(&text) {
            return Err(NameError::Form);
        }
        if is_reserved(&text) {
            return Err(NameError::Reserved);
        }
        Ok(Self(text))
    }

    /// Whether a text has the form of a name, reserved or not.
    #[must_use]
    pub fn has_form(text: &str) -> bool {
        has_form(text)
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

fn has_form(text: &str) -> bool {
    let mut bytes = text.bytes();
    text.len() <= MAX_BYTES
        && bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn is_reserved(text: &str) -> bool {
    let upper = text.to_ascii_uppercase();
    if ALLOWED.contains(&upper.as_str()) {
        return false;
    }
    RESERVED.contains(&upper.as_str())
        || RESERVED_PREFIXES.iter().any(|prefix| upper.starts_with(prefix))
        || RESERVED_SUFFIXES.iter().any(|suffix| upper.ends_with(suffix))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reserved_names_are_refused_in_any_case_of_letters() {
        for name in RESERVED.iter().copied().chain([
            "LD_PRELOAD",
            "ld_preload",
            "DYLD_X",
            "GIT_SSH",
            "git_ssh_command",
            "SSH_ASKPASS",
            "Sudo_AskPass",
            "HTTP_PROXY",
            "https_proxy",
            "No_Proxy",
            "npm_config_registry",
            "PIP_INDEX_URL",
            "CARGO_HOME",
            "Path",
            "PROJECT_VAULT_TOKEN",
        ]) {
            assert_eq!(SecretName::parse(name), Err(NameError::Reserved), "{name}");
        }
        for name in
            ["GIT_TOKEN", "git_password", "GIT_USERNAME", "CARGO_REGISTRY_TOKEN", "PATHS", "HOME_URL", "PROXY", "LD"]
        {
            assert!(SecretName::parse(name).is_ok(), "{name}");
        }
    }

    #[test]
    fn a_name_has_at_most_128_characters() {
        assert!(SecretName::parse("A".repeat(128)).is_ok());
        assert_eq!(SecretName::parse("A".repeat(129)), Err(NameError::Form));
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
