//! The secrets an agent asks for, and the outcome of each.

use serde::Deserialize;

/// The secrets to ask for.
pub struct Wanted<'a> {
    /// These names; all without.
    pub names: Option<&'a [String]>,
    /// Names that the caller has itself.
    pub provided: &'a [String],
    /// `CODING_SESSION` or `TOOL_EXECUTION`.
    pub purpose: &'a str,
}

/// The outcome for a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Outcome {
    /// The value is there.
    Resolved,
    /// Only an expired entry bears the name.
    Expired,
    /// The caller has its own.
    ProvidedByWorkspace,
    /// No entry for this agent bears the name.
    NotFound,
}

impl Outcome {
    /// As the API writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Resolved => "RESOLVED",
            Self::Expired => "EXPIRED",
            Self::ProvidedByWorkspace => "PROVIDED_BY_WORKSPACE",
            Self::NotFound => "NOT_FOUND",
        }
    }

    /// Whether an entry decided it, whose value the caller receives or would without its expiry.
    pub const fn is_of_entry(self) -> bool {
        match self {
            Self::Resolved | Self::Expired => true,
            Self::ProvidedByWorkspace | Self::NotFound => false,
        }
    }
}
