//! Verifying the chains of events: whether what is recorded is all that was recorded, as it was,
//! and what is stored agrees with it.

use super::Vault;
use super::heads::{KEPT, SIGNED_WITHIN, jwk_set, read_head};
use super::key_states::ForgedKey;
use super::ledger::{beginning, verify_cut, verify_event};
use super::settings::ForgedSetting;
use crate::crypto::{AuditKey, StatementError};
use crate::domain::{AuditAction, AuditOutcome, ChainId, DataKeyId, EntryId, EventId, ProjectId, Result, Timestamp};
use crate::store::records::{ChainRow, ChainedEvent};
use data_encoding::HEXLOWER;
use std::collections::{BTreeMap, HashMap, HashSet};

/// So many events are read at once.
const BATCH: i64 = 1_000;

/// What a verification found.
#[derive(Debug, Default)]
pub struct Verification {
    /// How many events there are.
    pub events: u64,
    /// How many chains.
    pub chains: usize,
    /// How many signed heads were compared, those kept elsewhere included.
    pub heads: usize,
    /// What is not as it was recorded.
    pub breaks: Vec<Break>,
}

/// Where the records are not as they were made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Break {
    /// An event's row does not have the MAC of what it says.
    #[error(
        "chain {chain}, event {seq} ({event}): changed, moved or copied; its MAC is not that of what it says there"
    )]
    Changed {
        /// Which chain.
        chain: ChainId,
        /// At which place.
        seq: i64,
        /// Which event.
        event: EventId,
    },
    /// Events are not there.
    #[error("chain {chain}: events {from} to {to} were removed")]
    Removed {
        /// Which chain.
        chain: ChainId,
        /// The first that is not there.
        from: i64,
        /// The last.
        to: i64,
    },
    /// An event that is whole does not follow the one before it.
    #[error(
        "chain {chain}, event {seq}: it does not follow the event before it; one of the two was replaced or reordered"
    )]
    Unlinked {
        /// Which chain.
        chain: ChainId,
        /// At which place.
        seq: i64,
    },
    /// A chain ends before the place where it stood once.
    #[error(
        "chain {chain}: it ends at event {last}, but a signed head or another chain names event {named}; its end was cut off"
    )]
    Truncated {
        /// Which chain.
        chain: ChainId,
        /// Where it ends now.
        last: i64,
        /// Where it stood.
        named: i64,
    },
    /// Another event stands where a head, or another chain, names one.
    #[error("chain {chain}, event {seq}: it is another one than a signed head or another chain names")]
    Replaced {
        /// Which chain.
        chain: ChainId,
        /// At which place.
        seq: i64,
    },
    /// Events that a signed head should cover by now.
    #[error(
        "chain {chain}: events {from} to {to} are older than ten minutes, and no signed head covers them. Signed heads were \
         removed, or what recorded these events was killed and no server ran since; compare with a head that was kept \
         elsewhere (`project-vault audit verify --head FILE`), then start a server or run `project-vault audit head`"
    )]
    Unsigned {
        /// Which chain.
        chain: ChainId,
        /// The first event that no head covers.
        from: i64,
        /// The last.
        to: i64,
    },
    /// What a chain's row says of its cut is not what retention wrote.
    #[error("chain {chain}: where its events were cut off by retention was changed")]
    Cut {
        /// Which chain.
        chain: ChainId,
    },
    /// A head in the database, or one that was kept elsewhere, is not this installation's.
    #[error("signed head {number}: {reason}")]
    Head {
        /// Which, from 1, newest first.
        number: usize,
        /// What is wrong with it.
        reason: StatementError,
    },
    /// An entry's row is not the one that its newest change left behind.
    #[error("entry {entry}: its row has revision {row}, its newest change event {}; an old row was put back, or events were removed",
        .event.map_or_else(|| "is gone or not authentic".to_owned(), |event| format!("revision {event}")))]
    Entry {
        /// Which entry.
        entry: EntryId,
        /// The row's revision.
        row: i32,
        /// The event's.
        event: Option<i32>,
    },
    /// An entry's row says something else than its newest change event.
    #[error("entry {entry}: its row has another {what} than its newest change event says; the row was changed by hand")]
    EntryUnlike {
        /// Which entry.
        entry: EntryId,
        /// What it says otherwise, such as `name`.
        what: &'static str,
    },
    /// An entry's row does not have the MAC of what it says, or its data key does not open.
    #[error("entry {entry}: its row is not authentic; it, or the row of its data key, was changed by hand")]
    EntryForged {
        /// Which entry.
        entry: EntryId,
    },
    /// An entry that nobody erased has no row.
    #[error(
        "entry {entry} ({name:?} of project {project:?}): its newest change event left it there, but its row is gone"
    )]
    EntryGone {
        /// Which entry.
        entry: EntryId,
        /// The name it had.
        name: String,
        /// Whose it was.
        project: String,
    },
    /// A project that was deleted has rows.
    #[error(
        "project {project}: it was deleted, but its row is there; it was put back by hand. Have the platform delete it again"
    )]
    ProjectBack {
        /// Which project.
        project: ProjectId,
    },
    /// A setting of the installation was changed by hand.
    #[error(transparent)]
    Setting(ForgedSetting),
    /// A data key's row was changed by hand, or put back after the key was replaced.
    #[error(transparent)]
    DataKey(ForgedKey),
    /// A row that lists a data key as replaced was changed by hand.
    #[error("the row that lists data key {data_key} as replaced was changed by hand")]
    ReplacedKey {
        /// Which data key.
        data_key: DataKeyId,
    },
}

/// The places that heads and other chains name, with the MACs there.
type Named = BTreeMap<(ChainId, i64), HashSet<String>>;

/// The same, of one chain.
type Points = BTreeMap<i64, HashSet<String>>;

/// What is noted of authentic events along the chains, to hold rows against it. How the database
/// orders and finds events is decided by whoever writes it: SQLite compares a column by more than
/// what is read of it.
pub(super) struct Trail {
    /// The newest change of each entry.
    pub newest: HashMap<EntryId, NewestChange>,
    /// Projects that were deleted.
    pub deleted: Vec<ProjectId>,
    /// Up to where signed heads cover each chain.
    covered: HashMap<ChainId, i64>,
    /// Events before this instant should be covered.
    due: Timestamp,
}

/// An entry's newest change, and where its event stands.
pub(super) struct NewestChange {
    pub revision: i32,
    pub is_erasure: bool,
    pub chain: ChainId,
    pub seq: i64,
}

impl Trail {
    fn note(&mut self, ChainedEvent { event, link }: &ChainedEvent) {
        if event.action == AuditAction::ProjectDeleted
            && event.outcome == AuditOutcome::Allowed
            && let Some(Ok(project)) = event.project.as_deref().map(ProjectId::parse)
        {
            self.deleted.push(project);
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

impl Vault {
    /// Checks every chain, against the heads in the database and those that were kept elsewhere,
    /// and what is stored against the events. `seen` is told how many more events were read.
    ///
    /// # Errors
    /// When the database or the keyring cannot be read; what is wrong with the records is no error.
    pub async fn verify_audit(&self, kept: &[String], mut seen: impl FnMut(u64)) -> Result<Verification> {
        let key = self.0.installation.audit_key_alone().await?;
        let keys = jwk_set(&self.statement_keys().await?)?;
        let mut conn = self.0.store.conn().await?;
        let stored = conn.heads(KEPT).await?;
        let due = self.now().minus(SIGNED_WITHIN);
        let mut trail = Trail { newest: HashMap::new(), deleted: Vec::new(), covered: HashMap::new(), due };
        let mut found = Verification::default();
        let mut named = Named::new();
        for (index, text) in kept.iter().chain(&stored).enumerate() {
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
        let chains = conn.chain_rows().await?;
        for anchor in chains.iter().filter_map(|chain| chain.anchor.as_ref()) {
            named.entry((anchor.chain, anchor.seq)).or_default().insert(HEXLOWER.encode(&anchor.mac));
        }
        drop(conn);
        found.chains = chains.len();
        for chain in chains.iter().cloned() {
            let points = named.iter().filter(|((of, _), _)| *of == chain.id);
            let points: Points = points.map(|((_, seq), macs)| (*seq, macs.clone())).collect();
            named.retain(|(of, _), _| *of != chain.id);
            self.verify_chain(&key, chain, &points, &mut trail, &mut found, &mut seen).await?;
        }
        // Only of chains that are not there at all.
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
                && let Some(now) = self.0.store.conn().await?.chain_row(chain.id).await?
                && now.cut.as_ref().map(|cut| cut.seq) != chain.cut.as_ref().map(|cut| cut.seq)
            {
                // Retention cut it while it was read.
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
            let events = self.0.store.conn().await?.chain_events(chain.id, after, BATCH).await?;
            let Some(last) = events.last() else { break };
            after = last.link.seq;
            for event in &events {
                walk.step(event, &mut points, trail, found);
            }
            found.events += events.len() as u64;
            seen(events.len() as u64);
        }
        walk.end(points, found);
        Ok(())
    }
}

/// A walk along one chain.
struct Walk<'a> {
    key: &'a AuditKey,
    chain: ChainId,
    /// Events up to here are gone by retention, but some.
    cut: i64,
    cut_mac: String,
    last: i64,
    mac: Vec<u8>,
    /// The first and the last event that no head covers and one should.
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
        Self { key, chain: chain.id, cut, cut_mac: HEXLOWER.encode(&mac), last: cut, mac, unsigned: None }
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
            // Kept beyond its retention, because it is an entry's newest change; those around it are gone.
            return;
        }
        if seq > self.last + 1 {
            found.breaks.push(Break::Removed { chain, from: self.last + 1, to: seq - 1 });
        } else if link.prev != self.mac {
            found.breaks.push(Break::Unlinked { chain, seq });
        }
        if is_authentic && !trail.is_covered(chained) {
            self.unsigned = Some((self.unsigned.map_or(seq, |(from, _)| from), seq));
        }
        self.last = seq;
        self.mac.clone_from(&link.mac);
    }

    /// What is still named of this chain is not there: before the cut by retention, else because its end was cut off, or the
    /// place was reported as removed.
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
