//! Compares rows with events. Each entry's row must match its newest change event, which detects a
//! row that was changed, put back, removed or inserted by hand. Settings and data keys have MACs of
//! their own.
//!
//! Rows are read in batches, each with its events in one statement, so that concurrent changes are
//! not reported. The walk along the chains, not the database, determines which event is the newest:
//! what it noted may be older than what is read here, but never newer.

use super::Verifier;
use super::breaks::{Break, Verification};
use super::chains::{NewestChange, Trail};
use super::readable::readable;
use crate::crypto::{AuditKey, DataKey};
use crate::domain::{AuditAction, AuditOutcome, DataKeyId, EntryId, Error, ProjectId, Result, Timestamp};
use crate::store::records::{ChainRow, ChainedEvent, EntryRow, EventRow};
use crate::vault::audit::verify_event;
use crate::vault::entries::{differs_from_change, verify_entry};
use crate::vault::keys;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// Maximum number of rows read at once.
const BATCH: i64 = 1_000;
/// Maximum number of deleted projects looked up at once.
const DELETED_BATCH: usize = 1_000;
/// Maximum difference between the clocks of servers: a deletion may have an earlier time than the
/// change before it.
const SKEW: Duration = Duration::from_secs(5 * 60);

/// The deletions of projects and milestones, which explain missing rows of entries. By project,
/// read when first needed.
type Erasures = HashMap<String, Vec<EventRow>>;

/// Data keys of one batch; `None` for a key that cannot be opened.
type OpenKeys = HashMap<DataKeyId, Option<Arc<DataKey>>>;

impl Verifier {
    /// Compares rows with events, and adds the findings to `found`.
    pub(super) async fn verify_rows(
        &self,
        audit: &AuditKey,
        chains: &[ChainRow],
        trail: Trail,
        found: &mut Verification,
    ) -> Result<()> {
        self.verify_settings(audit, found).await?;
        self.verify_data_keys(audit, found).await?;
        for deleted in trail.deleted.chunks(DELETED_BATCH) {
            // A row that cannot be read was put back as well.
            let back = self.existing_projects(deleted).await?;
            found.breaks.extend(back.into_iter().map(|project| Break::ProjectBack { project }));
        }
        self.verify_newest_changes(audit, chains, trail.newest, found).await?;
        let mut after = EntryId(Uuid::nil());
        loop {
            let rows = self.store.conn().await?.entries_without_change(after, BATCH).await?;
            let Some((last, _)) = rows.last() else { break };
            after = *last;
            found.breaks.extend(rows.into_iter().map(|(entry, row)| Break::Entry { entry, row, event: None }));
        }
        self.verify_registered(audit, trail.registered, &trail.deleted, found).await?;
        self.verify_projects(audit, found).await?;
        let without_id = self.store.conn().await?.rows_without_id().await?;
        found.breaks.extend(without_id.into_iter().map(|(table, id)| Break::Unreadable { table, id }));
        Ok(())
    }

    async fn verify_settings(&self, audit: &AuditKey, found: &mut Verification) -> Result<()> {
        let Some(rows) = readable(self.store.conn().await?.settings().await)? else {
            found.breaks.push(Break::Unreadable { table: "installation", id: "of a setting".to_owned() });
            return Ok(());
        };
        let forged = rows.iter().filter_map(|row| keys::verify_setting(audit, row).err());
        found.breaks.extend(forged.map(Break::Setting));
        Ok(())
    }

    async fn verify_data_keys(&self, audit: &AuditKey, found: &mut Verification) -> Result<()> {
        let mut after = DataKeyId(Uuid::nil());
        loop {
            let (rows, last) = self.stored_data_keys(after, BATCH, found).await?;
            let Some(last) = last else { break };
            after = last;
            let forged = rows.iter().filter_map(|row| keys::verify(audit, row).err());
            found.breaks.extend(forged.map(Break::DataKey));
        }
        let mut after = DataKeyId(Uuid::nil());
        loop {
            let (rows, last) = self.stored_replaced_keys(after, BATCH, found).await?;
            let Some(last) = last else { return Ok(()) };
            after = last;
            let forged = rows.iter().filter(|row| keys::verify_replaced(audit, row).is_err());
            found.breaks.extend(forged.map(|row| Break::ReplacedKey { data_key: row.id }));
        }
    }

    async fn verify_newest_changes(
        &self,
        audit: &AuditKey,
        chains: &[ChainRow],
        mut noted: HashMap<EntryId, NewestChange>,
        found: &mut Verification,
    ) -> Result<()> {
        let retained_since = self.retained_since(chains).await?;
        let mut erasures = Erasures::new();
        let mut after = EntryId(Uuid::nil());
        loop {
            let (rows, tried) = self.stored_changes(after, BATCH).await?;
            let of = |row: &(ChainedEvent, Option<EntryRow>)| row.0.event.entry.unwrap_or(EntryId(Uuid::nil()));
            let last = match &tried {
                Some(tried) => tried.last().copied(),
                None => rows.last().map(of),
            };
            let Some(last) = last else { break };
            // The last entry may have more events than were read; the next batch starts with it.
            let is_full = tried.is_none() && i64::try_from(rows.len()) == Ok(BATCH);
            let held_back = rows.iter().position(|row| is_full && of(row) == last).filter(|place| *place > 0);
            let whole = &rows[..held_back.unwrap_or(rows.len())];
            after = if tried.is_some() { last } else { whole.last().map_or(last, of) };
            let read: HashSet<EntryId> = whole.iter().map(of).collect();
            for entry in tried.into_iter().flatten().filter(|entry| !read.contains(entry)) {
                noted.remove(&entry);
                match readable(self.store.conn().await?.entry_row(entry).await)? {
                    None => found.breaks.push(Break::Unreadable { table: "entries", id: entry.to_string() }),
                    // Its newest event cannot be read.
                    Some(Some(row)) => found.breaks.push(Break::Entry { entry, row: row.revision, event: None }),
                    Some(None) => {}
                }
            }
            let mut keys = OpenKeys::new();
            for group in whole.chunk_by(|one, other| of(one) == of(other)) {
                let Some((newest, row)) = group.last() else { continue };
                let known = noted.remove(&of(&group[0]));
                let newer = known.as_ref().filter(|known| newest.event.entry_revision < Some(known.revision));
                let erased = group.iter().any(|(change, _)| change.event.action == AuditAction::EntryPurged)
                    || newer.is_some_and(|newer| newer.is_erasure);
                match row {
                    Some(row) if newer.is_some() => {
                        let event = newer.map(|newer| newer.revision);
                        found.breaks.push(Break::Entry { entry: row.id, row: row.revision, event });
                    }
                    Some(row) => {
                        let broken = self.compare(audit, row, newest, erased, &mut keys).await?;
                        found.breaks.extend(broken);
                    }
                    None if erased => {}
                    None => {
                        if !self.is_explained(audit, &newest.event, retained_since, &mut erasures).await? {
                            found.breaks.push(gone(&newest.event));
                        }
                    }
                }
            }
        }
        // Entries whose events the database did not find. `entries_without_change` finds those that
        // have a row.
        for (entry, change) in noted {
            let mut conn = self.store.conn().await?;
            if change.is_erasure || readable(conn.entry_row(entry).await)?.is_none_or(|row| row.is_some()) {
                continue;
            }
            // Retention may have erased the event meanwhile.
            let there =
                readable(conn.chain_events(change.chain, change.seq - 1, 1).await)?.and_then(|mut one| one.pop());
            let Some(there) = there.filter(|there| there.event.entry == Some(entry)) else { continue };
            drop(conn);
            if !self.is_explained(audit, &there.event, retained_since, &mut erasures).await? {
                found.breaks.push(gone(&there.event));
            }
        }
        Ok(())
    }

    /// How an entry's row differs from its newest change; `None` if it matches.
    async fn compare(
        &self,
        audit: &AuditKey,
        row: &EntryRow,
        newest: &ChainedEvent,
        erased: bool,
        keys: &mut OpenKeys,
    ) -> Result<Option<Break>> {
        let event = &newest.event;
        let (entry, revision) = (row.id, row.revision);
        if event.entry_revision != Some(revision) {
            return Ok(Some(Break::Entry { entry, row: revision, event: event.entry_revision }));
        }
        if verify_event(audit, newest).is_err() {
            return Ok(Some(Break::Entry { entry, row: revision, event: None }));
        }
        if let Some(what) = differs_from_change(row, event).or(erased.then_some("state")) {
            return Ok(Some(Break::EntryUnlike { entry, what }));
        }
        let key = if let Some(key) = keys.get(&row.data_key) {
            key.clone()
        } else {
            let key = self.openable(row).await?;
            keys.insert(row.data_key, key.clone());
            key
        };
        if key.is_some_and(|key| verify_entry(row, &key).is_ok()) {
            return Ok(None);
        }
        // The entry may have been moved to another data key meanwhile, and the old one erased.
        let now = readable(self.store.conn().await?.entry_row(entry).await)?;
        let is_same = now.is_none_or(|now| now.is_some_and(|now| now.revision == revision));
        Ok(is_same.then_some(Break::EntryForged { entry }))
    }

    /// An entry's data key; `None` if it is missing or cannot be opened.
    async fn openable(&self, row: &EntryRow) -> Result<Option<Arc<DataKey>>> {
        let key = readable(self.store.conn().await?.data_key(row.data_key).await)?.flatten();
        let Some(key) = key else { return Ok(None) };
        match self.installation.open_key(&row.project, &key).await {
            Ok(key) => Ok(Some(key)),
            Err(error @ Error::Unavailable { .. }) => Err(error),
            Err(_) => Ok(None),
        }
    }

    /// Whether an entry has no row because its project or its milestone was deleted. Retention may
    /// have erased the deletion's event but not yet a change before it, so a change as old as the
    /// oldest retained events counts as explained.
    async fn is_explained(
        &self,
        audit: &AuditKey,
        event: &EventRow,
        retained_since: Option<Timestamp>,
        erasures: &mut Erasures,
    ) -> Result<bool> {
        if retained_since.is_some_and(|since| event.occurred_at < since.plus(SKEW)) {
            return Ok(true);
        }
        let Some(name) = &event.project else { return Ok(false) };
        if !erasures.contains_key(name) {
            let events = match ProjectId::parse(name.as_str()) {
                Ok(project) => {
                    let kinds = [AuditAction::ProjectDeleted, AuditAction::MilestoneDeleted];
                    readable(self.store.conn().await?.events_of_kind(&project, &kinds).await)?.unwrap_or_default()
                }
                Err(_) => Vec::new(),
            };
            let authentic = events.into_iter().filter(|event| verify_event(audit, event).is_ok());
            let done = authentic.map(|chained| chained.event).filter(|event| event.outcome == AuditOutcome::Allowed);
            erasures.insert(name.clone(), done.collect());
        }
        let explains = |erasure: &EventRow| {
            let of_milestone = erasure.milestone.is_some() && erasure.milestone == event.milestone;
            // A project's id is never reused; a milestone's may be.
            erasure.action == AuditAction::ProjectDeleted
                || (of_milestone && erasure.occurred_at.plus(SKEW) >= event.occurred_at)
        };
        Ok(erasures.get(name).is_some_and(|erasures| erasures.iter().any(explains)))
    }

    /// The time of the oldest event after a cut; `None` if retention has cut no chain.
    async fn retained_since(&self, chains: &[ChainRow]) -> Result<Option<Timestamp>> {
        let mut oldest = None;
        for (chain, cut) in chains.iter().filter_map(|chain| Some((chain.id, chain.cut.as_ref()?))) {
            let first = readable(self.store.conn().await?.chain_events(chain, cut.seq, 1).await)?;
            let first = first.and_then(|mut one| one.pop());
            oldest = [oldest, first.map(|first| first.event.occurred_at)].into_iter().flatten().min();
        }
        Ok(oldest)
    }
}

fn gone(event: &EventRow) -> Break {
    Break::EntryGone {
        entry: event.entry.unwrap_or(EntryId(Uuid::nil())),
        name: event.entry_name.clone().unwrap_or_default(),
        project: event.project.clone().unwrap_or_default(),
    }
}
