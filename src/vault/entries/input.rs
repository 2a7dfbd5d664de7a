//! The inputs of changes of entries.

use crate::domain::{Category, Timestamp};
use secrecy::SecretString;

/// The change of one field in an update.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Change<T> {
    /// It was left out: the field stays as it is.
    #[default]
    Keep,
    /// Null was given: it is cleared.
    Clear,
    /// A new value.
    Set(T),
}

/// An entry to create.
pub struct NewEntry {
    /// The project's id.
    pub project: String,
    /// Its name.
    pub name: String,
    /// Its first value.
    pub value: SecretString,
    /// Its category.
    pub category: Category,
    /// A note.
    pub description: Option<String>,
    /// The milestone it belongs to; the whole project where none.
    pub milestone: Option<String>,
    /// When it expires.
    pub expires_at: Option<Timestamp>,
    /// The rotation interval, in days.
    pub rotation_interval_days: Option<i32>,
}

/// The properties of an entry to change, besides its value.
pub struct EntryChanges {
    /// The entry's id.
    pub id: String,
    /// Its name.
    pub name: Change<String>,
    /// Its note.
    pub description: Change<String>,
    /// Its kind.
    pub category: Change<Category>,
    /// When it expires; an instant in the past means now.
    pub expires_at: Change<Timestamp>,
    /// The rotation interval, in days.
    pub rotation_interval_days: Change<i32>,
    /// The revision the caller has seen.
    pub expected_revision: Option<i32>,
}

/// A new value for an entry.
pub struct Rotation {
    /// The entry's id.
    pub id: String,
    /// The value.
    pub value: SecretString,
    /// When it expires.
    pub expires_at: Change<Timestamp>,
    /// The revision the caller has seen.
    pub expected_revision: Option<i32>,
}

/// A rollback of an entry to an earlier version's value.
pub struct Rollback {
    /// The entry's id.
    pub id: String,
    /// The number of that version.
    pub version: i32,
    /// The revision the caller has seen.
    pub expected_revision: Option<i32>,
}
