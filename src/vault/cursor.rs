//! Pages of lists. A cursor holds the sort key of its element, so it stays valid while other
//! elements come and go (the Relay cursor connections specification). A digest ties it to its list.

use crate::domain::{Error, Result};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sha2::{Digest as _, Sha256};

/// The page size where `first` is left out.
const DEFAULT: i64 = 50;
/// The largest page size.
const MAX: i32 = 100;

/// A part of a list.
#[derive(Debug, Clone)]
pub struct Page<T> {
    /// The elements, each with its cursor.
    pub items: Vec<(T, String)>,
    /// Whether there are elements after these.
    pub has_next: bool,
    /// Whether there are elements before these.
    pub has_previous: bool,
    /// The cursor to continue at, when that is further than the last element: the elements between
    /// were examined and do not match.
    pub resume_after: Option<String>,
}

impl<T> Page<T> {
    /// The same page of other elements.
    #[must_use]
    pub fn map<U>(self, mut make: impl FnMut(T) -> U) -> Page<U> {
        Page {
            items: self.items.into_iter().map(|(item, cursor)| (make(item), cursor)).collect(),
            has_next: self.has_next,
            has_previous: self.has_previous,
            resume_after: self.resume_after,
        }
    }
}

/// The page size: 0 to 100, by default 50.
///
/// # Errors
/// Outside these bounds.
pub(super) fn page_size(first: Option<i32>) -> Result<i64> {
    match first {
        None => Ok(DEFAULT),
        Some(first @ 0..=MAX) => Ok(i64::from(first)),
        Some(_) => {
            Err(Error::invalid(&["first"], format!("The page size is out of range; ask for 0 to {MAX} elements.")))
        }
    }
}

pub(super) fn not_of_this_list() -> Error {
    Error::invalid(&["after"], "This is no cursor of this list; use one that the same filter and order gave.")
}

/// The identity of a list: its elements and their order. Its cursors fit no other list.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct List([u8; 8]);

#[derive(Serialize, Deserialize)]
struct Cursor<K> {
    list: [u8; 8],
    key: K,
}

impl List {
    /// The list with this description.
    pub(super) fn of(description: &impl std::fmt::Debug) -> Self {
        let digest: [u8; 32] = Sha256::digest(format!("{description:?}")).into();
        let mut list = [0; 8];
        list.copy_from_slice(&digest[..8]);
        Self(list)
    }

    /// The cursor after the element of this sort key.
    ///
    /// # Errors
    /// When the key cannot be written as JSON, which ours always can.
    pub(super) fn cursor<K: Serialize>(&self, key: &K) -> Result<String> {
        let json = serde_json::to_vec(&Cursor { list: self.0, key }).map_err(Error::internal)?;
        Ok(URL_SAFE_NO_PAD.encode(json))
    }

    /// The sort key a cursor of this list stands for.
    ///
    /// # Errors
    /// When the text is no cursor of this list.
    pub(super) fn key<K: DeserializeOwned>(&self, cursor: Option<&str>) -> Result<Option<K>> {
        let Some(cursor) = cursor else { return Ok(None) };
        let read = || {
            let json = URL_SAFE_NO_PAD.decode(cursor).ok()?;
            let cursor: Cursor<K> = serde_json::from_slice(&json).ok()?;
            (cursor.list == self.0).then_some(cursor.key)
        };
        match read() {
            Some(key) => Ok(Some(key)),
            None => Err(not_of_this_list()),
        }
    }

    /// Makes a page of at most `size` elements from up to one more.
    ///
    /// # Errors
    /// As [`Self::cursor`].
    pub(super) fn page<T, K: Serialize>(
        &self,
        mut found: Vec<T>,
        size: i64,
        after: bool,
        key: impl Fn(&T) -> K,
    ) -> Result<Page<T>> {
        let size = usize::try_from(size).unwrap_or(0);
        let has_next = found.len() > size;
        found.truncate(size);
        let items = found
            .into_iter()
            .map(|item| {
                let cursor = self.cursor(&key(&item))?;
                Ok((item, cursor))
            })
            .collect::<Result<_>>()?;
        Ok(Page { items, has_next, has_previous: after, resume_after: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzzing::fuzz;

    #[test]
    fn fuzz_cursors() {
        let (list, other) = (List::of(&"entries"), List::of(&"events"));
        let keys = [(1_i64, "NAME".to_owned(), None::<String>), (-7, String::new(), Some("\u{0}\u{1f600}".to_owned()))];
        let made: Vec<Vec<u8>> = keys.iter().map(|key| list.cursor(key).unwrap().into_bytes()).collect();
        fuzz("cursors", &made, |input| {
            let text = String::from_utf8_lossy(input);
            let Ok(key) = list.key::<(i64, String, Option<String>)>(Some(&text)) else { return false };
            let key = key.unwrap();
            let printed = list.cursor(&key).unwrap();
            assert_eq!(list.key(Some(&printed)).unwrap(), Some(key), "what is printed is read back");
            let elsewhere = other.key::<(i64, String, Option<String>)>(Some(&text));
            assert!(elsewhere.is_err(), "no other list takes it");
            true
        });
    }
}
