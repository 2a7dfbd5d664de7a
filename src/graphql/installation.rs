//! The installation as the API shows it to auditors.

use super::scalars::{DateTime, VaultKeyKind, int};
use crate::vault::InstallationOverview;
use async_graphql::{ID, SimpleObject};

/// An installation of the vault: a database with its servers.
#[derive(SimpleObject)]
pub(super) struct VaultInstallation {
    /// The version of the server that answers.
    version: &'static str,
    /// The parts that the server depends on, as of at most a second ago.
    parts: Vec<VaultPart>,
    /// Number of changes of permissions that the authorizer refuses; an operator has to repair them.
    access_changes_set_aside: i32,
    /// The keys, by kind and state; at most 100,000 data keys are counted.
    keys: Vec<VaultKeyCount>,
    /// The ends of the audit chains that this installation signed last, newest first; at most 100.
    heads: Vec<VaultAuditHead>,
    /// When an operator last verified the whole audit log; null if that never was.
    last_verified_at: Option<DateTime>,
    /// Whether everything was as it was recorded then; null if it was never verified.
    last_verified_intact: Option<bool>,
}

/// A part that a server depends on.
#[derive(SimpleObject)]
pub(super) struct VaultPart {
    /// The part: database, authorizer or keyring.
    name: String,
    /// Whether the part answers as it should.
    ready: bool,
}

/// The number of keys of one kind in one state.
#[derive(SimpleObject)]
pub(super) struct VaultKeyCount {
    /// The kind of key.
    kind: VaultKeyKind,
    /// The state: encrypting, what is written next; older; outgoing, a data key whose entries are being
    /// moved to another one; signing; or unknown, while the keeper of the master keys does not answer.
    state: String,
    /// Number of keys of this kind in this state.
    count: i32,
}

/// The end of an audit chain, which the installation signed.
#[derive(SimpleObject)]
pub(super) struct VaultAuditHead {
    /// The id of the chain, a UUID.
    chain_id: ID,
    /// The sequence number of the chain's last event then, a whole number of up to 64 bits.
    seq: String,
    /// When this end was signed first.
    signed_at: DateTime,
}

impl From<InstallationOverview> for VaultInstallation {
    fn from(overview: InstallationOverview) -> Self {
        let InstallationOverview { parts, set_aside, keys, heads, last_verification } = overview;
        Self {
            version: env!("CARGO_PKG_VERSION"),
            parts: parts.into_iter().map(|(name, ready)| VaultPart { name: name.to_owned(), ready }).collect(),
            access_changes_set_aside: int(set_aside),
            keys: keys
                .into_iter()
                .map(|key| VaultKeyCount { kind: key.kind.into(), state: key.state.to_owned(), count: int(key.count) })
                .collect(),
            heads: heads
                .into_iter()
                .map(|end| VaultAuditHead {
                    chain_id: ID(end.chain),
                    seq: end.seq.to_string(),
                    signed_at: end.signed_at.into(),
                })
                .collect(),
            last_verified_at: last_verification.map(|last| last.at.into()),
            last_verified_intact: last_verification.map(|last| last.intact),
        }
    }
}
