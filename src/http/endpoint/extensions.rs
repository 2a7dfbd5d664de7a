//! The parameter `extensions`. Of its content, only the hash of a persisted query has a meaning.

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, de};
use std::borrow::Cow;
use std::fmt;

/// Where clients put the hash of a document that they do not send (Apollo's automatic persisted
/// queries).
const HASH: &[&str] = &["persistedQuery", "sha256Hash"];

/// The parameter, as far as it is read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Extensions {
    Object {
        /// Whether it names a document by its hash.
        has_hash: bool,
    },
    Other,
}

impl<'de> Deserialize<'de> for Extensions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match Contains(HASH).deserialize(deserializer)? {
            Content::Object(has_hash) => Self::Object { has_hash },
            Content::Null | Content::Other => Self::Other,
        })
    }
}

/// A JSON value, of an object whether it has the member asked for.
enum Content {
    Object(bool),
    Null,
    Other,
}

/// Looks for a member by its path, and skips everything else.
struct Contains(&'static [&'static str]);

impl<'de> DeserializeSeed<'de> for Contains {
    type Value = Content;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Content, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Contains {
    type Value = Content;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Content, E> {
        Ok(Content::Null)
    }

    fn visit_str<E: de::Error>(self, _: &str) -> Result<Content, E> {
        Ok(Content::Other)
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<Content, E> {
        Ok(Content::Other)
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<Content, E> {
        Ok(Content::Other)
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<Content, E> {
        Ok(Content::Other)
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<Content, E> {
        Ok(Content::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Content, A::Error> {
        while elements.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Content::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Content, A::Error> {
        let mut found = false;
        while let Some(name) = members.next_key::<Cow<'_, str>>()? {
            match self.0.split_first() {
                Some((wanted, rest)) if *wanted == name => {
                    let content = members.next_value_seed(Contains(rest))?;
                    found |= if rest.is_empty() {
                        !matches!(content, Content::Null)
                    } else {
                        matches!(content, Content::Object(true))
                    };
                }
                _ => drop(members.next_value::<IgnoredAny>()?),
            }
        }
        Ok(Content::Object(found))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_hash_of_a_persisted_query_is_seen() {
        let read = |json: &str| serde_json::from_str::<Extensions>(json).unwrap();
        for json in [
            r#"{"persistedQuery":{"version":1,"sha256Hash":"e3b0"}}"#,
            r#"{"other":[{"a":1}],"persistedQuery":{"sha256Hash":7},"more":null}"#,
        ] {
            assert_eq!(read(json), Extensions::Object { has_hash: true }, "{json}");
        }
        for json in [
            "{}",
            r#"{"persistedQuery":null}"#,
            r#"{"persistedQuery":{}}"#,
            r#"{"persistedQuery":{"sha256Hash":null}}"#,
            r#"{"persistedQuery":["sha256Hash"]}"#,
            r#"{"sha256Hash":"e3b0"}"#,
            r#"{"other":{"persistedQuery":{"sha256Hash":"e3b0"}}}"#,
        ] {
            assert_eq!(read(json), Extensions::Object { has_hash: false }, "{json}");
        }
        for json in ["1", "-1", "0.5", "true", "\"x\"", "[]"] {
            assert_eq!(read(json), Extensions::Other, "{json}");
        }
    }
}
