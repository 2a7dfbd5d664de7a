//! Walks along the chains of events: verifies each event's MAC and its link to the event before it.

use super::Verifier;
use super::breaks::{Break, Verification};
use super::readable::{StoredEvent, readable};
use crate::crypto::AuditKey;
use crate::domain::{AuditAction, AuditOutcome, ChainId, EntryId, ProjectId, Result, Timestamp};
use crate::store::records::{ChainRow, ChainedEvent};
use crate::vault::audit::{KEPT_HEADS, SIGNED_WITHIN, beginning, jwk_set, read_head, verify_cut, verify_event};
use data_encoding::HEXLOWER;
use std::collections::{BTreeMap, HashMap, HashSet};

/// Maximum number of events read at once.
const BATCH: i64 = 1_000;

/// The events that heads and other chains name, with their MACs in hex.
type Named = BTreeMap<(ChainId, i64), HashSet<String>>;

/// As [`Named`], for one chain: MACs by position.
type Points = BTreeMap<i64, HashSet<String>>;

/// What the walk notes of authentic events, for the comparison with rows. The walk does not rely on
/// how the database orders and finds events, since an attacker who writes to it can affect that:
/// SQLite, for example, compares more of a column than is read from it.
pub(super) struct Trail {
    /// The newest change of each entry.
    pub newest: HashMap<EntryId, NewestChange>,
    /// The deleted projects.
    pub deleted: Vec<ProjectId>,
    /// The registered projects.
    pub registered: Vec<ProjectId>,
    /// Position of the last event of each chain that a signed head covers.
    covered: HashMap<ChainId, i64>,
    /// Signed heads should cover all events before this instant.
    due: Timestamp,
}

/// An entry's newest change, and the position of its event.
pub(super) struct NewestChange {
    pub revision: i32,
    pub is_erasure: bool,
    pub chain: ChainId,
    pub seq: i64,
}

impl Trail {
    fn note(&mut self, ChainedEvent { event, link }: &ChainedEvent) {
        if event.outcome == AuditOutcome::Allowed
            && let Some(projects) = match event.action {
                AuditAction::ProjectDeleted => Some(&mut self.deleted),
                AuditAction::ProjectRegistered => Some(&mut self.registered),
                _ => None,
            }
            && let Some(Ok(project)) = event.project.as_deref().map(ProjectId::parse)
        {
            projects.push(project);
        }
        let (Some(entry), Some(revision)) = (event.entry, event.entry_revision) else { return };
        let is_erasure = event.action == AuditAction::EntryPurged;
        let change = NewestChange { revision, is_erasure, chain: link.chain, seq: link.seq };
        match self.newest.get_mut(&entry) {
            Some(known) if known.revision > revision => {}
            Some(known) if known.revision == revision => known.is_erasure |= is_erasure,
            Some(known) => *known = change,
            None => {
                self.newest.insert(entry, change);
            }
        }
    }

    fn is_covered(&self, ChainedEvent { event, link }: &ChainedEvent) -> bool {
        event.occurred_at >= self.due || self.covered.get(&link.chain).is_some_and(|covered| link.seq <= *covered)
    }
}

impl Verifier {
    /// Verifies every chain, compares the chains with the heads in the database and with `kept`,
    /// the heads that were kept elsewhere, and compares the rows with the events. Calls `seen` with
    /// the number of events in each batch read.
    ///
    /// # Errors
    /// When the database or the keyring cannot be read. Findings are no errors.
    pub async fn verify(&self, kept: &[String], mut seen: impl FnMut(u64)) -> Result<Verification> {
        let key = self.installation.open_audit_key().await?;
        let keys = jwk_set(&self.installation.statement_keys().await?)?;
        let stored = readable(self.store.conn().await?.heads(KEPT_HEADS).await)?;
        let due = self.now().minus(SIGNED_WITHIN);
        let mut trail =
            Trail { newest: HashMap::new(), deleted: Vec::new(), registered: Vec::new(), covered: HashMap::new(), due };
        let mut found = Verification::default();
        if stored.is_none() {
            found.breaks.push(Break::Unreadable { table: "audit_heads", id: "of a signed head".to_owned() });
        }
        let mut named = Named::new();
        for (index, text) in kept.iter().chain(stored.iter().flatten()).enumerate() {
            match read_head(text, &keys) {
                Ok(head) => {
                    found.heads += 1;
                    for chain in head.chains {
                        if let Some(point) = chain.point() {
                            let covered = trail.covered.entry(point.0).or_default();
                            *covered = point.1.max(*covered);
                            named.entry(point).or_default().insert(chain.mac);
                        }
                    }
                }
                Err(reason) => found.breaks.push(Break::Head { number: index + 1, reason }),
            }
        }
        let chains = self.stored_chains(&mut found).await?;
        for anchor in chains.iter().filter_map(|chain| chain.anchor.as_ref()) {
            named.entry((anchor.chain, anchor.seq)).or_default().insert(HEXLOWER.encode(&anchor.mac));
        }
        found.chains = chains.len();
        for chain in chains.iter().cloned() {
            let points = named.iter().filter(|((of, _), _)| *of == chain.id);
            let points: Points = points.map(|((_, seq), macs)| (*seq, macs.clone())).collect();
            named.retain(|(of, _), _| *of != chain.id);
            self.verify_chain(&key, chain, &points, &mut trail, &mut found, &mut seen).await?;
        }
        // What is left names chains that do not exist at all.
        let mut gone = BTreeMap::<ChainId, i64>::new();
        for (chain, seq) in named.into_keys() {
            gone.entry(chain).and_modify(|named| *named = seq.max(*named)).or_insert(seq);
        }
        found.breaks.extend(gone.into_iter().map(|(chain, named)| Break::Truncated { chain, last: 0, named }));
        self.verify_rows(&key, &chains, trail, &mut found).await?;
        Ok(found)
    }

    async fn verify_chain(
        &self,
        key: &AuditKey,
        mut chain: ChainRow,
        points: &Points,
        trail: &mut Trail,
        found: &mut Verification,
        seen: &mut impl FnMut(u64),
    ) -> Result<()> {
        loop {
            let mut walked = Verification::default();
            self.walk(key, &chain, points.clone(), trail, &mut walked, seen).await?;
            if !walked.breaks.is_empty()
                && let Some(now) = self.store.conn().await?.chain_row(chain.id).await?
                && now.cut.as_ref().map(|cut| cut.seq) != chain.cut.as_ref().map(|cut| cut.seq)
            {
                // Retention cut the chain while it was read: walk along it again.
                chain = now;
                continue;
            }
            found.events += walked.events;
            found.breaks.append(&mut walked.breaks);
            return Ok(());
        }
    }

    async fn walk(
        &self,
        key: &AuditKey,
        chain: &ChainRow,
        mut points: Points,
        trail: &mut Trail,
        found: &mut Verification,
        seen: &mut impl FnMut(u64),
    ) -> Result<()> {
        let mut walk = Walk::begin(key, chain, found);
        let mut after = 0;
        loop {
            let events = self.stored_events(chain.id, after, BATCH).await?;
            let Some(last) = events.last().map(StoredEvent::seq) else { break };
            for event in &events {
                match event {
                    StoredEvent::Read(event) => walk.step(event, &mut points, trail, found),
                    StoredEvent::Unreadable(seq) => walk.step_over(*seq, &mut points, found),
                }
            }
            found.events += events.len() as u64;
            seen(events.len() as u64);
            if last <= after {
                // SQLite sorts what is no number behind the numbers, and reads it as another one.
                found.breaks.push(Break::UnreadableEvent { chain: chain.id, seq: last });
                break;
            }
            after = last;
        }
        walk.end(points, found);
        Ok(())
    }
}

/// A walk along one chain.
struct Walk<'a> {
    key: &'a AuditKey,
    chain: ChainId,
    /// Retention erased the events up to this position, except entries' newest changes.
    cut: i64,
    cut_mac: String,
    last: i64,
    /// The MAC of the event before; `None` if that event cannot be read.
    mac: Option<Vec<u8>>,
    /// The first and the last event that a head should cover but none does.
    unsigned: Option<(i64, i64)>,
}

impl<'a> Walk<'a> {
    fn begin(key: &'a AuditKey, chain: &ChainRow, found: &mut Verification) -> Self {
        let (cut, mac) = match &chain.cut {
            Some(cut) => {
                if verify_cut(key, chain.id, cut).is_err() {
                    found.breaks.push(Break::Cut { chain: chain.id });
                }
                (cut.seq, cut.event_mac.clone())
            }
            None => (0, beginning(key, chain).to_vec()),
        };
        Self { key, chain: chain.id, cut, cut_mac: HEXLOWER.encode(&mac), last: cut, mac: Some(mac), unsigned: None }
    }

    fn step(&mut self, chained: &ChainedEvent, points: &mut Points, trail: &mut Trail, found: &mut Verification) {
        let ChainedEvent { event, link } = chained;
        let (chain, seq) = (self.chain, link.seq);
        let is_authentic = verify_event(self.key, chained).is_ok();
        if is_authentic {
            trail.note(chained);
        } else {
            found.breaks.push(Break::Changed { chain, seq, event: event.id });
        }
        if let Some(macs) = points.remove(&seq)
            && !macs.iter().all(|mac| *mac == HEXLOWER.encode(&link.mac))
        {
            found.breaks.push(Break::Replaced { chain, seq });
        }
        if seq <= self.cut {
            // Retention kept this event as an entry's newest change, and erased the events around
            // it.
            return;
        }
        if seq > self.last + 1 {
            found.breaks.push(Break::Removed { chain, from: self.last + 1, to: seq - 1 });
        } else if self.mac.as_ref().is_some_and(|mac| *mac != link.prev) {
            found.breaks.push(Break::Unlinked { chain, seq });
        }
        if is_authentic && !trail.is_covered(chained) {
            self.unsigned = Some((self.unsigned.map_or(seq, |(from, _)| from), seq));
        }
        self.last = seq;
        self.mac = Some(link.mac.clone());
    }

    /// Steps over an event that cannot be read.
    fn step_over(&mut self, seq: i64, points: &mut Points, found: &mut Verification) {
        found.breaks.push(Break::UnreadableEvent { chain: self.chain, seq });
        points.remove(&seq);
        if seq > self.cut {
            if seq > self.last + 1 {
                found.breaks.push(Break::Removed { chain: self.chain, from: self.last + 1, to: seq - 1 });
            }
            self.last = seq;
            self.mac = None;
        }
    }

    /// Reports what is named of this chain but was not found. Before the cut, retention erased it;
    /// after the last event, the chain's end was cut off; anything else was reported as removed.
    fn end(self, points: Points, found: &mut Verification) {
        let named = points.keys().copied().filter(|seq| *seq > self.last).max();
        for (seq, macs) in points {
            if seq == self.cut && !macs.iter().all(|mac| *mac == self.cut_mac) {
                found.breaks.push(Break::Replaced { chain: self.chain, seq });
            }
        }
        if let Some(named) = named {
            found.breaks.push(Break::Truncated { chain: self.chain, last: self.last, named });
        }
        if let Some((from, to)) = self.unsigned {
            found.breaks.push(Break::Unsigned { chain: self.chain, from, to });
        }
    }
}
