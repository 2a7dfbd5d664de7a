//! The kinds of principals that tokens speak for.

use super::text_enum;

text_enum! {
    /// The kind of principal that a token speaks for.
    #[derive(serde::Serialize, serde::Deserialize)]
    #[serde(rename_all = "lowercase")]
    pub enum TokenKind {
        /// A person.
        User = "user",
        /// A service of the platform.
        Service = "service",
        /// An agent runtime.
        Runtime = "runtime",
    }
}

impl TokenKind {
    /// The audience (`aud`, RFC 7519, section 4.1.3) of tokens for this kind of principal.
    #[must_use]
    pub const fn audience(self) -> &'static str {
        match self {
            Self::User => "project-vault",
            Self::Service => "project-vault-service",
            Self::Runtime => "project-vault-runtime",
        }
    }
}
