//! The highest revision of each entry that this process has seen. The database can be put back to
//! an earlier state, but a process cannot. So the vault refuses a row older than one it has seen,
//! even if everything else was put back with it.

use crate::domain::EntryId;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;

/// Maximum number of entries remembered, about 20 MB; the least recently used are evicted first.
const MAX_ENTRIES: u64 = 100_000;

/// A bounded cache of the highest revision seen per entry.
pub(super) struct Revisions(Cache<EntryId, i32>);

impl Default for Revisions {
    fn default() -> Self {
        Self(Cache::builder().max_capacity(MAX_ENTRIES).eviction_policy(EvictionPolicy::lru()).build())
    }
}

impl Revisions {
    /// The highest revision seen of an entry; `None` when none was seen or it was evicted.
    pub(super) fn highest(&self, entry: EntryId) -> Option<i32> {
        self.0.get(&entry)
    }

    /// Remembers a revision that is committed and whose MAC was verified.
    pub(super) fn raise(&self, entry: EntryId, revision: i32) {
        if self.highest(entry).is_none_or(|highest| highest < revision) {
            self.0
                .entry(entry)
                .and_upsert_with(|known| known.map_or(revision, |known| known.into_value().max(revision)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn a_lower_revision_does_not_lower_what_is_remembered() {
        let (revisions, entry) = (Revisions::default(), EntryId(Uuid::from_u128(1)));
        assert_eq!(revisions.highest(entry), None, "nothing is known yet");
        revisions.raise(entry, 7);
        revisions.raise(entry, 3);
        assert_eq!(revisions.highest(entry), Some(7));
        assert_eq!(revisions.highest(EntryId(Uuid::from_u128(2))), None, "each entry for itself");
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let revisions = Revisions::default();
        for n in 0..(MAX_ENTRIES + 5_000) {
            revisions.raise(EntryId(Uuid::from_u128(u128::from(n))), 1);
        }
        revisions.0.run_pending_tasks();
        assert!(revisions.0.entry_count() <= MAX_ENTRIES);
        let newest = EntryId(Uuid::from_u128(u128::from(MAX_ENTRIES + 4_999)));
        assert_eq!(revisions.highest(newest), Some(1), "the newest is never the one that is forgotten");
    }
}
