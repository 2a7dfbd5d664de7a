//! The question of a resolve or a preview: which entries of a project an agent is to receive.

use super::outcomes::{Candidate, NameAnswer, answers};
use crate::authz::Question;
use crate::domain::{
    AgentId, AuditAction, EnvironmentNames, Error, MilestoneId, Narrowing, Principal, ProjectId, ReservedNames, Result,
    RuntimeId, SecretName, SecretOutcome, Timestamp,
};
use crate::store::records::{CandidateRow, Candidates, EventRow};
use crate::vault::Caller;
use crate::vault::entries::{LeftOut, status};
use crate::vault::input::id;
use std::collections::BTreeSet;

/// Maximum number of names in one question.
const MAX_NAMES: usize = 500;
/// Maximum number of provided names in one question.
const MAX_PROVIDED: usize = 10_000;

pub(super) const REFUSED: Error = Error::Forbidden(
    "This agent may not receive this project's secrets through this caller, or there is no such thing.",
);

/// The question as the caller wrote it; nothing is checked yet.
#[derive(Debug, Clone)]
pub struct AgentQuestion {
    /// The project's id.
    pub project: String,
    /// The agent's id.
    pub agent: String,
    /// The id of the milestone the agent works on. Without one, only entries scoped to the project
    /// count.
    pub milestone: Option<String>,
    /// The names asked for; `None` for all.
    pub names: Option<Vec<String>>,
    /// The names that the workspace provides.
    pub provided: Vec<String>,
}

/// An [`AgentQuestion`] whose ids are parsed.
pub(super) struct ParsedQuestion {
    pub project: ProjectId,
    pub agent: AgentId,
    pub milestone: Option<MilestoneId>,
    pub names: Option<Vec<String>>,
    pub provided: Vec<String>,
    /// The names that the caller's token is narrowed to. A question without names asks for these.
    narrowed_to: Option<BTreeSet<String>>,
}

/// What decides which rows a question reads.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Lookup {
    pub project: ProjectId,
    pub milestone: Option<MilestoneId>,
    /// In order, each once; `None` for all.
    pub names: Option<Vec<String>>,
}

impl Lookup {
    /// The same for all names.
    pub(super) fn of_all_names(&self) -> Self {
        Self { project: self.project.clone(), milestone: self.milestone.clone(), names: None }
    }
}

impl ParsedQuestion {
    /// # Errors
    /// INVALID_INPUT for a text that is not a valid id.
    pub(super) fn parse(question: AgentQuestion) -> Result<Self> {
        Ok(Self {
            project: id(ProjectId::parse(question.project), &["input", "projectId"])?,
            agent: id(AgentId::parse(question.agent), &["input", "agentId"])?,
            milestone: match question.milestone {
                Some(milestone) => Some(id(MilestoneId::parse(milestone), &["input", "milestoneId"])?),
                None => None,
            },
            names: question.names,
            provided: question.provided,
            narrowed_to: None,
        })
    }

    /// Restricts the question to the narrowing of the caller's token.
    ///
    /// # Errors
    /// FORBIDDEN for a question about anything else, or one without the milestone that the token
    /// names.
    pub(super) fn narrow(&mut self, to: &Narrowing) -> Result<()> {
        let fits = to.project.as_ref().is_none_or(|project| *project == self.project)
            && to.agent.as_ref().is_none_or(|agent| *agent == self.agent)
            && to.milestone.as_ref().is_none_or(|milestone| self.milestone.as_ref() == Some(milestone))
            && match (&to.names, &self.names) {
                (Some(only), Some(names)) => names.iter().all(|name| only.contains(name)),
                (Some(_), None) | (None, _) => true,
            };
        self.narrowed_to.clone_from(&to.names);
        if fits { Ok(()) } else { Err(REFUSED) }
    }

    /// The same question for no names.
    pub(super) fn without_names(&self) -> Self {
        Self {
            project: self.project.clone(),
            agent: self.agent.clone(),
            milestone: self.milestone.clone(),
            names: Some(Vec::new()),
            provided: Vec::new(),
            narrowed_to: None,
        }
    }

    /// Checks the number of names. Called after the authorizer has allowed the question, and before
    /// any row is read.
    ///
    /// # Errors
    /// LIMIT_EXCEEDED for too many names.
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

    /// The event of an operation on this question.
    pub(super) fn event(&self, caller: &Caller, action: AuditAction, now: Timestamp) -> EventRow {
        EventRow {
            agent: Some(self.agent.as_str().to_owned()),
            ..caller.event(action, now).in_project(&self.project).on_milestone(self.milestone.as_ref())
        }
    }

    /// The questions that decide whether a runtime may resolve for the agent; all must be allowed.
    pub(super) fn for_runtime(&self, runtime: &RuntimeId) -> Vec<Question> {
        let mut questions = vec![Question::act_through(&self.agent, runtime)];
        questions.extend(self.about_agent());
        questions
    }

    /// The questions that decide whether the agent may receive the project's secrets, and those of
    /// the milestone if one is named.
    pub(super) fn about_agent(&self) -> Vec<Question> {
        let mut questions = vec![Question::resolve_in_project(&self.agent, &self.project)];
        questions.extend(self.milestone.as_ref().map(|id| Question::resolve_on_milestone(&self.agent, id)));
        questions
    }

    /// What to look up in the database.
    pub(super) fn lookup(&self) -> Lookup {
        let possible = |name: &&String| SecretName::has_form(name);
        let mut names: Option<Vec<String>> = match (&self.names, &self.narrowed_to) {
            (Some(names), _) => Some(names.iter().filter(possible).cloned().collect()),
            // The maximum length of a token bounds the names it is narrowed to.
            (None, Some(only)) => Some(only.iter().filter(possible).cloned().collect()),
            (None, None) => None,
        };
        if let Some(names) = &mut names {
            names.sort_unstable();
            names.dedup();
        }
        Lookup { project: self.project.clone(), milestone: self.milestone.clone(), names }
    }

    /// Decides the answer for each name by the rules of `product.md`, section 4, from the rows of
    /// the project and milestone. In a question without names, entries whose names must not reach a
    /// session are left out and listed separately.
    pub(super) fn answers<'a>(
        &self,
        found: &'a Candidates,
        reserved: &ReservedNames,
        now: Timestamp,
    ) -> (Vec<NameAnswer<&'a CandidateRow>>, Vec<LeftOut>) {
        let open = found.milestone.as_ref().is_some_and(|milestone| milestone.is_open(now));
        let candidates = found
            .entries
            .iter()
            .map(AsRef::as_ref)
            .filter(|row: &&CandidateRow| row.entry.milestone.is_none() || open)
            .map(|row| Candidate {
                name: &row.entry.name,
                status: status(&row.entry, now),
                of_milestone: row.entry.milestone.is_some(),
                entry: row,
            });
        let mut answers = answers(candidates, self.names.as_deref(), &self.provided);
        let mut left_out = Vec::new();
        if self.names.is_none() {
            let names = found.project.as_ref().map_or(EnvironmentNames::Suffixed, |project| project.environment_names);
            // A name that the workspace provides brings no value into the session.
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

/// The calling runtime and the narrowing of its token; `None` for any other principal.
pub(super) fn runtime(caller: &Caller) -> Option<(&RuntimeId, &Narrowing)> {
    match &caller.principal {
        Principal::Runtime(id, narrowing) => Some((id, narrowing)),
        Principal::User(_) | Principal::Service(_) => None,
    }
}
