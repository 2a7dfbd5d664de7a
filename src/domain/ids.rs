//! Ids. Other systems' ids are opaque text (`product.md`, section 1); the vault's own are UUIDs.

use percent_encoding::{AsciiSet, percent_decode_str, utf8_percent_encode};
use uuid::Uuid;

/// Maximum length of another system's id, in bytes.
const MAX_BYTES: usize = 200;
/// Maximum length of an encoded id, in bytes: with its type in front it stays below OpenFGA's limit
/// of 256 characters for an object.
const MAX_ENCODED_BYTES: usize = 240;
/// Characters that OpenFGA reads as syntax. `percent_encoding` writes upper-case hex.
const ENCODED: &AsciiSet = &AsciiSet::EMPTY.add(b'%').add(b':').add(b'#').add(b'*');

/// Why a text is not an id of another system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Empty, too long, or with a character that is not visible ASCII.
    #[error("an id is 1 to 200 visible ASCII characters, without spaces")]
    Form,
    /// Too long once `%`, `:`, `#` and `*` are percent-encoded.
    #[error("the id is longer than 240 bytes once '%', ':', '#' and '*' are percent-encoded; use a shorter one")]
    Encoded,
}

fn check(text: &str) -> Result<(), IdError> {
    if text.is_empty() || text.len() > MAX_BYTES || !text.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(IdError::Form);
    }
    if encode(text).len() > MAX_ENCODED_BYTES {
        return Err(IdError::Encoded);
    }
    Ok(())
}

fn encode(text: &str) -> String {
    utf8_percent_encode(text, ENCODED).to_string()
}

macro_rules! external_id {
    ($($(#[$meta:meta])* $name:ident;)+) => {$(
        $(#[$meta])*
        ///
        /// Opaque: 1 to 200 visible ASCII characters, at most 240 bytes once encoded.
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(String);

        impl $name {
            /// Parses an id that another system sent.
            ///
            /// # Errors
            /// [`IdError`] when the text does not have the form of an id.
            pub fn parse(text: impl Into<String>) -> Result<Self, IdError> {
                let text = text.into();
                check(&text)?;
                Ok(Self(text))
            }

            /// The id as its own system writes it.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The id as OpenFGA sees it: `%`, `:`, `#` and `*` percent-encoded in upper-case hex.
            #[must_use]
            pub fn encoded(&self) -> String {
                encode(&self.0)
            }

            /// Decodes what [`Self::encoded`] writes; `None` for any other encoding, so that an id
            /// has only one.
            #[must_use]
            pub fn decode(encoded: &str) -> Option<Self> {
                let text = percent_decode_str(encoded).decode_utf8().ok()?;
                let id = Self::parse(text.into_owned()).ok()?;
                (id.encoded() == encoded).then_some(id)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }
    )+};
}

external_id! {
    /// A project of the platform.
    ProjectId;
    /// A milestone of a project.
    MilestoneId;
    /// A person, by the prefixed subject of their token.
    UserId;
    /// A service of the platform.
    ServiceId;
    /// An agent runtime.
    RuntimeId;
    /// An agent.
    AgentId;
    /// An organization that takes part in projects.
    OrganizationId;
    /// A team whose membership another system keeps.
    TeamId;
}

macro_rules! own_id {
    ($($(#[$meta:meta])* $name:ident;)+) => {$(
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub Uuid);

        impl $name {
            /// A new id: UUID version 7, so that ids grow with time.
            #[must_use]
            #[allow(clippy::new_without_default, reason = "a default id would hide that each is another")]
            pub fn new() -> Self {
                Self(Uuid::now_v7())
            }

            /// Parses the hyphenated lower-case form that the API writes; `None` for any other
            /// text.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                let id = Uuid::try_parse(text).ok()?;
                (id.hyphenated().to_string() == text).then_some(Self(id))
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }
    )+};
}

own_id! {
    /// An entry of a vault.
    EntryId;
    /// A project's data key.
    DataKeyId;
    /// An audit event.
    EventId;
    /// A chain of audit events.
    ChainId;
}

/// Identifies a request in answers, logs and audit events: 1 to 200 visible ASCII characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(String);

impl RequestId {
    /// A new id, for a request that came without one.
    #[must_use]
    #[allow(clippy::new_without_default, reason = "a default id would hide that each is another")]
    pub fn new() -> Self {
        Self(Uuid::now_v7().to_string())
    }

    /// Parses the caller's id; `None` when it does not have the form of one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let fits = (1..=MAX_BYTES).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
        fits.then(|| Self(text.to_owned()))
    }

    /// The id as it is sent and logged.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_encoded_for_openfga_and_only_that_form_is_read_back() {
        let id = UserId::parse("a%b:c#d*e@f|g").unwrap();
        assert_eq!(id.encoded(), "a%25b%3Ac%23d%2Ae@f|g");
        assert_eq!(UserId::decode("a%25b%3Ac%23d%2Ae@f|g"), Some(id));
        for other in ["%2a", "%41", "*", "a:b", "%", "%2", ""] {
            assert_eq!(UserId::decode(other), None, "{other}");
        }
        assert_eq!(UserId::decode("%2A"), UserId::parse("*").ok());
    }

    #[test]
    fn an_id_is_bounded_before_and_after_encoding() {
        assert!(ProjectId::parse("p".repeat(200)).is_ok());
        assert_eq!(ProjectId::parse("p".repeat(201)), Err(IdError::Form));
        assert!(ProjectId::parse("*".repeat(80)).is_ok());
        assert_eq!(ProjectId::parse("*".repeat(81)), Err(IdError::Encoded));
        for bad in ["", " ", "a b", "a\n", "ü", "a\u{0}"] {
            assert_eq!(ProjectId::parse(bad), Err(IdError::Form), "{bad:?}");
        }
    }

    #[test]
    fn an_entry_id_has_one_written_form() {
        let id = EntryId::new();
        assert_eq!(EntryId::parse(&id.to_string()), Some(id));
        assert_eq!(EntryId::parse(&id.to_string().to_uppercase()), None);
        assert_eq!(EntryId::parse(&id.0.simple().to_string()), None);
    }
}
