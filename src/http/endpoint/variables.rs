//! The variables of a request, built from JSON within limits.
//!
//! A value can take 273 bytes of memory for two bytes of JSON, so the number of values is limited,
//! not only the number of bytes. JSON beyond a limit is still parsed, but not kept.

use async_graphql::indexmap::IndexMap;
use async_graphql::indexmap::map::Entry;
use async_graphql::{Name, Value, Variables};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, de};
use std::cell::Cell;
use std::fmt;

/// Maximum number of JSON tokens; each value is one, and each name of an object's member.
pub(super) const MAX_TOKENS: usize = 30_000;
/// Maximum depth of nesting, `variables` itself not counted.
pub(super) const MAX_DEPTH: usize = 64;
/// Upper bound of the memory that one token takes, in bytes, without the text of strings. Lists of
/// one element take most: the standard library allocates room for four.
pub(super) const TOKEN_MEMORY: usize = 288;

/// The content of `variables`.
pub(super) struct Bounded {
    pub(super) variables: Variables,
    /// Number of JSON tokens they were parsed from.
    pub(super) tokens: usize,
}

/// Why `variables` are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// They are neither an object nor null.
    NotAnObject,
    /// More than [`MAX_TOKENS`].
    TooMany,
    /// Deeper than [`MAX_DEPTH`].
    TooDeep,
    /// An object has two members of one name, which parsers interpret differently (RFC 8259,
    /// section 4).
    Duplicate,
}

/// The result of reading `variables`. A fault does not stop the parser, so the JSON around them is
/// checked to its end.
pub(super) struct Read(pub(super) Result<Bounded, Fault>);

impl<'de> Deserialize<'de> for Read {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let reader = VariableReader::default();
        let value = Node { reader: &reader, depth: 0 }.deserialize(deserializer)?;
        Ok(Self(match (reader.fault.get(), value) {
            (Some(fault), _) => Err(fault),
            (None, object @ Value::Object(_)) => {
                Ok(Bounded { variables: Variables::from_value(object), tokens: reader.tokens.get() })
            }
            (None, _) => Err(Fault::NotAnObject),
        }))
    }
}

#[derive(Default)]
struct VariableReader {
    tokens: Cell<usize>,
    /// The first fault; nothing more is built after it.
    fault: Cell<Option<Fault>>,
}

impl VariableReader {
    fn refuse(&self, fault: Fault) {
        self.fault.set(self.fault.get().or(Some(fault)));
    }

    fn count_token(&self) {
        self.tokens.set(self.tokens.get() + 1);
        if self.tokens.get() > MAX_TOKENS {
            self.refuse(Fault::TooMany);
        }
    }
}

/// Reads one value at this depth.
#[derive(Clone, Copy)]
struct Node<'a> {
    reader: &'a VariableReader,
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.reader.count_token();
        if self.depth > MAX_DEPTH {
            self.reader.refuse(Fault::TooDeep);
        }
        if self.reader.fault.get().is_some() {
            return IgnoredAny::deserialize(deserializer).map(|IgnoredAny| Value::Null);
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let below = Self { depth: self.depth + 1, ..self };
        let mut list = Vec::new();
        while let Some(element) = elements.next_element_seed(below)? {
            if self.reader.fault.get().is_none() {
                list.push(element);
            }
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let below = Self { depth: self.depth + 1, ..self };
        let mut object = IndexMap::new();
        while self.reader.fault.get().is_none()
            && let Some(name) = members.next_key::<Name>()?
        {
            self.reader.count_token();
            let value = members.next_value_seed(below)?;
            match object.entry(name) {
                Entry::Occupied(_) => self.reader.refuse(Fault::Duplicate),
                Entry::Vacant(place) => drop(place.insert(value)),
            }
        }
        while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Value::Object(object))
    }
}
