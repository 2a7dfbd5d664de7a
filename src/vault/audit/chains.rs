//! The hash chains of events. Each event has a position in a chain and a MAC over its fields, its
//! position, and the MAC of the event before it. So verification detects an event that was changed,
//! removed or reordered.
//!
//! There are several chains: a transaction that records events takes one for itself and returns it
//! when it has ended. So no transaction waits for another's chain, and one that is rolled back
//! leaves no gap. A new chain starts from an anchor, the newest event there is in another chain,
//! which ties the chains to each other; only the very first one has none.

use super::Audit;
use crate::crypto::{AuditKey, CryptoError, Record};
use crate::domain::{ChainId, EntryId, Error, Result};
use crate::store::records::{Anchor, ChainRow, ChainedEvent, Cut, EventRow, Link};
use crate::store::{self, End, Tx};
use data_encoding::HEXLOWER;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// The chains that this process has claimed and that no transaction is using.
#[derive(Default)]
pub(super) struct Chains(Mutex<Vec<Tip>>);

/// The last event of a chain.
#[derive(Clone)]
struct Tip {
    chain: ChainId,
    seq: i64,
    mac: Vec<u8>,
}

impl Chains {
    fn take(&self) -> Option<Tip> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    fn give(&self, tip: Tip) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(tip);
    }

    fn take_all(&self) -> Vec<Tip> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Tip {
    fn append(&mut self, key: &AuditKey, event: &EventRow) -> ChainedEvent {
        let seq = self.seq + 1;
        let mac = key.mac(Record::Event, fields(self.chain, seq, &self.mac, event).iter().map(Option::as_deref));
        let prev = std::mem::replace(&mut self.mac, mac.to_vec());
        self.seq = seq;
        ChainedEvent { event: event.clone(), link: Link { chain: self.chain, seq, prev, mac: mac.to_vec() } }
    }
}

/// The fields that an event's MAC covers, in order, as the texts that `audit export` writes.
pub(super) fn fields(chain: ChainId, seq: i64, prev: &[u8], event: &EventRow) -> [Option<String>; 23] {
    let owned = |text: &Option<String>| text.clone();
    [
        Some(chain.to_string()),
        Some(seq.to_string()),
        Some(HEXLOWER.encode(prev)),
        Some(event.id.to_string()),
        Some(event.occurred_at.to_rfc3339()),
        owned(&event.project),
        Some(event.action.to_string()),
        Some(event.outcome.to_string()),
        owned(&event.reason),
        Some(event.count.to_string()),
        Some(event.actor.clone()),
        owned(&event.subject),
        event.role.map(|role| role.to_string()),
        owned(&event.agent),
        event.entry.map(|id| id.to_string()),
        owned(&event.entry_name),
        event.entry_version.map(|version| version.to_string()),
        event.entry_revision.map(|revision| revision.to_string()),
        owned(&event.milestone),
        event.purpose.map(|purpose| purpose.to_string()),
        owned(&event.session),
        owned(&event.tool),
        Some(event.request_id.clone()),
    ]
}

/// Verifies an event's MAC, which covers its fields and its position in the chain.
pub(in crate::vault) fn verify_event(
    key: &AuditKey,
    ChainedEvent { event, link }: &ChainedEvent,
) -> Result<(), CryptoError> {
    let covered = fields(link.chain, link.seq, &link.prev, event);
    key.verify(Record::Event, covered.iter().map(Option::as_deref), &link.mac)
}

/// The previous MAC for a chain's first event: a MAC over the chain's id and its anchor.
pub(in crate::vault) fn beginning(key: &AuditKey, chain: &ChainRow) -> [u8; 32] {
    let anchor = chain.anchor.as_ref();
    let fields = [
        Some(chain.id.to_string()),
        anchor.map(|anchor| anchor.chain.to_string()),
        anchor.map(|anchor| anchor.seq.to_string()),
        anchor.map(|anchor| HEXLOWER.encode(&anchor.mac)),
    ];
    key.mac(Record::Chain, fields.iter().map(Option::as_deref))
}

/// A cut of a chain after the event `seq`, which is the last one to be erased.
pub(super) fn cut_behind(key: &AuditKey, chain: ChainId, seq: i64, event_mac: Vec<u8>) -> Cut {
    let fields = cut_fields(chain, seq, &event_mac);
    let mac = key.mac(Record::Cut, fields.iter().map(|field| Some(field.as_str()))).to_vec();
    Cut { seq, event_mac, mac }
}

/// Verifies a cut's MAC, which proves that retention made the cut.
pub(in crate::vault) fn verify_cut(key: &AuditKey, chain: ChainId, cut: &Cut) -> Result<(), CryptoError> {
    let fields = cut_fields(chain, cut.seq, &cut.event_mac);
    key.verify(Record::Cut, fields.iter().map(|field| Some(field.as_str())), &cut.mac)
}

/// The fields that a cut's MAC covers: the chain, the last erased event, and that event's MAC.
fn cut_fields(chain: ChainId, seq: i64, event_mac: &[u8]) -> [String; 3] {
    [chain.to_string(), seq.to_string(), HEXLOWER.encode(event_mac)]
}

impl Audit {
    /// Appends events to a chain, in the caller's transaction.
    pub(in crate::vault) async fn append(&self, tx: &mut Tx, events: &[EventRow]) -> Result<()> {
        self.append_with_decoys(tx, events, &[]).await
    }

    /// As [`Self::append`], and does the same work for each decoy, which becomes part of no chain.
    pub(super) async fn append_with_decoys(&self, tx: &mut Tx, events: &[EventRow], decoys: &[EventRow]) -> Result<()> {
        if events.is_empty() && decoys.is_empty() {
            return Ok(());
        }
        let key = self.0.installation.audit_key(tx).await?;
        let before = self.0.chains.take();
        let mut after = match &before {
            Some(tip) => tip.clone(),
            None => self.claim_or_open(tx, &key).await?,
        };
        let chained: Vec<ChainedEvent> = events.iter().map(|event| after.append(&key, event)).collect();
        let mut decoy_tip = after.clone();
        let decoys: Vec<ChainedEvent> = decoys.iter().map(|decoy| decoy_tip.append(&key, decoy)).collect();
        let changed: Vec<(EntryId, i32)> =
            events.iter().filter_map(|event| Some((event.entry?, event.entry_revision?))).collect();
        let usable = Arc::new(AtomicBool::new(true));
        let (audit, is_usable) = (self.clone(), usable.clone());
        tx.at_end(move |end| match end {
            End::Committed => {
                audit.0.chains.give(after);
                for (entry, revision) in changed {
                    audit.0.revisions.raise(entry, revision);
                }
            }
            End::RolledBack if is_usable.load(Ordering::Relaxed) => {
                if let Some(before) = before {
                    audit.0.chains.give(before);
                }
            }
            // The last event of the chain is unknown, so this process stops using the chain.
            End::RolledBack | End::Unknown => {}
        });
        if !decoys.is_empty() {
            tx.insert_decoys(&decoys).await?;
        }
        if chained.is_empty() {
            return Ok(());
        }
        match tx.insert_events(&chained).await {
            Err(store::Error::Unique(_)) => {
                usable.store(false, Ordering::Relaxed);
                tracing::error!("another process appends to a chain of this one; this process stops using the chain");
                Err(Error::unavailable("What was done could not be recorded, so nothing was; try again."))
            }
            written => Ok(written?),
        }
    }

    async fn claim_or_open(&self, tx: &mut Tx, key: &AuditKey) -> Result<Tip> {
        if let Some(id) = tx.released_chain().await?
            && let Some(chain) = tx.claim_chain(id).await?
        {
            // A cut keeps some of the events before it, so the last event may be older than the
            // cut.
            let last = tx.last_link(id).await?.map(|link| (link.seq, link.mac));
            let cut = chain.cut.as_ref().map(|cut| (cut.seq, cut.event_mac.clone()));
            let (seq, mac) = last.max(cut).unwrap_or_else(|| (0, beginning(key, &chain).to_vec()));
            return Ok(Tip { chain: id, seq, mac });
        }
        let anchor = tx.newest_link().await?.map(|Link { chain, seq, mac, .. }| Anchor { chain, seq, mac });
        let chain = ChainRow { id: ChainId::new(), opened_at: self.now(), anchor, cut: None };
        tx.insert_chain(&chain).await?;
        Ok(Tip { chain: chain.id, seq: 0, mac: beginning(key, &chain).to_vec() })
    }

    /// Signs a head and releases this process's chains, so that other processes can continue them.
    /// Called when the process ends.
    ///
    /// # Errors
    /// UNAVAILABLE when the database cannot be reached; the next process then opens new chains.
    pub async fn end_records(&self) -> Result<()> {
        self.sign_head().await?;
        let chains: Vec<ChainId> = self.0.chains.take_all().into_iter().map(|tip| tip.chain).collect();
        if !chains.is_empty() {
            self.0.store.conn().await?.release_chains(&chains).await?;
        }
        Ok(())
    }
}
