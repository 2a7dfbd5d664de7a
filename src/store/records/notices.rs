//! Rows of notices.

use crate::domain::{EntryId, Timestamp};
use diesel::Queryable;

/// A row of `notices`.
#[derive(Debug, Clone, PartialEq, Eq, Queryable)]
pub struct NoticeRow {
    /// The id that the receiver sees.
    pub id: String,
    /// The kind of notice.
    pub kind: String,
    /// The entry's id, or the caller that was refused.
    pub subject: String,
    /// When the entry expires or is due for rotation, or the hour of the refusals.
    pub due_at: Timestamp,
    /// How many days before that; 0 for refusals.
    pub threshold_days: i32,
    /// The number of refusals.
    pub count: i64,
    /// When it was added.
    pub created_at: Timestamp,
    /// Number of attempts to send it.
    pub attempts: i32,
    /// When it is sent next; `None` when it was delivered or given up.
    pub next_attempt_at: Option<Timestamp>,
}

/// An entry, and when something of it is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DueEntry {
    /// The entry.
    pub entry: EntryId,
    /// When it expires, or its rotation is due.
    pub due_at: Timestamp,
}
