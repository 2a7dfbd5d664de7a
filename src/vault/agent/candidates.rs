//! Candidates, the rows that could answer a question: reads and authenticates them.

use super::AgentSecrets;
use super::listing::ListingError;
use super::outcomes::NameAnswer;
use super::question::{Lookup, ParsedQuestion, REFUSED};
use super::remembered::Size;
use crate::authz::Decision;
use crate::crypto::{DataKey, OVERHEAD};
use crate::domain::{
    AuditOutcome, DataKeyId, EntryId, Error, EventId, ProjectStatus, Result, RuntimeId, SecretOutcome,
};
use crate::store::records::{CandidateRow, Candidates, EntryRow, EventRow, Values};
use crate::store::{Conn, Generation};
use crate::vault::entries::{Tampered, verify_candidate};
use crate::vault::measures;
use std::collections::HashMap;
use std::sync::Arc;

/// Maximum number of names whose rows are read on the thread of the request.
const FEW_NAMES: usize = 20;

/// Maximum number of bytes of values that one call releases.
const MAX_RELEASED: usize = 4 * 1024 * 1024;

/// The rows that could answer a question.
pub(super) struct Found {
    pub rows: Arc<Candidates>,
    rows_are: Rows,
}

/// Whether rows were authenticated.
enum Rows {
    /// Each of them was.
    Authentic,
    /// Not yet. Once they are, they may be kept for the question that was asked at this generation.
    Unverified(Option<(Lookup, Generation)>),
}

/// A row that fails authentication, or could not be checked.
struct Unauthentic<'a> {
    entry: &'a EntryRow,
    error: Error,
}

impl AgentSecrets {
    /// Authorizes a runtime to resolve, by the first paragraph of `product.md`, section 4, and then
    /// gives the rest of its input back, where that is in order.
    ///
    /// # Errors
    /// FORBIDDEN, the same whatever is missing; LIMIT_EXCEEDED for too many names; else the fault
    /// of the input.
    pub(super) async fn authorize_runtime<T>(
        &self,
        runtime: &RuntimeId,
        question: &ParsedQuestion,
        input: Result<T>,
        event: &EventRow,
    ) -> Result<T> {
        let decisions = self.authorizer.decide(&question.for_runtime(runtime)).await?;
        if !decisions.iter().all(Decision::is_allowed) {
            return Err(REFUSED);
        }
        match question.check_bounds().and(input) {
            Ok(input) => Ok(input),
            // The state of the project and the milestone is part of the permission, so it decides
            // first.
            Err(fault) => {
                self.candidates_for_runtime(&question.without_names(), Values::None, event).await.and(Err(fault))
            }
        }
    }

    /// Reads the candidates for an authorized runtime.
    ///
    /// # Errors
    /// FORBIDDEN for a project that is not ACTIVE, and for a milestone of another project; also as
    /// [`Self::candidates`].
    pub(super) async fn candidates_for_runtime(
        &self,
        question: &ParsedQuestion,
        values: Values,
        event: &EventRow,
    ) -> Result<Found> {
        let found = self.candidates(question, values, event).await?;
        let rows = &found.rows;
        let active = rows.project.as_ref().is_some_and(|project| project.status == ProjectStatus::Active);
        if !active || rows.milestone.is_none() != question.milestone.is_none() {
            return Err(REFUSED);
        }
        Ok(found)
    }

    /// Reads the candidates, or takes what was read of them before and has not changed. The
    /// project's row and the milestone's are authentic, and no candidate is missing; otherwise, the
    /// failure is recorded as `event`.
    ///
    /// # Errors
    /// INTERNAL when the rows are not as the vault wrote them.
    pub(super) async fn candidates(
        &self,
        question: &ParsedQuestion,
        values: Values,
        event: &EventRow,
    ) -> Result<Found> {
        let lookup = question.lookup();
        let generation = self.store.generation(&question.project).await?;
        // If somebody sets a generation back by hand, older entries are still not used.
        if let Some(rows) = generation.and_then(|generation| self.remembered.get(&lookup, generation))
            && self.seen_newer(&rows).is_empty()
            && self.newer_project(&rows).is_none()
        {
            return Ok(Found { rows, rows_are: Rows::Authentic });
        }
        let generation = generation.filter(|_| values != Values::None);
        let asked = generation.and_then(|generation| self.remembered.asked_before(&lookup, generation));
        if let (Some(generation), Some(Size::Small)) = (generation, asked)
            && lookup.names.is_some()
            // On the heap, since it is rare.
            && let Some(rows) = Box::pin(self.read_whole(&lookup, generation, values)).await?
        {
            return Ok(Found { rows, rows_are: Rows::Authentic });
        }
        // Many values take long to read, and other tasks of the thread would wait.
        let few = lookup.names.as_ref().is_some_and(|names| names.len() <= FEW_NAMES);
        let mut conn = if few { self.store.reader().await? } else { self.store.conn().await? };
        let mut rows = self.read_candidates(&mut conn, &lookup, values).await?;
        // Opening keys and recording a failure may need another connection.
        drop(conn);
        match self.check_listed(&lookup, &mut rows).await {
            Ok(listed) => {
                if let (Some(generation), None) = (generation, asked) {
                    self.remembered.note_asked(&lookup, generation, listed);
                }
                let to_keep = generation.filter(|_| asked.is_some()).map(|generation| (lookup, generation));
                Ok(Found { rows: Arc::new(rows), rows_are: Rows::Unverified(to_keep) })
            }
            Err(ListingError::Forged(forged)) => Err(self.record_forged(event, &rows, forged).await),
            Err(ListingError::NotChecked(error)) => Err(error),
        }
    }

    /// Reads all rows of a small scope, and keeps them; gives those that are looked up. `None` if
    /// any is not authentic: the lookup may not need it.
    ///
    /// # Errors
    /// UNAVAILABLE when the rows cannot be read or checked.
    async fn read_whole(
        &self,
        lookup: &Lookup,
        generation: Generation,
        values: Values,
    ) -> Result<Option<Arc<Candidates>>> {
        let whole = lookup.of_all_names();
        let mut conn = self.store.conn().await?;
        let mut rows = self.read_candidates(&mut conn, &whole, values).await?;
        drop(conn);
        match self.check_listed(&whole, &mut rows).await {
            Ok(_) => {}
            Err(ListingError::Forged(_)) => return Ok(None),
            Err(ListingError::NotChecked(error)) => return Err(error),
        }
        match self.authenticate(&rows).await {
            Ok(_) => Ok(Some(self.remembered.keep(whole, generation, Arc::new(rows)).of(lookup))),
            Err(Unauthentic { error: error @ Error::Unavailable { .. }, .. }) => Err(error),
            Err(_) => Ok(None),
        }
    }

    /// Reads the candidates. A row of an entry older than one that this process has seen counts as
    /// incomplete, and such a row of the project as missing.
    async fn read_candidates(&self, conn: &mut Conn, lookup: &Lookup, values: Values) -> Result<Candidates> {
        let Lookup { project, milestone, names } = lookup;
        let (milestone, names) = (milestone.as_ref(), names.as_deref());
        let mut found = conn.candidates(project, milestone, names, values).await?;
        let (seen_newer, newer_project) = (self.seen_newer(&found), self.newer_project(&found));
        if seen_newer.is_empty() && newer_project.is_none() {
            return Ok(found);
        }
        // A change may have committed while the rows were read. A statement that starts now sees
        // it; a row that is still older was put back.
        found = conn.candidates(project, milestone, names, values).await?;
        let is_older = |row: &Arc<CandidateRow>| {
            seen_newer.get(&row.entry.id).is_some_and(|highest| row.entry.revision < *highest)
        };
        let put_back = found.entries.extract_if(.., |row| is_older(row));
        found.incomplete.extend(put_back.map(|row| row.entry.clone()));
        if found.project.as_ref().is_some_and(|project| newer_project > Some(project.revision)) {
            found.state = None;
        }
        Ok(found)
    }

    /// The highest revision of the project that this process has seen, if it is higher than that of
    /// this row.
    fn newer_project(&self, found: &Candidates) -> Option<i64> {
        let project = found.project.as_ref()?;
        self.installation.highest_project_revision(&project.id).filter(|highest| project.revision < *highest)
    }

    /// The entries whose row is older than the highest revision that this process has seen, with
    /// that revision.
    fn seen_newer(&self, found: &Candidates) -> HashMap<EntryId, i32> {
        let of_row = |row: &Arc<CandidateRow>| {
            let highest = self.audit.highest_revision(row.entry.id)?;
            (row.entry.revision < highest).then_some((row.entry.id, highest))
        };
        found.entries.iter().filter_map(of_row).collect()
    }

    /// Checks the total size of the values, and authenticates every row that the answers depend on.
    /// A row that fails is recorded as a failed event. Gives each entry's data key.
    ///
    /// # Errors
    /// LIMIT_EXCEEDED beyond 4 MiB of values, INTERNAL for a row that fails authentication.
    pub(super) async fn verify_candidates(
        &self,
        found: &Found,
        answers: &[NameAnswer<&CandidateRow>],
        event: &EventRow,
    ) -> Result<HashMap<EntryId, Arc<DataKey>>> {
        let released = answers.iter().filter(|answer| answer.outcome == SecretOutcome::Resolved);
        let bytes: usize =
            released.filter_map(|answer| answer.entry).map(|row| size(row).saturating_sub(OVERHEAD)).sum();
        if bytes > MAX_RELEASED {
            return Err(Error::limit(
                &["input", "names"],
                "These values are more than 4 MiB together; ask for fewer names at once.",
            ));
        }
        let opened = match &found.rows_are {
            Rows::Authentic => self.open_keys(&found.rows).await,
            Rows::Unverified(_) => self.authenticate(&found.rows).await,
        };
        match opened {
            Ok(keys) => {
                if let Rows::Unverified(Some((lookup, generation))) = &found.rows_are {
                    let _kept = self.remembered.keep(lookup.clone(), *generation, found.rows.clone());
                }
                Ok(keys)
            }
            // The row could not be checked, so this records no failure of it.
            Err(Unauthentic { error: error @ Error::Unavailable { .. }, .. }) => Err(error),
            Err(Unauthentic { entry, error }) => Err(self.record_failure(event, entry, error).await),
        }
    }

    /// Authenticates every candidate, not only those to be released: a row that was disabled or
    /// renamed by hand would otherwise cause another one to be released in its stead.
    async fn authenticate<'a>(&self, found: &'a Candidates) -> Result<HashMap<EntryId, Arc<DataKey>>, Unauthentic<'a>> {
        if let Some(entry) = found.incomplete.first() {
            return Err(Unauthentic { entry, error: Error::internal(Tampered) });
        }
        let Some(first) = found.entries.first() else { return Ok(HashMap::new()) };
        let audit = self.installation.open_audit_key().await;
        let audit = audit.map_err(|error| Unauthentic { entry: &first.entry, error })?;
        let keys = self.open_keys(found).await?;
        for row in &found.entries {
            let entry = &row.entry;
            let key = keys.get(&entry.id).ok_or_else(|| Unauthentic { entry, error: Error::internal(Tampered) })?;
            verify_candidate(row, key, &audit).map_err(|error| Unauthentic { entry, error: Error::internal(error) })?;
        }
        for row in &found.entries {
            self.audit.remember_revision(row.entry.id, row.entry.revision);
        }
        Ok(keys)
    }

    /// Opens the data key of each candidate.
    async fn open_keys<'a>(&self, found: &'a Candidates) -> Result<HashMap<EntryId, Arc<DataKey>>, Unauthentic<'a>> {
        let mut keys = HashMap::with_capacity(found.entries.len());
        // One statement read all rows, so each data key has only one row among them.
        let mut opened = HashMap::<DataKeyId, Arc<DataKey>>::new();
        for row in &found.entries {
            let entry = &row.entry;
            let key = if let Some(key) = opened.get(&row.data_key.id) {
                key.clone()
            } else {
                let key = self.installation.open_key(&entry.project, &row.data_key).await;
                let key = key.map_err(|error| Unauthentic { entry, error })?;
                opened.insert(row.data_key.id, key.clone());
                key
            };
            keys.insert(entry.id, key);
        }
        Ok(keys)
    }

    /// Records that a call failed because a row fails authentication. Gives the call's error, or
    /// UNAVAILABLE when that could not be recorded.
    pub(super) async fn record_failure(&self, event: &EventRow, entry: &EntryRow, error: Error) -> Error {
        tracing::error!(entry = %entry.id, "an entry fails authentication; nothing was released");
        measures::count_unauthentic();
        let reason = Some(error.code().to_string());
        let event = EventRow { outcome: AuditOutcome::Failed, reason, ..of_version(event, entry) };
        match self.audit.record(&[event]).await {
            Ok(()) => error,
            Err(unavailable) => unavailable,
        }
    }

    /// Records a FORBIDDEN error as a denial; other errors are not recorded. Gives the error to
    /// answer.
    pub(super) async fn deny(&self, event: EventRow, error: Error) -> Error {
        match error {
            Error::Forbidden(_) => self.audit.deny(event, error).await,
            error => error,
        }
    }
}

fn size(row: &CandidateRow) -> usize {
    usize::try_from(row.size).unwrap_or_default()
}

/// The event of one entry's version within a call.
pub(super) fn of_version(event: &EventRow, entry: &EntryRow) -> EventRow {
    EventRow { id: EventId::new(), ..event.clone().on_entry(entry) }
}
