//! Signed heads. A head states the end of each chain of events at a time. It shows when the end of
//! a chain was cut off since; a head that was kept elsewhere also shows when the whole database was
//! put back.
//!
//! A server remembers the ends it signed, and signs them again if the database has lost them: heads
//! that are deleted together with the end of a chain are noticed as long as a server runs that
//! signed them.

use super::Audit;
use super::receipts::epoch_seconds;
use crate::crypto::{Statement, StatementError, verify_statement};
use crate::domain::{ChainId, Error, Result};
use crate::vault::measures;
use data_encoding::HEXLOWER;
use jsonwebtoken::jwk::JwkSet;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// The name of the lock under which servers do this one after another.
const LOCK: &str = "audit-head";
/// Number of heads kept in the database.
pub(in crate::vault) const KEPT_HEADS: i64 = 100;
/// Maximum age of an event that no head covers: a server signs every minute, and when it ends.
pub(in crate::vault) const SIGNED_WITHIN: Duration = Duration::from_secs(10 * 60);

/// The ends of chains in the heads that this process signed or continued.
#[derive(Default)]
pub(super) struct ClaimedHeads(Mutex<Standings>);

/// The ends of chains, by their ids.
type Standings = BTreeMap<String, HeadChain>;

impl ClaimedHeads {
    fn get(&self) -> Standings {
        self.0.lock().clone()
    }

    fn set(&self, standings: Standings) {
        *self.0.lock() = standings;
    }
}

/// Claims this end of a chain. An earlier claim of a later end stays, so that a chain that was
/// shortened keeps showing. Returns whether this end was claimed already.
fn claim(standings: &mut Standings, chain: HeadChain) -> bool {
    match standings.get(&chain.chain) {
        Some(claimed) if claimed.seq >= chain.seq => true,
        Some(_) | None => {
            standings.insert(chain.chain.clone(), chain);
            false
        }
    }
}

/// The content of a head.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Head {
    /// The time of signing, in seconds since 1970 (RFC 7519's `iat`).
    pub iat: i64,
    /// The end of each chain.
    pub chains: Vec<HeadChain>,
}

/// The end of a chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeadChain {
    /// The chain's id.
    pub chain: String,
    /// The sequence number of its last event.
    pub seq: i64,
    /// That event's MAC, in hex.
    pub mac: String,
}

impl Audit {
    /// Renews the leases of this process's chains, signs the ends of all chains and returns the
    /// head; if nothing was recorded since the newest head, returns that one. Called every minute,
    /// and when a server ends.
    ///
    /// # Errors
    /// UNAVAILABLE when the database cannot be reached.
    pub async fn sign_head(&self) -> Result<String> {
        let key = self.0.installation.signing_key().await?;
        let keys = jwk_set(&key.jwks())?;
        self.renew_leases().await?;
        let mut tx = self.0.store.begin().await?;
        tx.lock_name(LOCK).await?;
        let (newest, before) = match tx.heads(1).await?.pop() {
            None => (None, None),
            Some(text) => match read_head(&text, &keys) {
                Ok(head) => (Some(text), Some(head)),
                Err(error) => {
                    tracing::error!(
                        %error,
                        "the newest signed head in the database is not this installation's; run `project-vault audit verify`"
                    );
                    (None, tx.heads(KEPT_HEADS).await?.iter().find_map(|text| read_head(text, &keys).ok()))
                }
            },
        };
        let now = self.now();
        let signed = self.0.claimed_heads.get();
        if before.is_none() && tx.chain_rows().await?.iter().any(|chain| chain.opened_at < now.minus(SIGNED_WITHIN)) {
            tracing::error!(
                "there are events and no signed heads: heads were removed, or what recorded the events was killed; compare \
                 with a head that was kept elsewhere, by `project-vault audit verify --head FILE`"
            );
        }
        let claimed = before.map(|head| head.chains).unwrap_or_default();
        let mut chains: Standings = claimed.iter().map(|chain| (chain.chain.clone(), chain.clone())).collect();
        let mut is_lost = false;
        for chain in signed.into_values() {
            is_lost |= !claim(&mut chains, chain);
        }
        if is_lost {
            tracing::error!(
                "signed heads were removed from the database; their claims are signed again. Run `project-vault audit \
                 verify` and find out who changed the database"
            );
        }
        for tip in tx.chain_tips().await? {
            let stands = HeadChain { chain: tip.chain.to_string(), seq: tip.seq, mac: HEXLOWER.encode(&tip.mac) };
            claim(&mut chains, stands);
        }
        let standings = chains.clone();
        let chains: Vec<HeadChain> = chains.into_values().collect();
        if let Some(newest) = newest
            && chains == claimed
        {
            tx.rollback().await?;
            self.0.claimed_heads.set(standings);
            measures::note_head(epoch_seconds(now));
            return Ok(newest);
        }
        let head = Head { iat: epoch_seconds(now), chains };
        let statement = key.sign(Statement::AuditHead, &head).map_err(Error::internal)?;
        tx.insert_head(&statement, now).await?;
        tx.prune_heads(KEPT_HEADS).await?;
        tx.commit().await?;
        self.0.claimed_heads.set(standings);
        measures::note_head(head.iat);
        Ok(statement)
    }
}

pub(in crate::vault) fn jwk_set(keys: &serde_json::Value) -> Result<JwkSet> {
    JwkSet::deserialize(keys).map_err(Error::internal)
}

/// Reads a signed head.
pub(in crate::vault) fn read_head(text: &str, keys: &JwkSet) -> Result<Head, StatementError> {
    match verify_statement(text, keys)? {
        (Statement::AuditHead, head) => Ok(head),
        (Statement::ResolveReceipt | Statement::ErasureReceipt, _) => Err(StatementError::Form),
    }
}

impl HeadChain {
    pub(in crate::vault) fn point(&self) -> Option<(ChainId, i64)> {
        Some((ChainId::parse(&self.chain)?, self.seq))
    }
}
