//! Receipts: signed statements about values that were released, and about deletions. They are
//! verified offline with the installation's public keys, and hold no value.

use super::Audit;
use crate::crypto::Statement;
use crate::domain::{Error, Purpose, Result, Timestamp};
use crate::store::records::EventRow;
use serde::{Deserialize, Serialize};

/// The statement about values that were released.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResolveReceipt {
    /// The time, in seconds since 1970.
    pub iat: i64,
    /// The runtime, such as `runtime:acme-runtime`.
    pub sub: String,
    /// The project's id.
    pub project: String,
    /// The agent's id.
    pub agent: String,
    /// The milestone's id.
    pub milestone: Option<String>,
    /// The purpose of the resolve.
    pub purpose: String,
    /// The coding session.
    pub session: Option<String>,
    /// The tool.
    pub tool: Option<String>,
    /// The request's id.
    pub request: String,
    /// The values that were released.
    pub released: Vec<Released>,
}

/// A value that was released.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Released {
    /// The id of its access record.
    pub event: String,
    /// The entry's id.
    pub entry: String,
    /// The entry's name.
    pub name: String,
    /// The version.
    pub version: i32,
}

/// The statement about a project's deletion.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ErasureReceipt {
    /// When, in seconds since 1970.
    pub iat: i64,
    /// The principal that asked for it, such as `service:platform`.
    pub sub: String,
    /// The project's id.
    pub project: String,
    /// The id of its event.
    pub event: String,
    /// Number of entries that were erased, deleted ones included.
    pub entries: i64,
    /// Number of versions that were erased.
    pub versions: i64,
    /// The data keys that were erased.
    pub data_keys: Vec<ErasedKey>,
}

/// A data key that was erased.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ErasedKey {
    /// Its id.
    pub id: String,
    /// Its fingerprint, in hex; none where no master key opened it any more.
    pub fingerprint: Option<String>,
    /// The master key that wrapped it: while that one exists, a backup can be read.
    pub master_key: String,
}

impl ResolveReceipt {
    /// Makes the receipt of one call from the fields its records share and the records of released
    /// values.
    pub(in crate::vault) fn of(call: &EventRow, purpose: Purpose, released: &[EventRow], now: Timestamp) -> Self {
        let released = released.iter().filter_map(|event| {
            Some(Released {
                event: event.id.to_string(),
                entry: event.entry?.to_string(),
                name: event.entry_name.clone()?,
                version: event.entry_version?,
            })
        });
        Self {
            iat: epoch_seconds(now),
            sub: call.actor.clone(),
            project: call.project.clone().unwrap_or_default(),
            agent: call.agent.clone().unwrap_or_default(),
            milestone: call.milestone.clone(),
            purpose: purpose.to_string(),
            session: call.session.clone(),
            tool: call.tool.clone(),
            request: call.request_id.clone(),
            released: released.collect(),
        }
    }
}

impl Audit {
    /// Signs a receipt, as a compact JWS.
    ///
    /// # Errors
    /// As [`Installation::signing_key`](crate::vault::Installation::signing_key).
    pub async fn sign_receipt(&self, receipt: &ResolveReceipt) -> Result<String> {
        self.0.installation.signing_key().await?.sign(Statement::ResolveReceipt, receipt).map_err(Error::internal)
    }
}

/// An instant in whole seconds since 1970, as JWTs state it (RFC 7519, NumericDate).
pub(in crate::vault) fn epoch_seconds(at: Timestamp) -> i64 {
    at.millis().div_euclid(1000)
}
