//! Hash chains of events. Each event has a position in a chain and a MAC over its contents, its
//! position and the MAC of the event before it, so that changing, removing or reordering one shows.
//!
//! There are several chains. A transaction that records events takes one for itself, and puts it
//! back longer after its commit. So no transaction waits for another's chain, and one that is
//! rolled back leaves no gap. A new chain's first MAC covers an event of another chain, its anchor,
//! which ties the chains to each other; the very first chain has none.

use super::Audit;
use crate::crypto::{AuditKey, CryptoError, MacContext};
use crate::domain::{ChainId, EntryId, Error, Result};
use crate::store::records::{Anchor, ChainRow, ChainedEvent, Cut, EventRow, Link, Uses};
use crate::store::{self, End, Tx};
use data_encoding::HEXLOWER;
use parking_lot::Mutex;
use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The idle chains of this process: those that no transaction is using now.
#[derive(Default)]
pub(super) struct IdleChains(Mutex<Vec<ChainEnd>>);

/// The end of a chain: the sequence number and the MAC of its last event.
#[derive(Clone)]
struct ChainEnd {
    chain: ChainId,
    seq: i64,
    mac: Vec<u8>,
}

impl IdleChains {
    fn take(&self) -> Option<ChainEnd> {
        self.0.lock().pop()
    }

    fn give(&self, tip: ChainEnd) {
        self.0.lock().push(tip);
    }

    fn take_all(&self) -> Vec<ChainEnd> {
        std::mem::take(&mut *self.0.lock())
    }
}

impl ChainEnd {
    fn append<'a>(&mut self, key: &AuditKey, event: &'a EventRow) -> (&'a EventRow, Link) {
        let seq = self.seq + 1;
        let mac = key.mac(MacContext::Event, fields(self.chain, seq, &self.mac, event).iter().map(Option::as_deref));
        let prev = std::mem::replace(&mut self.mac, mac.to_vec());
        self.seq = seq;
        (event, Link { chain: self.chain, seq, prev, mac: mac.to_vec() })
    }
}

/// The fields that an event's MAC covers, in this order, as the texts that `audit export` writes.
pub(super) fn fields<'a>(chain: ChainId, seq: i64, prev: &[u8], event: &'a EventRow) -> [Option<Cow<'a, str>>; 23] {
    let made = |text: String| Some(Cow::Owned(text));
    let stored = |text: &'a Option<String>| text.as_deref().map(Cow::Borrowed);
    [
        made(chain.to_string()),
        made(seq.to_string()),
        made(HEXLOWER.encode(prev)),
        made(event.id.to_string()),
        made(event.occurred_at.to_rfc3339()),
        stored(&event.project),
        Some(event.action.as_str().into()),
        Some(event.outcome.as_str().into()),
        stored(&event.reason),
        made(event.count.to_string()),
        Some(event.actor.as_str().into()),
        stored(&event.subject),
        event.role.map(|role| role.as_str().into()),
        stored(&event.agent),
        event.entry.and_then(|id| made(id.to_string())),
        stored(&event.entry_name),
        event.entry_version.and_then(|version| made(version.to_string())),
        event.entry_revision.and_then(|revision| made(revision.to_string())),
        stored(&event.milestone),
        event.purpose.map(|purpose| purpose.as_str().into()),
        stored(&event.session),
        stored(&event.tool),
        Some(event.request_id.as_str().into()),
    ]
}

/// Verifies that an event's contents and position are as they were recorded.
pub(in crate::vault) fn verify_event(
    key: &AuditKey,
    ChainedEvent { event, link }: &ChainedEvent,
) -> Result<(), CryptoError> {
    let says = fields(link.chain, link.seq, &link.prev, event);
    key.verify(MacContext::Event, says.iter().map(Option::as_deref), &link.mac)
}

/// The value in place of the MAC before a chain's first event.
pub(in crate::vault) fn beginning(key: &AuditKey, chain: &ChainRow) -> [u8; 32] {
    let anchor = chain.anchor.as_ref();
    let fields = [
        Some(chain.id.to_string()),
        anchor.map(|anchor| anchor.chain.to_string()),
        anchor.map(|anchor| anchor.seq.to_string()),
        anchor.map(|anchor| HEXLOWER.encode(&anchor.mac)),
    ];
    key.mac(MacContext::Chain, fields.iter().map(Option::as_deref))
}

/// A cut of a chain after this event, the last one that is erased.
pub(super) fn cut_after(key: &AuditKey, chain: ChainId, seq: i64, event_mac: Vec<u8>) -> Cut {
    let fields = cut_fields(chain, seq, &event_mac);
    let mac = key.mac(MacContext::Cut, fields.iter().map(|field| Some(field.as_str()))).to_vec();
    Cut { seq, event_mac, mac }
}

/// Verifies that retention made a cut.
pub(in crate::vault) fn verify_cut(key: &AuditKey, chain: ChainId, cut: &Cut) -> Result<(), CryptoError> {
    let fields = cut_fields(chain, cut.seq, &cut.event_mac);
    key.verify(MacContext::Cut, fields.iter().map(|field| Some(field.as_str())), &cut.mac)
}

/// The fields that the MAC of a cut covers: the chain, the last event erased, and that event's MAC.
fn cut_fields(chain: ChainId, seq: i64, event_mac: &[u8]) -> [String; 3] {
    [chain.to_string(), seq.to_string(), HEXLOWER.encode(event_mac)]
}

impl Audit {
    /// Appends events to a chain, as part of the transaction.
    pub(in crate::vault) async fn append(&self, tx: &mut Tx, events: &[EventRow]) -> Result<()> {
        self.append_with_decoys(tx, &events.iter().collect::<Vec<_>>(), &[], None).await
    }

    /// As [`Self::append`], and counts the uses of which the events tell. Does the same work for each
    /// decoy, which belongs to no chain.
    pub(super) async fn append_with_decoys(
        &self,
        tx: &mut Tx,
        events: &[&EventRow],
        decoys: &[&EventRow],
        uses: Option<&Uses>,
    ) -> Result<()> {
        if events.is_empty() && decoys.is_empty() {
            return Ok(());
        }
        let key = self.0.installation.audit_key(tx).await?;
        let before = self.0.chains.take();
        let mut after = match &before {
            Some(tip) => tip.clone(),
            None => self.reuse_or_open(tx, &key).await?,
        };
        let chained: Vec<_> = events.iter().map(|event| after.append(&key, event)).collect();
        let mut beside = after.clone();
        let decoys: Vec<_> = decoys.iter().map(|decoy| beside.append(&key, decoy)).collect();
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
            // The chain's end is unknown, so this process does not use it again.
            End::RolledBack | End::Unknown => {}
        });
        if !decoys.is_empty() {
            tx.insert_decoys(&decoys).await?;
        }
        if chained.is_empty() {
            return Ok(());
        }
        match tx.insert_events(&chained, uses).await {
            Err(store::Error::Unique(_)) => {
                usable.store(false, Ordering::Relaxed);
                tracing::error!("another process appends to a chain of this one; it is left to the other");
                Err(Error::unavailable("What was done could not be recorded, so nothing was; try again."))
            }
            written => Ok(written?),
        }
    }

    async fn reuse_or_open(&self, tx: &mut Tx, key: &AuditKey) -> Result<ChainEnd> {
        if let Some(id) = tx.released_chain().await?
            && let Some(chain) = tx.claim_chain(id).await?
        {
            // Retention keeps some events before the cut, so the last stored event may precede it;
            // the later of both is the end.
            let last = tx.last_link(id).await?.map(|link| (link.seq, link.mac));
            let cut = chain.cut.as_ref().map(|cut| (cut.seq, cut.event_mac.clone()));
            let (seq, mac) = last.max(cut).unwrap_or_else(|| (0, beginning(key, &chain).to_vec()));
            return Ok(ChainEnd { chain: id, seq, mac });
        }
        let anchor = tx.newest_link().await?.map(|Link { chain, seq, mac, .. }| Anchor { chain, seq, mac });
        let chain = ChainRow { id: ChainId::new(), opened_at: self.now(), anchor, cut: None };
        tx.insert_chain(&chain).await?;
        Ok(ChainEnd { chain: chain.id, seq: 0, mac: beginning(key, &chain).to_vec() })
    }

    /// Signs a head and releases this process's chains for other processes. Called when the process
    /// ends.
    ///
    /// # Errors
    /// When the database cannot be reached; the next process opens chains of its own then.
    pub async fn end_records(&self) -> Result<()> {
        self.sign_head().await?;
        let chains: Vec<ChainId> = self.0.chains.take_all().into_iter().map(|tip| tip.chain).collect();
        if !chains.is_empty() {
            self.0.store.conn().await?.release_chains(&chains).await?;
        }
        Ok(())
    }
}
