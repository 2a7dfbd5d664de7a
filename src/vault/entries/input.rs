//! The inputs of changes to entries, as the caller gave them.

use crate::domain::{Category, Timestamp};
use secrecy::SecretString;

/// What an update does with a field.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Change<T> {
    /// The input omits the field: keep it as it is.
    #[default]
    Keep,
    /// The input is null: remove the value.
    Clear,
    /// Set this value.
    Set(T),
}

/// The entry to create.
pub struct NewEntry {
    /// The id of the project the entry belongs to.
    pub project: String,
    /// Its name.
    pub name: String,
    /// Its first value, as plaintext.
    pub value: SecretString,
    /// Its category.
    pub category: Category,
    /// A description for people.
    pub description: Option<String>,
    /// The id of the milestone it is scoped to; `None` for the whole project.
    pub milestone: Option<String>,
    /// When it expires.
    pub expires_at: Option<Timestamp>,
    /// The rotation interval, in days.
    pub rotation_interval_days: Option<i32>,
}

/// An update of an entry's properties, its value excepted.
pub struct EntryChanges {
    /// The entry's id.
    pub id: String,
    /// Its name.
    pub name: Change<String>,
    /// Its description for people.
    pub description: Change<String>,
    /// Its category.
    pub category: Change<Category>,
    /// When it expires; an instant in the past means now.
    pub expires_at: Change<Timestamp>,
    /// The rotation interval, in days.
    pub rotation_interval_days: Change<i32>,
    /// The revision that the caller has read; if the entry has another one, nothing is changed.
    pub expected_revision: Option<i32>,
}

/// A rotation: a new value for an entry.
pub struct Rotation {
    /// The entry's id.
    pub id: String,
    /// The new value, as plaintext.
    pub value: SecretString,
    /// When it expires.
    pub expires_at: Change<Timestamp>,
    /// The revision that the caller has read; if the entry has another one, nothing is changed.
    pub expected_revision: Option<i32>,
}

/// A rollback: an entry gets the value of an earlier version again.
pub struct Rollback {
    /// The entry's id.
    pub id: String,
    /// The version whose value to restore.
    pub version: i32,
    /// The revision that the caller has read; if the entry has another one, nothing is changed.
    pub expected_revision: Option<i32>,
}
