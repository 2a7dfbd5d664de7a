//! Pages of lists that were read, kept while nothing of their projects changes. They hold no value,
//! and hints only as ciphertext.

use super::lists::EntryListPage;
use super::reading::{Entry, EntryFacts, ReadKeys};
use crate::domain::Timestamp;
use crate::vault::cursor::Page;
use moka::sync::Cache;
use std::sync::Arc;
use std::time::Duration;

/// Maximum memory of all kept pages, in bytes.
const MAX_BYTES: u64 = 64 * 1024 * 1024;
/// How long a page is kept.
const TTL: Duration = Duration::from_secs(60);
/// Maximum size of what a caller wrote to select a page, in bytes.
const MAX_KEY_BYTES: usize = 4 * 1024;
/// What an element of a page takes beside its facts, in bytes.
const ELEMENT_BYTES: usize = 200;

/// The pages that people ask for again and again. The generation of a page's project is part of its
/// key, so after a change it is not found any more. Clones share the pages.
#[derive(Clone)]
pub(super) struct RememberedPages(Cache<EntryListPage, Arc<Page<Arc<EntryFacts>>>>);

impl Default for RememberedPages {
    fn default() -> Self {
        let weigher = |asked: &EntryListPage, page: &Arc<Page<Arc<EntryFacts>>>| {
            let bytes = page.items.iter().map(|(facts, _)| facts.bytes() + ELEMENT_BYTES).sum::<usize>();
            u32::try_from(bytes + asked.bytes()).unwrap_or(u32::MAX)
        };
        Self(Cache::builder().max_capacity(MAX_BYTES).weigher(weigher).time_to_live(TTL).build())
    }
}

impl RememberedPages {
    /// The page with its entries as they are now.
    pub(super) fn get(&self, page: &EntryListPage, now: Timestamp) -> Option<Page<Entry>> {
        let kept = self.0.get(page)?;
        let mut keys = ReadKeys::default();
        Some(Page::clone(&kept).map(|facts| Entry::at(facts, &mut keys, now)))
    }

    /// Keeps a page that was read after the generation in it, unless the caller's words for it are
    /// long.
    pub(super) fn keep(&self, page: &EntryListPage, read: &Page<Entry>) {
        if page.bytes() > MAX_KEY_BYTES {
            return;
        }
        self.0.insert(page.clone(), Arc::new(read.clone().map(|entry| entry.facts())));
    }
}
