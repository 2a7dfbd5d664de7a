//! Preview: what a resolve would answer an agent now, without opening any value.

use super::AgentSecrets;
use super::candidates::Found;
use super::question::{AgentQuestion, ParsedQuestion, runtime};
use super::resolve::ResolvedEntry;
use crate::authz::{Decision, Question};
use crate::domain::{AuditAction, EntryId, Error, ProjectStatus, Result, Scope, SecretOutcome, Timestamp};
use crate::permission::{CanPreview, Held as _};
use crate::store::records::{EventRow, Values};
use crate::vault::Caller;
use crate::vault::entries::{Entry, LeftOut};
use std::collections::HashMap;

const NOT_YOURS: Error =
    Error::Forbidden("Only a Responsible person of the project, or a runtime for its own agents, may preview secrets.");

/// Why a resolve for the agent would be refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Block {
    /// The project is not ACTIVE.
    ProjectNotActive,
    /// The agent is unknown, not on the project, or its organization does not take part.
    AgentNotAssigned,
    /// The agent is not on the milestone, or there is no such milestone in the project.
    AgentNotOnMilestone,
}

/// What a resolve would answer.
pub struct Preview {
    /// Why it would be refused; empty when it would be answered.
    pub blocked_by: Vec<Block>,
    /// The answer for each name.
    pub secrets: Vec<Previewed>,
    /// The entries that a resolve without names would leave out, because of their names.
    pub left_out: Vec<LeftOut>,
}

/// The answer for one name.
pub struct Previewed {
    /// The name.
    pub name: String,
    /// The outcome.
    pub outcome: SecretOutcome,
    /// Scope of the deciding entry, if the outcome is RESOLVED or EXPIRED.
    pub scope: Option<Scope>,
    /// When that entry expires, if the outcome is RESOLVED or EXPIRED.
    pub expires_at: Option<Timestamp>,
    /// The deciding entry; only for people.
    pub entry: Option<Entry>,
}

impl AgentSecrets {
    /// What a resolve would answer an agent now. A person with permission to preview also learns
    /// why it would be refused; a runtime must be authorized to resolve.
    ///
    /// # Errors
    /// FORBIDDEN for all other callers, whether the project exists or not.
    pub async fn preview(&self, caller: &Caller, question: AgentQuestion) -> Result<Preview> {
        let mut asked = ParsedQuestion::parse(question)?;
        let event = asked.event(caller, AuditAction::SecretsPreviewed, self.now());
        let seen = match runtime(caller) {
            Some((runtime, narrowing)) => {
                let read = async {
                    asked.narrow(narrowing)?;
                    self.authorize_runtime(runtime, &asked, Ok(()), &event).await?;
                    Ok((self.candidates_for_runtime(&asked, Values::None, &event).await?, Vec::new()))
                };
                read.await
            }
            None => self.candidates_for_person(caller, &asked, &event).await,
        };
        let (found, blocked_by) = match seen {
            Ok(seen) => seen,
            Err(error) => return Err(self.deny(event, error).await),
        };
        let (answers, left_out) = asked.answers(&found.rows, self.reserved, self.now());
        self.verify_candidates(&found, &answers, &event).await?;
        let answers: Vec<(String, SecretOutcome, Option<ResolvedEntry>)> = answers
            .into_iter()
            .map(|answer| (answer.name, answer.outcome, answer.entry.map(ResolvedEntry::from)))
            .collect();
        let ids: Vec<EntryId> = match runtime(caller) {
            // A runtime sees names and outcomes only.
            Some(_) => Vec::new(),
            None => answers.iter().filter_map(|(_, _, entry)| entry.as_ref().map(|entry| entry.id)).collect(),
        };
        let entries = if ids.is_empty() { HashMap::new() } else { self.entries.by_id(&ids).await? };
        self.audit.record(&[event]).await?;
        let secrets = answers
            .into_iter()
            .map(|(name, outcome, found)| {
                let entry = found.as_ref().and_then(|found| entries.get(&found.id).cloned());
                // A resolve shows scope and expiry for these outcomes only.
                let shown = found.filter(|_| outcome.is_of_entry());
                let scope = shown.as_ref().map(|shown| shown.scope);
                Previewed { name, outcome, scope, expires_at: shown.and_then(|shown| shown.expires_at), entry }
            })
            .collect();
        Ok(Preview { blocked_by, secrets, left_out })
    }

    async fn candidates_for_person(
        &self,
        caller: &Caller,
        asked: &ParsedQuestion,
        event: &EventRow,
    ) -> Result<(Found, Vec<Block>)> {
        let existing = self.store.reader().await?.projects_by_id(std::slice::from_ref(&asked.project)).await?.pop();
        let existing = existing.as_ref().map(|project| &project.id);
        let mut questions = vec![Question::on_project(&caller.principal, CanPreview::PERMISSION, existing)];
        questions.extend(asked.about_agent());
        let decisions = self.authorizer.decide(&questions).await?;
        let holds = |index: usize| decisions.get(index).is_some_and(Decision::is_allowed);
        if existing.is_none() || !holds(0) {
            return Err(NOT_YOURS);
        }
        asked.check_bounds()?;
        let found = self.candidates(asked, Values::None, event).await?;
        let project = found.rows.project.as_ref().ok_or(NOT_YOURS)?;
        let mut blocked_by = Vec::new();
        if project.status != ProjectStatus::Active {
            blocked_by.push(Block::ProjectNotActive);
        }
        if !holds(1) {
            blocked_by.push(Block::AgentNotAssigned);
        }
        if asked.milestone.is_some() && (found.rows.milestone.is_none() || !holds(2)) {
            blocked_by.push(Block::AgentNotOnMilestone);
        }
        Ok((found, blocked_by))
    }
}
