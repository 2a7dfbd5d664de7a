//! Lists in a server's answer, which it does not make longer than any vault's.

use serde::de::{Deserialize, Deserializer, Error as _, SeqAccess, Visitor};
use std::fmt;
use std::marker::PhantomData;

/// Maximum number of elements of a list. A project has at most 1,000 entries.
const MAX_ELEMENTS: usize = 10_000;

/// Reads a list, for `#[serde(deserialize_with)]`.
///
/// # Errors
/// When it has more than 10,000 elements, or one that is none.
pub fn bounded<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    deserializer.deserialize_seq(Bounded(PhantomData))
}

struct Bounded<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Bounded<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of at most {MAX_ELEMENTS} elements")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = list.next_element()? {
            if elements.len() == MAX_ELEMENTS {
                return Err(A::Error::invalid_length(MAX_ELEMENTS + 1, &self));
            }
            elements.push(element);
        }
        Ok(elements)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize)]
    struct List {
        #[serde(default, deserialize_with = "bounded")]
        elements: Vec<u8>,
    }

    fn length(json: &str) -> Option<usize> {
        serde_json::from_str(json).ok().map(|list: List| list.elements.len())
    }

    #[test]
    fn a_list_that_is_longer_than_any_vaults_is_refused() {
        let list = |length: usize| format!("{{\"elements\":[{}]}}", vec!["1"; length].join(","));
        assert_eq!(length(&list(MAX_ELEMENTS)), Some(MAX_ELEMENTS));
        assert_eq!(length(&list(MAX_ELEMENTS + 1)), None);
        assert_eq!(length("{}"), Some(0));
        assert_eq!(length("{\"elements\":[1,-1]}"), None);
    }
}
