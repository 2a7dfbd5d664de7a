//! Hash chains of events. Each event has a position in a chain and a MAC over its contents, its
//! position and the MAC of the event before it, so that changing, removing or reordering one shows.
//!
//! There are several chains. A transaction that records events takes one for itself, and puts it
//! back longer after its commit. So no transaction waits for another's chain, and one that is
//! rolled back leaves no gap. A new chain's first MAC covers an event of another chain, its anchor,
//! which ties the chains to each other; the very first chain has none.
//!
//! A process has a chain for itself as long as its lease runs, which it renews every minute. A chain
//! whose lease has passed, because its process was killed, is released for others, so there are
//! never more chains than transactions were under way at once, and signed heads stay short. So is
//! one whose end a process does not know, because the database did not tell whether it committed. A
//! process that was paused past its lease renews it in the database before it appends again; if
//! the chain is another's by then, it takes another one. Whatever clocks say, two events cannot have
//! one position.

use super::Audit;
use super::recorder::NOT_RECORDED;
use crate::crypto::{AuditKey, CryptoError, MacContext};
use crate::domain::{ChainId, EntryId, Error, Result, Timestamp};
use crate::store::records::{Anchor, ChainRow, ChainedEvent, Cut, EventRow, Link, Positioned, Uses};
use crate::store::{self, End, Tx};
use data_encoding::HEXLOWER;
use parking_lot::Mutex;
use std::borrow::Cow;
use std::collections::HashMap;
use std::time::Duration;

/// How long a process has a chain for itself.
const LEASE: Duration = Duration::from_secs(10 * 60);
/// How long before its end a lease is renewed before the chain is appended to, and how long after
/// it the chain is released: more than the clocks of servers differ.
const LEASE_MARGIN: Duration = Duration::from_secs(5 * 60);

/// The chains of this process.
#[derive(Default)]
pub(super) struct OwnChains(Mutex<Chains>);

#[derive(Default)]
struct Chains {
    /// Those that no transaction is using now.
    idle: Vec<ChainEnd>,
    /// When the lease of each ends, also of those in use.
    leases: HashMap<ChainId, Timestamp>,
}

/// The end of a chain: the sequence number and the MAC of its last event.
#[derive(Clone)]
struct ChainEnd {
    chain: ChainId,
    seq: i64,
    mac: Vec<u8>,
}

impl OwnChains {
    /// An idle chain, and when its lease ends.
    fn take(&self) -> Option<(ChainEnd, Timestamp)> {
        let mut own = self.0.lock();
        loop {
            let end = own.idle.pop()?;
            if let Some(lease) = own.leases.get(&end.chain) {
                return Some((end, *lease));
            }
        }
    }

    /// An idle chain whose lease ends after `until`.
    fn take_leased_after(&self, until: Timestamp) -> Option<ChainEnd> {
        let (end, lease) = self.take()?;
        if lease > until {
            return Some(end);
        }
        self.give(end);
        None
    }

    /// Takes a chain back that is no longer in use, unless it became another's.
    fn give(&self, end: ChainEnd) {
        let mut own = self.0.lock();
        if own.leases.contains_key(&end.chain) {
            own.idle.push(end);
        }
    }

    fn set_lease(&self, chain: ChainId, lease: Timestamp) {
        self.0.lock().leases.insert(chain, lease);
    }

    /// Forgets a chain that is another's.
    fn lose(&self, chain: ChainId) {
        self.0.lock().leases.remove(&chain);
    }

    fn leases(&self) -> Vec<(ChainId, Timestamp)> {
        self.0.lock().leases.iter().map(|(chain, lease)| (*chain, *lease)).collect()
    }

    /// Takes over the leases after a renewal, but for chains that were lost meanwhile; `None` for a
    /// chain that is another's.
    fn renewed(&self, leases: Vec<(ChainId, Option<Timestamp>)>) {
        let mut own = self.0.lock();
        for (chain, lease) in leases {
            match lease {
                Some(lease) => drop(own.leases.entry(chain).and_modify(|known| *known = lease)),
                None => drop(own.leases.remove(&chain)),
            }
        }
    }

    /// The idle chains, which are no longer this process's.
    fn take_all(&self) -> Vec<ChainEnd> {
        let mut own = self.0.lock();
        let idle = std::mem::take(&mut own.idle);
        idle.into_iter().filter(|end| own.leases.remove(&end.chain).is_some()).collect()
    }
}

/// A chain that a transaction appends to, out of the idle ones until that ends.
struct PendingAppend {
    audit: Audit,
    /// Its end before; none if the transaction opened or claimed the chain.
    before: Option<ChainEnd>,
    after: ChainEnd,
    /// Its lease, if the transaction renews it.
    lease: Option<Timestamp>,
    /// The revisions of which the events tell.
    changed: Vec<(EntryId, i32)>,
}

impl PendingAppend {
    /// Makes the chain idle again, or forgets it, once the transaction has ended.
    fn end(self, end: End) {
        let Self { audit, before, after, lease, changed } = self;
        match end {
            End::Committed => {
                if let Some(lease) = lease {
                    audit.0.chains.set_lease(after.chain, lease);
                }
                audit.0.chains.give(after);
                for (entry, revision) in changed {
                    audit.0.revisions.raise(entry, revision);
                }
            }
            End::RolledBack => {
                if let Some(before) = before {
                    audit.0.chains.give(before);
                }
            }
            // The chain's end is unknown, or the chain another's, so this process does not use it
            // again. It is released once its lease has passed.
            End::Conflict | End::Unknown => audit.0.chains.lose(after.chain),
        }
    }
}

/// The error of an event that could not be appended.
fn not_appended(error: store::Error) -> Error {
    match error {
        store::Error::Unique(_) => {
            tracing::error!("another process appends to a chain of this one; it is left to the other");
            Error::unavailable("What was done could not be recorded, so nothing was; try again.")
        }
        error => error.into(),
    }
}

impl ChainEnd {
    fn append_all<'a>(&mut self, key: &AuditKey, events: &[&'a EventRow]) -> Vec<Positioned<'a>> {
        events.iter().map(|event| self.append(key, event)).collect()
    }

    fn append<'a>(&mut self, key: &AuditKey, event: &'a EventRow) -> Positioned<'a> {
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

    /// As [`Self::append`], and counts the uses of which the events tell. Does the same work for
    /// each decoy, which belongs to no chain.
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
        let lease = self.now().plus(LEASE);
        let (before, mut after, lease) = match self.take_leased(tx).await? {
            Some((end, renewed)) => (Some(end.clone()), end, renewed),
            None => (None, self.reuse_or_open(tx, &key, lease).await?, Some(lease)),
        };
        let chained = after.append_all(&key, events);
        let decoys = after.clone().append_all(&key, decoys);
        let pending = self.pending(before, after, lease, events);
        tx.at_end(|end| pending.end(end));
        tx.record(&chained, &decoys, uses).await.map_err(not_appended)
    }

    /// As [`Self::append_with_decoys`], in a transaction of its own.
    pub(super) async fn commit_events(
        &self,
        events: &[&EventRow],
        decoys: &[&EventRow],
        uses: Option<&Uses>,
    ) -> Result<()> {
        if events.is_empty() && decoys.is_empty() {
            return Ok(());
        }
        let key = self.0.installation.open_audit_key().await?;
        let tx = self.0.store.begin_events().await?;
        let Some(end) = self.0.chains.take_leased_after(self.now().plus(LEASE_MARGIN)) else {
            let mut tx = tx.begin().await?;
            self.append_with_decoys(&mut tx, events, decoys, uses).await?;
            return Ok(tx.commit().await?);
        };
        let mut after = end.clone();
        let chained = after.append_all(&key, events);
        let decoys = after.clone().append_all(&key, decoys);
        let pending = self.pending(Some(end), after, None, events);
        tx.record(&chained, &decoys, uses, |end| pending.end(end)).await.map_err(|error| match error {
            // Nothing is released and nothing changes but by its record, so the caller may try again.
            store::Error::Unknown(reason) => {
                tracing::error!(%reason, "the database went away while events were recorded");
                NOT_RECORDED
            }
            error => not_appended(error),
        })
    }

    fn pending(
        &self,
        before: Option<ChainEnd>,
        after: ChainEnd,
        lease: Option<Timestamp>,
        events: &[&EventRow],
    ) -> PendingAppend {
        let changed = events.iter().filter_map(|event| Some((event.entry?, event.entry_revision?))).collect();
        PendingAppend { audit: self.clone(), before, after, lease, changed }
    }

    /// An idle chain of this process, with its new lease if the old one had to be renewed.
    async fn take_leased(&self, tx: &mut Tx) -> Result<Option<(ChainEnd, Option<Timestamp>)>> {
        while let Some((end, lease)) = self.0.chains.take() {
            let now = self.now();
            if now < lease.minus(LEASE_MARGIN) {
                return Ok(Some((end, None)));
            }
            let renewed = now.plus(LEASE);
            match tx.renew_lease(end.chain, lease, renewed).await {
                Ok(true) => return Ok(Some((end, Some(renewed)))),
                Ok(false) => {
                    tracing::warn!(chain = %end.chain, "this process was paused for so long that another has a chain of it now");
                    self.0.chains.lose(end.chain);
                }
                Err(error) => {
                    self.0.chains.give(end);
                    return Err(error.into());
                }
            }
        }
        Ok(None)
    }

    /// Renews the leases of this process's chains, and releases the chains of processes that were
    /// killed. Called every minute.
    pub(super) async fn renew_leases(&self) -> Result<()> {
        let mut tx = self.0.store.begin().await?;
        let now = self.now();
        let renewed = now.plus(LEASE);
        let mut leases = Vec::new();
        for (chain, lease) in self.0.chains.leases() {
            if lease < renewed {
                let is_own = tx.renew_lease(chain, lease, renewed).await?;
                leases.push((chain, is_own.then_some(renewed)));
            }
        }
        let released = tx.release_chains_leased_before(now.minus(LEASE_MARGIN)).await?;
        if released > 0 {
            tracing::info!(released, "chains of events whose processes were killed are used again");
        }
        tx.commit().await?;
        self.0.chains.renewed(leases);
        Ok(())
    }

    async fn reuse_or_open(&self, tx: &mut Tx, key: &AuditKey, lease: Timestamp) -> Result<ChainEnd> {
        if let Some(id) = tx.released_chain().await?
            && let Some(chain) = tx.claim_chain(id, lease).await?
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
        tx.insert_chain(&chain, lease).await?;
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
