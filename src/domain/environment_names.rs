//! Which entry names reach the environment of a project's sessions (`product.md`, section 3).

use super::{ReservedNames, SecretName, text_enum};

/// Endings of names of credentials and of what belongs to them. Every variable with such an ending
/// that a program is known to read for itself is among [`ReservedNames`].
const SUFFIXES: &[&str] = &[
    "_KEY",
    "_TOKEN",
    "_SECRET",
    "_PASSWORD",
    "_PASS",
    "_PASSPHRASE",
    "_PAT",
    "_PIN",
    "_JWT",
    "_CERT",
    "_CERTIFICATE",
    "_PEM",
    "_CREDENTIAL",
    "_CREDENTIALS",
    "_DSN",
    "_URL",
    "_URI",
    "_WEBHOOK",
    "_USER",
    "_USERNAME",
    "_LOGIN",
    "_EMAIL",
    "_ID",
];

text_enum! {
    /// Which names of entries reach the sessions of a project.
    pub enum EnvironmentNames {
        /// Every name that is not reserved.
        Any = "ANY",
        /// Names with a credential's ending, and approved names.
        Suffixed = "SUFFIXED",
    }
}

text_enum! {
    /// Why an entry does not reach sessions.
    pub enum LeftOutReason {
        /// Its name is reserved.
        ReservedName = "RESERVED_NAME",
        /// The project lets in only names with a credential's ending and approved names, and this
        /// name is neither.
        NameNotSuffixed = "NAME_NOT_SUFFIXED",
    }
}

impl EnvironmentNames {
    /// Why a name does not reach sessions; `None` when it does.
    #[must_use]
    pub fn left_out(self, name: &str, approved: bool, reserved: &ReservedNames) -> Option<LeftOutReason> {
        if reserved.contains(name) {
            Some(LeftOutReason::ReservedName)
        } else if self == Self::Any || approved || is_suffixed(name) {
            None
        } else {
            Some(LeftOutReason::NameNotSuffixed)
        }
    }
}

fn is_suffixed(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    SUFFIXES.iter().any(|suffix| name.ends_with(suffix))
}

/// Names that an Accountable person approved for sessions although they lack a credential's ending:
/// at most [`ApprovedNames::MAX`], without duplicates, in byte order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ApprovedNames(String);

impl ApprovedNames {
    /// Maximum number of approved names of a project.
    pub const MAX: usize = 100;

    /// Sorts and deduplicates names; `None` when there are more than [`Self::MAX`].
    #[must_use]
    pub fn new(names: impl IntoIterator<Item = SecretName>) -> Option<Self> {
        let mut names: Vec<SecretName> = names.into_iter().collect();
        names.sort();
        names.dedup();
        if names.len() > Self::MAX {
            return None;
        }
        // A space before each name and after the last one, so that ` NAME ` finds a whole name.
        let mut text: String = names.iter().flat_map(|name| [" ", name.as_str()]).collect();
        if !text.is_empty() {
            text.push(' ');
        }
        Some(Self(text))
    }

    /// Parses the stored form; `None` for any other text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let names = text.split_ascii_whitespace().map(|name| SecretName::existing(name).ok());
        Self::new(names.collect::<Option<Vec<_>>>()?).filter(|names| names.0 == text)
    }

    /// The stored form: names separated by single spaces, with a space at both ends; empty without
    /// names.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The names, in byte order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.split_ascii_whitespace()
    }

    /// Whether a name is approved. Names are case-sensitive.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.iter().any(|approved| approved == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use LeftOutReason::{NameNotSuffixed, ReservedName};

    fn left_out(names: EnvironmentNames, name: &str, approved: bool) -> Option<LeftOutReason> {
        names.left_out(name, approved, ReservedNames::built_in())
    }

    #[test]
    fn any_leaves_out_reserved_names_only() {
        for name in ["TOKEN", "DB_HOST", "lower"] {
            assert_eq!(left_out(EnvironmentNames::Any, name, false), None, "{name}");
        }
        assert_eq!(left_out(EnvironmentNames::Any, "MAKEFLAGS", true), Some(ReservedName));
    }

    #[test]
    fn suffixed_takes_names_that_end_as_credentials_do_and_approved_ones() {
        let names =
            "X_KEY X_TOKEN X_SECRET X_PASSWORD X_PAT X_CERT X_URL X_USER X_ID github_token GITHUB_WEBHOOK DB_DSN";
        for name in names.split_whitespace() {
            assert_eq!(left_out(EnvironmentNames::Suffixed, name, false), None, "{name}");
        }
        for name in ["TOKEN", "KEY", "DB_HOST", "X_KEY_2", "MONKEY", "XURL", "A"] {
            assert_eq!(left_out(EnvironmentNames::Suffixed, name, false), Some(NameNotSuffixed), "{name}");
            assert_eq!(left_out(EnvironmentNames::Suffixed, name, true), None, "{name}");
        }
        for name in ["PROJECT_VAULT_TOKEN", "AWS_ENDPOINT_URL", "ANTHROPIC_BASE_URL"] {
            assert_eq!(left_out(EnvironmentNames::Suffixed, name, true), Some(ReservedName), "{name}");
        }
    }

    #[test]
    fn no_suffix_lets_a_reserved_family_in() {
        let corpus = include_str!("../../tests/corpus/dangerous-names.txt");
        let lines = corpus.lines().filter(|line| !line.starts_with('#'));
        let names = lines.filter_map(|line| line.split_ascii_whitespace().next());
        let suffixed: Vec<&str> = names.filter(|name| is_suffixed(name)).collect();
        assert!(suffixed.len() >= 30, "{suffixed:?}");
        for name in suffixed {
            assert_eq!(left_out(EnvironmentNames::Suffixed, name, true), Some(ReservedName), "{name}");
        }
    }

    #[test]
    fn no_suffix_is_reserved_by_itself() {
        for suffix in SUFFIXES {
            assert_eq!(left_out(EnvironmentNames::Suffixed, &format!("ACME{suffix}"), false), None, "{suffix}");
        }
    }

    #[test]
    fn approved_names_are_stored_once_in_order_and_found_whole() {
        let name = |text: &str| SecretName::existing(text).unwrap();
        let approved = ApprovedNames::new([name("B"), name("A_1"), name("B")]).unwrap();
        assert_eq!(approved.as_str(), " A_1 B ");
        assert_eq!(approved.iter().collect::<Vec<_>>(), ["A_1", "B"]);
        assert!(approved.contains("B") && !approved.contains("b") && !approved.contains("A"));
        assert_eq!(ApprovedNames::parse(approved.as_str()), Some(approved));
        assert_eq!(ApprovedNames::parse(""), Some(ApprovedNames::default()));
        for text in [" ", "A", " A", " B A ", " A A ", " A  B ", " A-B "] {
            assert_eq!(ApprovedNames::parse(text), None, "{text:?}");
        }
        let many = |count: usize| (0..count).map(|number| name(&format!("N_{number}")));
        assert!(ApprovedNames::new(many(ApprovedNames::MAX)).is_some());
        assert_eq!(ApprovedNames::new(many(ApprovedNames::MAX + 1)), None);
    }
}
