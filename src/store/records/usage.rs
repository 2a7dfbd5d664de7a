//! How agents use entries.

use crate::domain::{EntryId, Timestamp};
use diesel::Queryable;

/// Uses of entries that are to be counted.
#[derive(Debug)]
pub struct Uses {
    /// The entries, each once, with the number of times that agents received a value.
    pub entries: Vec<(EntryId, i64)>,
    /// When they did.
    pub at: Timestamp,
}

/// How often agents received a value of an entry, and when last.
#[derive(Debug, Clone, Copy, Queryable)]
pub struct UsageRow {
    /// The entry.
    pub entry: EntryId,
    /// The number of times.
    pub count: i64,
    /// The last time.
    pub last: Option<Timestamp>,
}
