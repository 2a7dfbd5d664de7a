//! Rows of keys and of what the installation's key vouches for.

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
    /// It encrypts what is written next.
    pub encrypting: bool,
    /// It is being replaced: entries are moved away from it, and then it is erased.
    pub outgoing: bool,
    /// Authenticates the row; none where a release before this one wrote it.
    pub mac: Option<Vec<u8>>,
    /// It is listed among the replaced ones, so the row was put back.
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

/// All data keys together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DataKeyTotals {
    /// How many there are.
    pub count: i64,
    /// How many are to be replaced by a rotation that has not ended.
    pub outgoing: i64,
    /// How many encrypt nothing any more, those of an unended rotation apart, and still open what
    /// they encrypted.
    pub older: i64,
    /// The most values that were sealed with one of them.
    pub most_sealed: i64,
    /// How many have sealed as many values as one may.
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
    /// Authenticates name and value; none where a release before this one wrote it.
    pub mac: Option<Vec<u8>>,
}
