//! Erasing events past their retention, so that the rest of their chains can still be verified.

use super::Audit;
use super::chains::{beginning, cut_after, verify_cut, verify_event};
use crate::crypto::AuditKey;
use crate::domain::{ChainId, Result, Timestamp};
use crate::store;
use crate::store::records::{ChainRow, Cut};
use std::time::Duration;

/// The name of the lock that is held while a chain is cut.
const LOCK: &str = "audit-retention";
/// Maximum number of events that are read at once, and that one transaction goes through.
const BATCH: i64 = 1_000;

impl Audit {
    /// Erases every event older than `retention`, except the newest change of each existing entry,
    /// which its row is compared with. Returns the number of events erased. Several servers may
    /// call this; each step is under one lock.
    ///
    /// An attacker who can write to the database can forge the dates of events, so retention checks
    /// each event before it erases it. At the first event that is not as it was recorded, retention
    /// keeps that event and all after it in the chain, and logs an error.
    ///
    /// # Errors
    /// UNAVAILABLE when the database cannot be reached; events erased by then stay erased.
    pub async fn sweep(&self, retention: Duration) -> Result<u64> {
        let before = self.now().minus(retention);
        let key = self.0.installation.open_audit_key().await?;
        let chains = self.0.store.conn().await?.chain_rows().await?;
        let mut gone = 0;
        for chain in chains {
            // Outside of the transaction: SQLite allows no other writer during one.
            let Some(cut) = self.authentic_cut(&key, &chain, before).await? else { continue };
            let Some(cut) = self.cut_at(&chain, cut).await? else { continue };
            gone += self.erase_before(chain.id, &cut).await?;
        }
        if gone > 0 {
            self.0.wal.truncate().await;
        }
        Ok(gone)
    }

    /// Records a cut. None if another server has cut this chain meanwhile, which then erases its
    /// events.
    async fn cut_at(&self, chain: &ChainRow, cut: Cut) -> Result<Option<Cut>> {
        let mut tx = self.0.store.begin().await?;
        tx.lock_name(LOCK).await?;
        let now = tx.chain_row(chain.id).await?;
        if !now.is_some_and(|now| is_cut_alike(&now, chain)) {
            tx.rollback().await?;
            return Ok(None);
        }
        tx.cut_chain(chain.id, &cut).await?;
        tx.commit().await?;
        Ok(Some(cut))
    }

    /// Erases a chain's events before its cut, in transactions that each go through a bounded
    /// number of events, so that none keeps other writers waiting. Those that a crash leaves before
    /// a cut are erased by the next call, as are those that were kept as an entry's newest change
    /// and are superseded by now.
    async fn erase_before(&self, chain: ChainId, cut: &Cut) -> Result<u64> {
        let (mut gone, mut after) = (0, 0);
        while after < cut.seq {
            let mut tx = self.0.store.begin().await?;
            tx.lock_name(LOCK).await?;
            let (erased, end) = tx.erase_events(chain, after, cut.seq, BATCH).await?;
            tx.commit().await?;
            gone += erased as u64;
            after = end;
        }
        Ok(gone)
    }

    /// The cut of a chain: after the last of the events that follow its present cut and are all
    /// authentic and older than `before`. Without such an event, the present cut. None if there is
    /// neither, or if the present cut is not authentic.
    async fn authentic_cut(&self, key: &AuditKey, chain: &ChainRow, before: Timestamp) -> Result<Option<Cut>> {
        let (mut seq, mut mac) = match &chain.cut {
            Some(cut) if verify_cut(key, chain.id, cut).is_err() => {
                complain(chain.id, cut.seq);
                return Ok(None);
            }
            Some(cut) => (cut.seq, cut.event_mac.clone()),
            None => (0, beginning(key, chain).to_vec()),
        };
        let from = seq;
        let mut batch = BATCH;
        'chain: loop {
            let events = match self.0.store.conn().await?.chain_events(chain.id, seq, batch).await {
                // One of them cannot be read; those before it can.
                Err(store::Error::Unreadable(_)) if batch > 1 => {
                    batch = 1;
                    continue;
                }
                Err(store::Error::Unreadable(_)) => {
                    complain(chain.id, seq + 1);
                    break;
                }
                events => events?,
            };
            let is_last = i64::try_from(events.len()) != Ok(batch);
            for chained in events {
                let link = &chained.link;
                let follows = link.seq == seq + 1 && link.prev == mac;
                if !follows || verify_event(key, &chained).is_err() {
                    let now = self.0.store.conn().await?.chain_row(chain.id).await?;
                    // If the cut has moved, another server caused the gap, and nobody tampered.
                    if now.is_some_and(|now| is_cut_alike(&now, chain)) {
                        complain(chain.id, seq + 1);
                    }
                    break 'chain;
                }
                if chained.event.occurred_at >= before {
                    break 'chain;
                }
                (seq, mac) = (chained.link.seq, chained.link.mac);
            }
            if is_last {
                break;
            }
        }
        Ok(if seq > from { Some(cut_after(key, chain.id, seq, mac)) } else { chain.cut.clone() })
    }
}

fn is_cut_alike(one: &ChainRow, other: &ChainRow) -> bool {
    one.cut.as_ref().map(|cut| cut.seq) == other.cut.as_ref().map(|cut| cut.seq)
}

fn complain(chain: ChainId, seq: i64) {
    tracing::error!(
        %chain,
        seq,
        "an event is not as it was recorded, so it and all behind it in its chain stay beyond their retention; run \
         `project-vault audit verify` and find out who changed the database"
    );
}
