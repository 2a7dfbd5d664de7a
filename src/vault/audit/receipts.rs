//! Receipts: signed statements of what was released or erased. They are verified offline with the
//! installation's public keys, and contain no secret value.

use super::Audit;
use crate::crypto::Statement;
use crate::domain::{Error, Purpose, Result, Timestamp};
use crate::store::records::EventRow;
use serde::{Deserialize, Serialize};

/// The values that were released to a runtime in one call.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResolveReceipt {
    /// When the values were released, in seconds since 1970.
    pub iat: i64,
    /// The runtime, such as `runtime:acme-runtime`.
    pub sub: String,
    /// The project's id.
    pub project: String,
    /// The agent's id.
    pub agent: String,
    /// The milestone's id.
    pub milestone: Option<String>,
    /// The purpose that the runtime stated.
    pub purpose: String,
    /// The coding session.
    pub session: Option<String>,
    /// The tool.
    pub tool: Option<String>,
    /// The request's id.
    pub request: String,
    /// The released values.
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
    /// The entry's version.
    pub version: i32,
}

/// What was erased with a project.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ErasureReceipt {
    /// When the project was erased, in seconds since 1970.
    pub iat: i64,
    /// The caller, such as `service:platform`.
    pub sub: String,
    /// The project's id.
    pub project: String,
    /// The id of the event that records the erasure.
    pub event: String,
    /// Number of erased entries, including deleted ones.
    pub entries: i64,
    /// Number of erased versions.
    pub versions: i64,
    /// The erased data keys.
    pub data_keys: Vec<ErasedKey>,
}

/// An erased data key.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ErasedKey {
    /// Its id.
    pub id: String,
    /// Its fingerprint, in hex; `None` when no master key opened it any more.
    pub fingerprint: Option<String>,
    /// The master key that wrapped it. Backups stay readable while this master key exists.
    pub master_key: String,
}

impl ResolveReceipt {
    /// The receipt of one call: `call` holds what all its events have in common, `released` the
    /// events of the released values.
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
    /// Signs a receipt and gives it as a compact JWS.
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
