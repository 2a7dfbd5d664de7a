//! The installation as its operators see it: what answers, which keys there are, what is signed, and
//! when the audit log was last verified.

use super::audit::{KEPT_HEADS, jwk_set, read_head};
use super::health::Health;
use super::keys::Installation;
use super::verification::{LastVerification, last_verification};
use crate::domain::{KeyPurpose, Result, Timestamp};
use crate::permission::{Authorized, CanAuditVault};
use std::collections::BTreeMap;

/// Maximum number of data keys that are counted.
const MAX_COUNTED: i64 = 100_000;
/// Maximum number of ends of chains.
pub const MAX_SIGNED_ENDS: usize = 100;

/// A kind of key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeyKind {
    /// Wraps other keys.
    Master,
    /// Encrypts the values of a project.
    Data,
    /// Signs receipts and heads.
    Signing,
}

/// The number of keys of a kind in a state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyCount {
    /// What the keys are for.
    pub kind: KeyKind,
    /// The state: of master and data keys `encrypting`, `older`, or of data keys `outgoing`, whose
    /// entries are being moved; of the signing key `signing`; `unknown` while the keeper of the master
    /// keys does not answer.
    pub state: &'static str,
    /// The number of keys.
    pub count: i64,
}

/// The end of a chain of events that a head states.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedEnd {
    /// The chain's id.
    pub chain: String,
    /// The sequence number of its last event then.
    pub seq: i64,
    /// When it was signed first.
    pub signed_at: Timestamp,
}

/// What operators see of the installation.
#[derive(Debug, Clone)]
pub struct InstallationOverview {
    /// Each part that the vault depends on, and whether it is ready.
    pub parts: Vec<(&'static str, bool)>,
    /// Number of changes of permissions that cannot be applied.
    pub set_aside: i64,
    /// Number of keys, by kind and state.
    pub keys: Vec<KeyCount>,
    /// The newest signed ends of chains, newest first; at most 100.
    pub heads: Vec<SignedEnd>,
    /// The last complete verification of the audit log.
    pub last_verification: Option<LastVerification>,
}

/// Reads what operators see. Cheap to clone.
#[derive(Clone)]
pub struct Overview {
    installation: Installation,
    health: Health,
}

impl Overview {
    pub(super) const fn new(installation: Installation, health: Health) -> Self {
        Self { installation, health }
    }

    /// The installation as it is now.
    ///
    /// # Errors
    /// UNAVAILABLE when the database cannot be read.
    pub async fn read(&self, _: &Authorized<CanAuditVault>) -> Result<InstallationOverview> {
        // Reading the heads first creates the signing key, which `keys` then counts.
        let heads = self.heads().await?;
        Ok(InstallationOverview {
            heads,
            parts: self.health.findings().await.parts,
            set_aside: self.installation.store().reader().await?.count_set_aside().await?,
            keys: self.keys().await?,
            last_verification: last_verification(&self.installation).await?,
        })
    }

    async fn keys(&self) -> Result<Vec<KeyCount>> {
        let current = self.installation.master_keys().current().await.ok();
        let mut conn = self.installation.store().conn().await?;
        let mut masters = conn.master_keys_in_use().await?;
        masters.extend(current.clone());
        masters.sort_unstable();
        masters.dedup();
        let mut counts: BTreeMap<(KeyKind, &'static str), i64> = BTreeMap::new();
        for master in masters {
            let state = match &current {
                Some(current) if *current == master => "encrypting",
                Some(_) => "older",
                None => "unknown",
            };
            *counts.entry((KeyKind::Master, state)).or_default() += 1;
        }
        for (encrypting, outgoing, count) in conn.data_keys_by_state(MAX_COUNTED).await? {
            let state = match (encrypting, outgoing) {
                (true, _) => "encrypting",
                (false, true) => "outgoing",
                (false, false) => "older",
            };
            *counts.entry((KeyKind::Data, state)).or_default() += count;
        }
        let signing = conn.installation_key(KeyPurpose::Signing).await?;
        if signing.is_some() {
            counts.insert((KeyKind::Signing, "signing"), 1);
        }
        Ok(counts.into_iter().map(|((kind, state), count)| KeyCount { kind, state, count }).collect())
    }

    /// The ends of chains in the heads of the database that this installation signed.
    async fn heads(&self) -> Result<Vec<SignedEnd>> {
        let keys = jwk_set(&self.installation.statement_keys().await?)?;
        let texts = self.installation.store().reader().await?.heads(KEPT_HEADS).await?;
        let mut ends: BTreeMap<(String, i64), i64> = BTreeMap::new();
        for head in texts.iter().filter_map(|text| read_head(text, &keys).ok()) {
            for chain in head.chains {
                let signed = ends.entry((chain.chain, chain.seq)).or_insert(head.iat);
                *signed = head.iat.min(*signed);
            }
        }
        let mut ends: Vec<SignedEnd> = ends
            .into_iter()
            .map(|((chain, seq), iat)| SignedEnd {
                chain,
                seq,
                signed_at: Timestamp::from_millis(iat.saturating_mul(1_000)),
            })
            .collect();
        ends.sort_by(|one, other| other.signed_at.cmp(&one.signed_at).then_with(|| other.chain.cmp(&one.chain)));
        ends.truncate(MAX_SIGNED_ENDS);
        Ok(ends)
    }
}
