//! Signed heads: where the chains of events stood. What was cut off a chain's end, before a head was signed, shows by it; what a
//! whole database that was put back lacks, by a head that was kept elsewhere.

use super::Vault;
use crate::crypto::{Statement, StatementError, verify_statement};
use crate::domain::{ChainId, Error, Result, Timestamp};
use data_encoding::HEXLOWER;
use jsonwebtoken::jwk::JwkSet;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Under this name servers take turns.
const LOCK: &str = "audit-head";
/// So many heads are kept in the database.
pub(super) const KEPT: i64 = 100;

/// What a head says.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Head {
    /// When it was signed, in seconds since 1970 (RFC 7519's `iat`).
    pub iat: i64,
    /// Where each chain stood.
    pub chains: Vec<HeadChain>,
}

/// Where a chain stood.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeadChain {
    /// Which chain.
    pub chain: String,
    /// Its last event.
    pub seq: i64,
    /// That event's MAC, in hex.
    pub mac: String,
}

impl Vault {
    /// Signs where the chains stand, unless nothing was recorded since the newest head; that one then. Called every minute, and
    /// when a server ends.
    ///
    /// # Errors
    /// UNAVAILABLE when the database cannot be reached.
    pub async fn sign_head(&self) -> Result<String> {
        let key = self.signing_key().await?;
        let keys = jwk_set(&key.jwks())?;
        let mut tx = self.0.store.begin().await?;
        tx.lock_name(LOCK).await?;
        let newest = tx.heads(1).await?.pop();
        let before: Option<Head> = match &newest {
            Some(text) => match read_head(text, &keys) {
                Ok(head) => Some(head),
                Err(error) => {
                    tracing::error!(%error, "the newest signed head in the database is not this installation's");
                    None
                }
            },
            None => None,
        };
        let claimed = before.map(|head| head.chains).unwrap_or_default();
        let mut chains: BTreeMap<String, HeadChain> =
            claimed.iter().map(|chain| (chain.chain.clone(), chain.clone())).collect();
        for tip in tx.chain_tips().await? {
            let stands = HeadChain { chain: tip.chain.to_string(), seq: tip.seq, mac: HEXLOWER.encode(&tip.mac) };
            // What was claimed once stays claimed: a chain that has become shorter goes on showing.
            match chains.get(&stands.chain) {
                Some(claimed) if claimed.seq >= stands.seq => {}
                Some(_) | None => drop(chains.insert(stands.chain.clone(), stands)),
            }
        }
        let chains: Vec<HeadChain> = chains.into_values().collect();
        if let Some(newest) = newest
            && chains == claimed
        {
            tx.rollback().await?;
            return Ok(newest);
        }
        let now = self.now();
        let head = Head { iat: seconds(now), chains };
        let statement = key.sign(Statement::AuditHead, &head).map_err(Error::internal)?;
        tx.insert_head(&statement, now).await?;
        tx.prune_heads(KEPT).await?;
        tx.commit().await?;
        Ok(statement)
    }

    /// The public keys that receipts and heads of this installation are verified with (RFC 7517).
    ///
    /// # Errors
    /// As [`Self::signing_key`].
    pub async fn statement_keys(&self) -> Result<serde_json::Value> {
        Ok(self.signing_key().await?.jwks())
    }
}

pub(super) fn jwk_set(keys: &serde_json::Value) -> Result<JwkSet> {
    JwkSet::deserialize(keys).map_err(Error::internal)
}

/// Reads a signed head.
pub(super) fn read_head(text: &str, keys: &JwkSet) -> Result<Head, StatementError> {
    match verify_statement(text, keys)? {
        (Statement::AuditHead, head) => Ok(head),
        (Statement::ResolveReceipt | Statement::ErasureReceipt, _) => Err(StatementError::Form),
    }
}

pub(super) fn seconds(at: Timestamp) -> i64 {
    at.millis().div_euclid(1000)
}

impl HeadChain {
    pub(super) fn point(&self) -> Option<(ChainId, i64)> {
        Some((ChainId::parse(&self.chain)?, self.seq))
    }
}
