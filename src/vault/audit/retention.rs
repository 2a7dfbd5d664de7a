//! Retention: erases old events, and leaves a cut in each chain so that the rest can still be
//! verified.

use super::Audit;
use super::chains::{beginning, cut_behind, verify_cut, verify_event};
use crate::crypto::AuditKey;
use crate::domain::{ChainId, Result, Timestamp};
use crate::store::records::{ChainRow, Cut};
use std::time::Duration;

/// Name of the lock that lets one server at a time erase events.
const LOCK: &str = "audit-retention";
/// Maximum number of events read at once.
const BATCH: i64 = 1_000;

impl Audit {
    /// Erases every event older than `retention` and gives their number. The newest change of each
    /// existing entry is kept, since verification compares the entry's row with it. Several servers
    /// may call this at once.
    ///
    /// An attacker who can write to the database can forge the dates of events, so each event's MAC
    /// is verified before it is erased. At the first event that fails, retention keeps that event
    /// and all after it in the chain, and logs an error.
    ///
    /// # Errors
    /// UNAVAILABLE when the database cannot be reached; events erased until then stay erased.
    pub async fn sweep(&self, retention: Duration) -> Result<u64> {
        let before = self.now().minus(retention);
        let key = self.0.installation.audit_key_alone().await?;
        let chains = self.0.store.conn().await?.chain_rows().await?;
        let mut erased = 0;
        for chain in chains {
            // Outside of the transaction, since SQLite allows one writing transaction at a time.
            let Some(cut) = self.authentic_cut(&key, &chain, before).await? else { continue };
            let mut tx = self.0.store.begin().await?;
            tx.lock_name(LOCK).await?;
            // Skip a chain that another server cut meanwhile; the next sweep handles it.
            let now = tx.chain_row(chain.id).await?;
            if now.is_some_and(|now| is_cut_alike(&now, &chain)) {
                // Also when the cut stays the same: an event that was kept as an entry's newest
                // change may no longer be the newest.
                erased += tx.cut_chain(chain.id, &cut).await? as u64;
            }
            tx.commit().await?;
        }
        if erased > 0 {
            self.0.wal.truncate().await;
        }
        Ok(erased)
    }

    /// The new cut of a chain: after the last event of the unbroken run of authentic events older
    /// than `before` that follows its present cut. When there is no such event, the present cut;
    /// `None` when there is neither, or when the present cut is forged.
    async fn authentic_cut(&self, key: &AuditKey, chain: &ChainRow, before: Timestamp) -> Result<Option<Cut>> {
        let (mut seq, mut mac) = match &chain.cut {
            Some(cut) if verify_cut(key, chain.id, cut).is_err() => {
                log_forged_event(chain.id, cut.seq);
                return Ok(None);
            }
            Some(cut) => (cut.seq, cut.event_mac.clone()),
            None => (0, beginning(key, chain).to_vec()),
        };
        let from = seq;
        'chain: loop {
            let events = self.0.store.conn().await?.chain_events(chain.id, seq, BATCH).await?;
            let is_last = i64::try_from(events.len()) != Ok(BATCH);
            for chained in events {
                let link = &chained.link;
                let follows = link.seq == seq + 1 && link.prev == mac;
                if !follows || verify_event(key, &chained).is_err() {
                    let now = self.0.store.conn().await?.chain_row(chain.id).await?;
                    // Otherwise another server cut the chain while it was read.
                    if now.is_some_and(|now| is_cut_alike(&now, chain)) {
                        log_forged_event(chain.id, seq + 1);
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
        Ok(if seq > from { Some(cut_behind(key, chain.id, seq, mac)) } else { chain.cut.clone() })
    }
}

fn is_cut_alike(one: &ChainRow, other: &ChainRow) -> bool {
    one.cut.as_ref().map(|cut| cut.seq) == other.cut.as_ref().map(|cut| cut.seq)
}

fn log_forged_event(chain: ChainId, seq: i64) {
    tracing::error!(
        %chain,
        seq,
        "an event was changed or removed, so it and all events after it in its chain stay beyond their retention; run \
         `project-vault audit verify` and find out who changed the database"
    );
}
