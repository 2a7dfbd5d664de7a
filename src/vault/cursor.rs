//! Pages of lists, by the Relay cursor connections specification. A cursor holds the sort key of an
//! element, so it stays valid while other elements are added or removed. A digest in it identifies
//! the list.

use crate::domain::{Error, Result};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sha2::{Digest as _, Sha256};

/// Default size of a page.
const DEFAULT: i64 = 50;
/// Maximum size of a page.
const MAX: i32 = 100;

/// A page of a list.
#[derive(Debug, Clone)]
pub struct Page<T> {
    /// The elements, each with its cursor.
    pub items: Vec<(T, String)>,
    /// Whether the list goes on after this page.
    pub has_next: bool,
    /// Whether the page starts after a cursor, so that elements precede it.
    pub has_previous: bool,
    /// The cursor at which the next page resumes, when that is beyond the last element: the
    /// elements in between were examined and do not match.
    pub resume_after: Option<String>,
}

/// The size of a page: 0 to 100, by default 50.
///
/// # Errors
/// INVALID_INPUT outside these bounds.
pub(super) fn page_size(first: Option<i32>) -> Result<i64> {
    match first {
        None => Ok(DEFAULT),
        Some(first @ 0..=MAX) => Ok(i64::from(first)),
        Some(_) => Err(Error::invalid(&["first"], format!("first is out of bounds; ask for 0 to {MAX} elements."))),
    }
}

pub(super) fn not_of_this_list() -> Error {
    Error::invalid(&["after"], "The cursor is not of this list; use one from a page with the same filter and order.")
}

/// Identifies a list, by its elements and order. Its cursors are not valid for other lists.
pub(super) struct List([u8; 8]);

#[derive(Serialize, Deserialize)]
struct Cursor<K> {
    list: [u8; 8],
    key: K,
}

impl List {
    /// The list with this description, which must differ from that of any other list.
    pub(super) fn of(description: &impl std::fmt::Debug) -> Self {
        let digest: [u8; 32] = Sha256::digest(format!("{description:?}")).into();
        let mut list = [0; 8];
        list.copy_from_slice(&digest[..8]);
        Self(list)
    }

    /// The cursor of the element with this sort key.
    ///
    /// # Errors
    /// INTERNAL when the key cannot be written as JSON.
    pub(super) fn cursor<K: Serialize>(&self, key: &K) -> Result<String> {
        let json = serde_json::to_vec(&Cursor { list: self.0, key }).map_err(Error::internal)?;
        Ok(URL_SAFE_NO_PAD.encode(json))
    }

    /// The sort key in a cursor of this list; `None` without a cursor.
    ///
    /// # Errors
    /// INVALID_INPUT when the text is not a cursor of this list.
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

    /// Makes a page from `found`, which holds up to `size` + 1 elements; the last one only shows
    /// that there is a next page. `after` says whether the page starts after a cursor.
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
