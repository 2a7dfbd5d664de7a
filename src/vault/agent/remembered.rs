//! Rows that were read and authenticated, kept while nothing changes. They hold ciphertext.
//!
//! The database changes the generation of a project's rows with everything that decides a resolve,
//! whichever process changes it. Rows that were read at another generation are not used.

use super::question::Lookup;
use crate::store::Generation;
use crate::store::records::{CandidateRow, Candidates};
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// Maximum memory of all kept rows, in bytes.
const MAX_BYTES: u64 = 64 * 1024 * 1024;
/// Maximum memory of the rows of one question, in bytes: larger ones are read each time.
const MAX_BYTES_EACH: usize = 8 * 1024 * 1024;
/// How long rows are kept.
const TTL: Duration = Duration::from_secs(60);
/// What a row takes beside its value and its description, in bytes, and a question beside its names.
const FIXED_BYTES: usize = 2 * 1024;
/// What a name takes beside its text, in bytes.
const NAME_BYTES: usize = 32;

/// Maximum number of entries of a scope that is read as a whole for a question about some of its
/// names: that takes little longer, and answers the next question.
const SMALL_SCOPE: usize = 32;
/// Maximum number of scopes of which it is known that they were asked about.
const MAX_ASKED: u64 = 10_000;

/// Maximum number of names of a lookup whose rows are kept: whoever asks for ever other lists would
/// drive out what others use.
const MAX_NAMES: usize = SMALL_SCOPE;

/// The authentic rows of a lookup, and the generation that they were read at or after.
pub(super) struct Kept {
    generation: Generation,
    rows: Arc<Candidates>,
    /// The places of a name's rows; empty unless these are the rows of all names.
    by_name: HashMap<String, Vec<usize>>,
}

/// How much a scope holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Size {
    /// All of it is to be read, once.
    Small,
    /// Each question is to read its own rows.
    Large,
}

/// The rows of lookups, with the values that may be released.
pub(super) struct RememberedRows {
    kept: Cache<Lookup, Arc<Kept>>,
    /// The scopes that were asked about, as lookups of all names. Rows are kept from the second
    /// question at the same generation on: while changes go on, nothing is.
    asked: Cache<Lookup, (Generation, Size)>,
}

impl Default for RememberedRows {
    fn default() -> Self {
        let weigher = |lookup: &Lookup, kept: &Arc<Kept>| {
            u32::try_from(names_bytes(lookup) + bytes(&kept.rows)).unwrap_or(u32::MAX)
        };
        // The least recently used are dropped: the usual policy drops what is large and seldom used.
        let kept = Cache::builder().max_capacity(MAX_BYTES).weigher(weigher).time_to_live(TTL);
        Self {
            kept: kept.eviction_policy(EvictionPolicy::lru()).build(),
            asked: Cache::builder().max_capacity(MAX_ASKED).time_to_live(TTL).build(),
        }
    }
}

impl RememberedRows {
    /// The rows of the lookup that were kept at this generation, for it or for all names.
    pub(super) fn get(&self, lookup: &Lookup, generation: Generation) -> Option<Arc<Candidates>> {
        let own = self.kept_at(lookup, generation).map(|kept| kept.rows.clone());
        own.or_else(|| Some(self.kept_at(&lookup.of_all_names(), generation)?.of(lookup)))
    }

    fn kept_at(&self, lookup: &Lookup, generation: Generation) -> Option<Arc<Kept>> {
        let kept = self.kept.get(lookup)?;
        if kept.generation != generation {
            self.kept.invalidate(lookup);
            return None;
        }
        Some(kept)
    }

    /// Keeps authentic rows that were read, with their values, after this was their generation.
    pub(super) fn keep(&self, lookup: Lookup, generation: Generation, rows: Arc<Candidates>) -> Arc<Kept> {
        let mut by_name: HashMap<String, Vec<usize>> = HashMap::new();
        if lookup.names.is_none() {
            for (index, row) in rows.entries.iter().enumerate() {
                by_name.entry(row.entry.name.clone()).or_default().push(index);
            }
        }
        let kept = Arc::new(Kept { generation, rows, by_name });
        let few = lookup.names.as_ref().is_none_or(|names| names.len() <= MAX_NAMES);
        let has_milestone = lookup.milestone.is_some() == kept.rows.milestone.is_some();
        if few && has_milestone && bytes(&kept.rows) <= MAX_BYTES_EACH {
            self.kept.insert(lookup, kept.clone());
        }
        kept
    }

    /// Notes that the scope of a lookup, with so many entries, was asked about at this generation.
    pub(super) fn note_asked(&self, lookup: &Lookup, generation: Generation, entries: usize) {
        let size = if entries <= SMALL_SCOPE { Size::Small } else { Size::Large };
        self.asked.insert(lookup.of_all_names(), (generation, size));
    }

    /// The size of the scope, if it was asked about at this generation before. Only one caller is
    /// told that it is small: a whole that cannot be kept is not read again.
    pub(super) fn asked_before(&self, lookup: &Lookup, generation: Generation) -> Option<Size> {
        let whole = lookup.of_all_names();
        let (_, size) = self.asked.get(&whole).filter(|(at, _)| *at == generation)?;
        if size == Size::Small {
            self.asked.insert(whole, (generation, Size::Large));
        }
        Some(size)
    }
}

impl Kept {
    /// The rows of a lookup, of those of its whole scope.
    pub(super) fn of(&self, lookup: &Lookup) -> Arc<Candidates> {
        let Some(names) = &lookup.names else { return self.rows.clone() };
        let Candidates { project, milestone, entries, .. } = &*self.rows;
        let indexes = names.iter().filter_map(|name| self.by_name.get(name)).flatten();
        let entries = indexes.filter_map(|index| entries.get(*index).cloned()).collect();
        let (project, milestone) = (project.clone(), milestone.clone());
        Arc::new(Candidates { project, state: None, milestone, entries, incomplete: Vec::new() })
    }
}

fn names_bytes(lookup: &Lookup) -> usize {
    lookup.names.iter().flatten().map(|name| name.len() + NAME_BYTES).sum()
}

fn bytes(rows: &Candidates) -> usize {
    let value = |row: &CandidateRow| row.value.as_ref().map_or(0, Vec::len);
    let description = |row: &CandidateRow| row.entry.description.as_ref().map_or(0, String::len);
    rows.entries.iter().map(|row| FIXED_BYTES + value(row) + description(row)).sum::<usize>() + FIXED_BYTES
}
