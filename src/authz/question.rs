//! Questions to the authorizer, and its decisions.

use super::tuple::{NOWHERE, Object, VAULT};
use crate::domain::{AgentId, MilestoneId, Principal, ProjectId, RuntimeId};
use crate::permission::{Authorized, Held, Permission};

/// A question: does this subject hold this permission on this object?
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Question {
    pub(super) subject: String,
    pub(super) permission: Permission,
    pub(super) object: String,
    project: Option<ProjectId>,
}

pub(super) fn subject(principal: &Principal) -> String {
    match principal {
        Principal::User(id) => Object::user(id),
        Principal::Service(id) => Object::service(id),
        Principal::Runtime(id, _) => Object::runtime(id),
    }
}

impl Question {
    /// Whether a caller holds a permission on a project. Without a project it asks about the
    /// stand-in, so that the work is the same.
    #[must_use]
    pub fn on_project(principal: &Principal, permission: Permission, project: Option<&ProjectId>) -> Self {
        let object = project.map_or_else(|| NOWHERE.to_owned(), Object::project);
        Self { subject: subject(principal), permission, object, project: project.cloned() }
    }

    /// Whether the question is about the stand-in for missing projects.
    pub(super) fn is_of_nowhere(&self) -> bool {
        self.object == NOWHERE
    }

    /// Whether a caller holds a permission on the vault.
    #[must_use]
    pub fn on_vault(principal: &Principal, permission: Permission) -> Self {
        Self { subject: subject(principal), permission, object: VAULT.to_owned(), project: None }
    }

    /// Whether a runtime is allowed to act for an agent.
    #[must_use]
    pub fn act_through(agent: &AgentId, runtime: &RuntimeId) -> Self {
        Self {
            subject: Object::agent(agent),
            permission: Permission::CanActThrough,
            object: Object::runtime(runtime),
            project: None,
        }
    }

    /// Whether an agent is allowed to receive a project's secrets.
    #[must_use]
    pub fn resolve_in_project(agent: &AgentId, project: &ProjectId) -> Self {
        Self {
            subject: Object::agent(agent),
            permission: Permission::CanResolve,
            object: Object::project(project),
            project: None,
        }
    }

    /// Whether an agent is allowed to receive a milestone's secrets.
    #[must_use]
    pub fn resolve_on_milestone(agent: &AgentId, milestone: &MilestoneId) -> Self {
        Self {
            subject: Object::agent(agent),
            permission: Permission::CanResolve,
            object: Object::milestone(milestone),
            project: None,
        }
    }

    /// A question in the model's notation, for tests and probes. Its answer gives no [`Authorized`]
    /// on a project.
    #[must_use]
    pub fn of_relation(subject: &str, permission: Permission, object: &str) -> Self {
        Self { subject: subject.to_owned(), permission, object: object.to_owned(), project: None }
    }
}

/// The authorizer's answer to a [`Question`].
#[derive(Debug, Clone)]
pub struct Decision {
    question: Question,
    allowed: bool,
}

impl Decision {
    pub(super) const fn new(question: Question, allowed: bool) -> Self {
        Self { question, allowed }
    }

    /// Whether the authorizer allows it.
    #[must_use]
    pub const fn is_allowed(&self) -> bool {
        self.allowed
    }

    /// The proof, if the question was about `P` and is allowed; else `None`.
    #[must_use]
    pub fn authorize<P: Held>(&self) -> Option<Authorized<P>> {
        if !self.allowed || self.question.permission != P::PERMISSION {
            return None;
        }
        P::on(self.question.project.as_ref()).map(|on| Authorized { on })
    }
}
