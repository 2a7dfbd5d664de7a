//! Rows of keys and settings.

use crate::domain::{DataKeyId, ProjectId, Timestamp};
use diesel::Queryable;

/// A data key as it is stored.
#[derive(Clone, Queryable)]
pub struct DataKeyRow {
    /// Its id.
    pub id: DataKeyId,
    /// The project whose values it seals.
    pub project: ProjectId,
    /// The id of the master key that wraps it.
    pub master_key: String,
    /// The wrapped key.
    pub wrapped: Vec<u8>,
    /// Whether it encrypts what is written next.
    pub encrypting: bool,
    /// Whether it is being replaced: entries are moved to another key, then it is erased.
    pub outgoing: bool,
    /// Authenticates the row; `None` if an earlier release wrote it.
    pub mac: Option<Vec<u8>>,
    /// Whether it is among the replaced keys, which means that the row was put back.
    pub replaced: bool,
}

/// The row of a data key that was replaced and erased.
#[derive(Clone, Queryable)]
pub struct ReplacedKeyRow {
    /// The data key's id.
    pub id: DataKeyId,
    /// The project whose values it sealed.
    pub project: ProjectId,
    /// When it was erased.
    pub replaced_at: Timestamp,
    /// Authenticates the row.
    pub mac: Vec<u8>,
}

/// Totals of all data keys.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DataKeyTotals {
    /// Number of data keys.
    pub count: i64,
    /// Number of keys that an unfinished rotation is to replace.
    pub outgoing: i64,
    /// Number of keys that no longer encrypt but still open what they encrypted, without those of
    /// an unfinished rotation.
    pub older: i64,
    /// The largest number of values that one of them has sealed.
    pub most_sealed: i64,
    /// Number of keys that have sealed the maximum number of values.
    pub past_bound: i64,
}

/// A wrapped key of the installation.
#[derive(Clone, Queryable)]
pub struct InstallationKeyRow {
    /// The master key it is wrapped with.
    pub master_key: String,
    /// Nonce, ciphertext and tag.
    pub wrapped: Vec<u8>,
}

/// A row of `installation`.
#[derive(Clone, Queryable)]
pub struct SettingRow {
    /// The setting's name.
    pub name: String,
    /// Its value.
    pub value: String,
    /// Authenticates name and value; `None` if an earlier release wrote the row.
    pub mac: Option<Vec<u8>>,
}
