//! The answer to a request for a secret.

use super::Problem;
use crate::domain::{Error, Result, SecretOutcome, Timestamp};
use crate::http::budget::Reservation;
use crate::http::conditional::knows;
use crate::http::endpoint::Refusal;
use crate::vault::{Resolution, Resolved, ResolvedEntry};
use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use data_encoding::BASE64URL_NOPAD;
use http::header::{CONTENT_TYPE, ETAG};
use http::{HeaderValue, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use std::io;

/// Bytes of the hash in an ETag.
const TAG_BYTES: usize = 16;

/// The outcome of a resolve for one name.
pub(super) enum Outcome {
    /// The value was released.
    Released(Released),
    /// The entry has expired.
    Expired(EntryFields),
    /// No entry for the agent bears the name.
    Absent,
}

/// A released secret.
pub(super) struct Released {
    value: SecretString,
    fields: EntryFields,
    etag: HeaderValue,
}

/// An entry in an answer, in the words of GraphQL.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct EntryFields {
    name: String,
    entry_id: String,
    version: i32,
    category: &'static str,
    scope: &'static str,
    expires_at: Option<String>,
}

impl EntryFields {
    fn new(name: String, entry: &ResolvedEntry) -> Self {
        Self {
            name,
            entry_id: entry.id.to_string(),
            version: entry.version,
            category: entry.category.as_str(),
            scope: entry.scope.as_str(),
            expires_at: entry.expires_at.map(Timestamp::to_rfc3339),
        }
    }
}

/// The body of an answer with a value.
#[derive(Serialize)]
struct SecretBody<'a> {
    value: &'a str,
    #[serde(flatten)]
    fields: &'a EntryFields,
}

/// What an ETag covers: all of the answer but the value, which the version determines. The time
/// tells versions of one number apart that were made before and after a backup was restored.
#[derive(Serialize)]
struct Tagged<'a> {
    fields: &'a EntryFields,
    created_at: i64,
}

impl Outcome {
    /// The outcome for the only name of a resolve.
    ///
    /// # Errors
    /// INTERNAL when there is no answer of a form that the vault gives.
    pub(super) fn of(resolution: Resolution) -> Result<Self> {
        let mut secrets = resolution.secrets;
        match (secrets.pop(), secrets.is_empty()) {
            (Some(Resolved { outcome: SecretOutcome::NotFound, .. }), true) => Ok(Self::Absent),
            (Some(Resolved { outcome: SecretOutcome::Expired, name, entry: Some(entry), .. }), true) => {
                Ok(Self::Expired(EntryFields::new(name, &entry)))
            }
            (
                Some(Resolved {
                    outcome: SecretOutcome::Resolved, name, value: Some(value), entry: Some(entry), ..
                }),
                true,
            ) => {
                let fields = EntryFields::new(name, &entry);
                let etag = etag(&fields, &entry)?;
                Ok(Self::Released(Released { value, fields, etag }))
            }
            // Nothing is provided by the workspace here, and no outcome lacks its entry or value.
            _ => Err(Error::internal("a resolve of one name has no answer to it")),
        }
    }

    /// The response; `known` are the ETags that the caller knows, and `reserved` is the memory of
    /// the answer.
    pub(super) async fn respond(self, known: &[HeaderValue], reserved: Reservation) -> Result<Response, Problem> {
        match self {
            Self::Absent => Err(Problem::absent()),
            Self::Expired(fields) => Err(Problem::expired(fields)),
            Self::Released(released) if knows(known, &released.etag) => {
                Ok((StatusCode::NOT_MODIFIED, [(ETAG, released.etag)]).into_response())
            }
            Self::Released(released) => released.respond(reserved).await,
        }
    }
}

impl Released {
    async fn respond(self, mut reserved: Reservation) -> Result<Response, Problem> {
        let body = SecretBody { value: self.value.expose_secret(), fields: &self.fields };
        let json = |to: &mut dyn io::Write| serde_json::to_writer(to, &body).map_err(Error::internal);
        // Measured first: a buffer that grows by itself leaves its old content behind.
        let mut length = Length(0);
        json(&mut length).map_err(|error| Problem::of(&error))?;
        reserved.resize(length.0).await.map_err(Refusal::from)?;
        let mut body = Vec::with_capacity(length.0);
        json(&mut body).map_err(|error| Problem::of(&error))?;
        let content_type = HeaderValue::from_static("application/json");
        Ok(([(CONTENT_TYPE, content_type), (ETAG, self.etag)], Body::from(reserved.attach_to(body))).into_response())
    }
}

/// Counts what is written.
struct Length(usize);

impl io::Write for Length {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A strong validator of an answer (RFC 9110, section 8.8.1). Nothing of the value goes into it.
fn etag(fields: &EntryFields, entry: &ResolvedEntry) -> Result<HeaderValue> {
    let tagged = Tagged { fields, created_at: entry.version_created_at.millis() };
    let hash = Sha256::digest(serde_json::to_vec(&tagged).map_err(Error::internal)?);
    let text = format!("\"{}\"", BASE64URL_NOPAD.encode(&hash[..TAG_BYTES]));
    HeaderValue::try_from(text).map_err(Error::internal)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Category, EntryId, Scope, Timestamp};

    fn entry() -> ResolvedEntry {
        ResolvedEntry {
            id: EntryId::new(),
            version: 3,
            version_created_at: Timestamp::from_millis(1_000),
            category: Category::ApiKey,
            scope: Scope::Project,
            expires_at: None,
        }
    }

    fn tag(entry: &ResolvedEntry) -> HeaderValue {
        etag(&EntryFields::new("TOKEN".to_owned(), entry), entry).ok().unwrap()
    }

    #[test]
    fn a_tag_differs_wherever_the_answer_does() {
        let one = entry();
        assert_eq!(tag(&one), tag(&one.clone()));
        for other in [
            ResolvedEntry { id: EntryId::new(), ..one.clone() },
            ResolvedEntry { version: 4, ..one.clone() },
            ResolvedEntry { version_created_at: Timestamp::from_millis(1_001), ..one.clone() },
            ResolvedEntry { category: Category::Password, ..one.clone() },
            ResolvedEntry { scope: Scope::Milestone, ..one.clone() },
            ResolvedEntry { expires_at: Some(Timestamp::from_millis(5)), ..one.clone() },
        ] {
            assert_ne!(tag(&one), tag(&other), "{other:?}");
        }
    }
}
