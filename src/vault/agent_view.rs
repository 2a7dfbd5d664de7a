//! What an agent is shown of a project: the question, who may ask it, and the entries it is about. Resolving and previewing
//! share it.

use super::entries::{Tampered, status, verify_candidate};
use super::environment::LeftOut;
use super::outcomes::{Answer, Candidate, answers};
use super::roles::id;
use super::{Caller, Vault};
use crate::authz::Question;
use crate::crypto::{DataKey, OVERHEAD};
use crate::domain::{
    AgentId, AuditAction, AuditOutcome, DataKeyId, EntryId, EnvironmentNames, Error, EventId, MilestoneId, Narrowing,
    Principal, ProjectId, ProjectStatus, ReservedNames, Result, RuntimeId, SecretName, SecretOutcome, Timestamp,
};
use crate::store::records::{CandidateRow, Candidates, EntryRow, EventRow, WantedValues};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// So many names are asked for at most.
const MAX_NAMES: usize = 500;
/// So many bytes of values leave in one call at most.
const MAX_RELEASED: usize = 4 * 1024 * 1024;
/// So many provided names are taken at most.
const MAX_PROVIDED: usize = 10_000;

pub(super) const REFUSED: Error = Error::Forbidden(
    "This agent may not receive this project's secrets through this caller, or there is no such thing.",
);

/// The entries an agent is asked about, in the caller's words.
#[derive(Debug, Clone)]
pub struct AgentQuestion {
    /// Which project.
    pub project: String,
    /// For which agent.
    pub agent: String,
    /// On which milestone; without, only the project's own entries count.
    pub milestone: Option<String>,
    /// Which names; all without.
    pub names: Option<Vec<String>>,
    /// Names the workspace provides itself.
    pub provided: Vec<String>,
}

/// The same, read.
pub(super) struct Asked {
    pub project: ProjectId,
    pub agent: AgentId,
    pub milestone: Option<MilestoneId>,
    pub names: Option<Vec<String>>,
    pub provided: Vec<String>,
    /// Only these are answered where nothing is asked for by name.
    only: Option<BTreeSet<String>>,
}

impl Asked {
    pub(super) fn read(question: AgentQuestion) -> Result<Self> {
        Ok(Self {
            project: id(ProjectId::parse(question.project), &["input", "projectId"])?,
            agent: id(AgentId::parse(question.agent), &["input", "agentId"])?,
            milestone: match question.milestone {
                Some(milestone) => Some(id(MilestoneId::parse(milestone), &["input", "milestoneId"])?),
                None => None,
            },
            names: question.names,
            provided: question.provided,
            only: None,
        })
    }

    /// Takes over what a token is narrowed to; refused when the call asks for another thing, or leaves it out.
    pub(super) fn narrow(&mut self, to: &Narrowing) -> Result<()> {
        let fits = to.project.as_ref().is_none_or(|project| *project == self.project)
            && to.agent.as_ref().is_none_or(|agent| *agent == self.agent)
            && to.milestone.as_ref().is_none_or(|milestone| self.milestone.as_ref() == Some(milestone))
            && match (&to.names, &self.names) {
                (Some(only), Some(names)) => names.iter().all(|name| only.contains(name)),
                (Some(_), None) | (None, _) => true,
            };
        self.only.clone_from(&to.names);
        if fits { Ok(()) } else { Err(REFUSED) }
    }

    /// Bounds what is asked for. Judged after the permission.
    pub(super) fn check_bounds(&self) -> Result<()> {
        if self.names.as_ref().is_some_and(|names| names.len() > MAX_NAMES) {
            return Err(Error::limit(&["input", "names"], format!("Ask for at most {MAX_NAMES} names at once.")));
        }
        if self.provided.len() > MAX_PROVIDED {
            let message = format!("Name at most {MAX_PROVIDED} provided names.");
            return Err(Error::limit(&["input", "providedNames"], message));
        }
        Ok(())
    }

    pub(super) fn event(&self, caller: &Caller, action: AuditAction, now: Timestamp) -> EventRow {
        EventRow {
            agent: Some(self.agent.as_str().to_owned()),
            ..caller.event(action, now).in_project(&self.project).on_milestone(self.milestone.as_ref())
        }
    }

    /// What decides whether a runtime may resolve for the agent: all of these, in one batch.
    fn questions(&self, runtime: &RuntimeId) -> Vec<Question> {
        let mut questions = vec![Question::act_through(&self.agent, runtime)];
        questions.extend(self.questions_about_agent());
        questions
    }

    /// Whether the agent may receive the project's secrets, and the milestone's where one is named.
    pub(super) fn questions_about_agent(&self) -> Vec<Question> {
        let mut questions = vec![Question::resolve_in_project(&self.agent, &self.project)];
        questions.extend(self.milestone.as_ref().map(|id| Question::resolve_on_milestone(&self.agent, id)));
        questions
    }

    /// The names the database is asked for; any without. More names than may be asked for are none: the call is refused once
    /// the permission is judged. How many a token claims is bounded by its own length.
    fn wanted(&self) -> Option<Vec<String>> {
        let possible = |name: &&String| SecretName::has_form(name);
        match (&self.names, &self.only) {
            (Some(names), _) if names.len() > MAX_NAMES => Some(Vec::new()),
            (Some(names), _) => Some(names.iter().filter(possible).cloned().collect()),
            (None, Some(only)) => Some(only.iter().filter(possible).cloned().collect()),
            (None, None) => None,
        }
    }

    /// The provided names that an entry could have, each once.
    fn provided_names(&self) -> Vec<&str> {
        let names: BTreeSet<&str> = self.provided.iter().map(String::as_str).collect();
        names.into_iter().filter(|name| SecretName::has_form(name)).collect()
    }

    /// Answers each name by the rules of `product.md`, section 4, from rows whose project and
    /// milestone were checked. Without names, what must not reach a session is left out, and told
    /// apart.
    pub(super) fn answers<'a>(
        &self,
        found: &'a Candidates,
        reserved: &ReservedNames,
        now: Timestamp,
    ) -> (Vec<Answer<&'a CandidateRow>>, Vec<LeftOut>) {
        let open = found.milestone.as_ref().is_some_and(|milestone| milestone.is_open(now));
        let candidates =
            found.entries.iter().filter(|row| row.entry.milestone.is_none() || open).map(|row| Candidate {
                name: &row.entry.name,
                status: status(&row.entry, now),
                of_milestone: row.entry.milestone.is_some(),
                entry: row,
            });
        let mut answers = answers(candidates, self.names.as_deref(), &self.provided);
        let mut left_out = Vec::new();
        if self.names.is_none() {
            let names = found.project.as_ref().map_or(EnvironmentNames::Suffixed, |project| project.environment_names);
            // The answer for a provided name brings nothing into the session.
            answers.retain(|answer| {
                let brought = answer.entry.filter(|_| answer.outcome != SecretOutcome::ProvidedByWorkspace);
                let reason = brought.and_then(|row| names.left_out(&answer.name, row.approved, reserved));
                left_out.extend(reason.map(|reason| LeftOut { name: answer.name.clone(), reason }));
                reason.is_none()
            });
        }
        (answers, left_out)
    }
}

impl Vault {
    /// Asks whether a runtime may resolve, by the first paragraph of `product.md`, section 4, and finds the entries; with the
    /// values of those that are live at an instant, where one is given.
    ///
    /// # Errors
    /// FORBIDDEN, the same whatever is missing.
    pub(super) async fn candidates_for(
        &self,
        runtime: &RuntimeId,
        asked: &Asked,
        values_at: Option<Timestamp>,
    ) -> Result<Candidates> {
        let decisions = self.0.authorizer.decide(&asked.questions(runtime)).await?;
        if !decisions.iter().all(crate::authz::Decision::is_allowed) {
            return Err(REFUSED);
        }
        let found = self.candidates(asked, values_at).await?;
        let active = found.project.as_ref().is_some_and(|project| project.status == ProjectStatus::Active);
        if !active || found.milestone.is_none() != asked.milestone.is_none() {
            return Err(REFUSED);
        }
        Ok(found)
    }

    pub(super) async fn candidates(&self, asked: &Asked, values_at: Option<Timestamp>) -> Result<Candidates> {
        let wanted = asked.wanted();
        let provided = asked.provided_names();
        // More than may be named are refused once the permission is judged.
        let values_at = values_at.filter(|_| asked.provided.len() <= MAX_PROVIDED);
        let values = values_at.map(|now| WantedValues { now, provided: &provided });
        let mut conn = self.0.store.conn().await?;
        let mut found = conn.candidates(&asked.project, asked.milestone.as_ref(), wanted.as_deref(), values).await?;
        let seen = self.seen_newer(&found);
        if seen.is_empty() {
            return Ok(found);
        }
        // A change may have committed while the rows were read. A statement that begins now sees
        // it; a row that is still older was put back.
        found = conn.candidates(&asked.project, asked.milestone.as_ref(), wanted.as_deref(), values).await?;
        let is_older =
            |row: &CandidateRow| seen.get(&row.entry.id).is_some_and(|highest| row.entry.revision < *highest);
        let put_back = found.entries.extract_if(.., |row| is_older(row));
        found.incomplete.extend(put_back.map(|row| row.entry));
        Ok(found)
    }

    /// The entries of which this process has seen a higher revision than the one that was found,
    /// with that.
    fn seen_newer(&self, found: &Candidates) -> HashMap<EntryId, i32> {
        let of_row = |row: &CandidateRow| {
            let highest = self.0.revisions.highest(row.entry.id)?;
            (row.entry.revision < highest).then_some((row.entry.id, highest))
        };
        found.entries.iter().filter_map(of_row).collect()
    }

    /// Judges whether found rows may be the ground of an answer: how much would be released, then whether each row is as the vault
    /// wrote it. What is not is recorded.
    ///
    /// # Errors
    /// LIMIT_EXCEEDED beyond 4 MiB of values, INTERNAL for a row that fails authentication.
    pub(super) async fn vouch(
        &self,
        found: &Candidates,
        answers: &[Answer<&CandidateRow>],
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
        match self.authenticate(found).await {
            Ok(keys) => Ok(keys),
            // Nothing is wrong with the row.
            Err(Unauthentic { error: error @ Error::Unavailable { .. }, .. }) => Err(error),
            Err(Unauthentic { entry, error }) => Err(self.record_failure(event, entry, error).await),
        }
    }

    /// Records that a call failed because of a row that is not as the vault wrote it.
    pub(super) async fn record_failure(&self, event: &EventRow, entry: &EntryRow, error: Error) -> Error {
        tracing::error!(entry = %entry.id, "an entry fails authentication; nothing was released");
        let reason = Some(error.code().to_owned());
        let event = EventRow { outcome: AuditOutcome::Failed, reason, ..of_version(event, entry) };
        match self.record(&[event]).await {
            Ok(()) => error,
            Err(unavailable) => unavailable,
        }
    }

    /// Authenticates everything an answer rests on, not only what is released: a row that was switched off or renamed by
    /// hand would let another one through. Gives each entry's data key.
    async fn authenticate<'a>(&self, found: &'a Candidates) -> Result<HashMap<EntryId, Arc<DataKey>>, Unauthentic<'a>> {
        if let Some(entry) = found.incomplete.first() {
            return Err(Unauthentic { entry, error: Error::internal(Tampered) });
        }
        let mut keys = HashMap::with_capacity(found.entries.len());
        let Some(first) = found.entries.first() else { return Ok(keys) };
        let audit = self.0.installation.audit_key_alone().await;
        let audit = audit.map_err(|error| Unauthentic { entry: &first.entry, error })?;
        // One statement read them, so that a data key has one row.
        let mut opened = HashMap::<DataKeyId, Arc<DataKey>>::new();
        for row in &found.entries {
            let entry = &row.entry;
            let key = if let Some(key) = opened.get(&row.data_key.id) {
                key.clone()
            } else {
                let key = self.open_key(&entry.project, &row.data_key).await;
                let key = key.map_err(|error| Unauthentic { entry, error })?;
                opened.insert(row.data_key.id, key.clone());
                key
            };
            verify_candidate(row, &key, &audit)
                .map_err(|error| Unauthentic { entry, error: Error::internal(error) })?;
            keys.insert(entry.id, key);
        }
        for row in &found.entries {
            self.0.revisions.raise(row.entry.id, row.entry.revision);
        }
        Ok(keys)
    }

    /// Records a refusal of a runtime or of whoever is none.
    pub(super) async fn refuse(&self, event: EventRow, error: Error) -> Error {
        match error {
            Error::Forbidden(_) => self.deny(event, error).await,
            error => error,
        }
    }
}

/// A row that is not as the vault wrote it.
struct Unauthentic<'a> {
    entry: &'a EntryRow,
    error: Error,
}

fn size(row: &CandidateRow) -> usize {
    usize::try_from(row.size).unwrap_or_default()
}

/// The record of one entry's version.
pub(super) fn of_version(event: &EventRow, entry: &EntryRow) -> EventRow {
    EventRow { id: EventId::new(), ..event.clone().on_entry(entry) }
}

/// The runtime that calls, with what its token is narrowed to.
pub(super) fn runtime(caller: &Caller) -> Option<(&RuntimeId, &Narrowing)> {
    match &caller.principal {
        Principal::Runtime(id, narrowing) => Some((id, narrowing)),
        Principal::User(_) | Principal::Service(_) => None,
    }
}
