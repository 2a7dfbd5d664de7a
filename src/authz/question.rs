//! Questions to the authorizer, and its answers.

use super::tuple::{NOWHERE, Object, VAULT};
use crate::domain::{AgentId, MilestoneId, Principal, ProjectId, RuntimeId};
use crate::permission::{Authorized, Held, Permission};

/// A question to the authorizer: may this subject do this?
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Question {
    pub(super) subject: String,
    pub(super) permission: Permission,
    pub(super) object: String,
    project: Option<ProjectId>,
}

fn subject(principal: &Principal) -> String {
    match principal {
        Principal::User(id) => Object::user(id),
        Principal::Service(id) => Object::service(id),
        Principal::Runtime(id, _) => Object::runtime(id),
    }
}

impl Question {
    /// Whether a caller may do something in a project; about a stand-in where there is none, so
    /// that the work is the same.
    #[must_use]
    pub fn on_project(principal: &Principal, permission: Permission, project: Option<&ProjectId>) -> Self {
        let object = project.map_or_else(|| NOWHERE.to_owned(), Object::project);
        Self { subject: subject(principal), permission, object, project: project.cloned() }
    }

    /// Whether it is about the stand-in for a project that is not there.
    pub(super) fn is_of_nowhere(&self) -> bool {
        self.object == NOWHERE
    }

    /// Whether a caller may do something with the vault as a whole.
    #[must_use]
    pub fn on_vault(principal: &Principal, permission: Permission) -> Self {
        Self { subject: subject(principal), permission, object: VAULT.to_owned(), project: None }
    }

    /// Whether a runtime may act for an agent.
    #[must_use]
    pub fn act_through(agent: &AgentId, runtime: &RuntimeId) -> Self {
        Self {
            subject: Object::agent(agent),
            permission: Permission::CanActThrough,
            object: Object::runtime(runtime),
            project: None,
        }
    }

    /// Whether an agent may receive a project's secrets.
    #[must_use]
    pub fn resolve_in_project(agent: &AgentId, project: &ProjectId) -> Self {
        Self {
            subject: Object::agent(agent),
            permission: Permission::CanResolve,
            object: Object::project(project),
            project: None,
        }
    }

    /// Whether an agent may receive a milestone's secrets.
    #[must_use]
    pub fn resolve_on_milestone(agent: &AgentId, milestone: &MilestoneId) -> Self {
        Self {
            subject: Object::agent(agent),
            permission: Permission::CanResolve,
            object: Object::milestone(milestone),
            project: None,
        }
    }

    /// A question in the model's own words, which the corpus of cases asks. Its answer gives no
    /// [`Authorized`].
    #[must_use]
    pub fn of_relation(subject: &str, permission: Permission, object: &str) -> Self {
        Self { subject: subject.to_owned(), permission, object: object.to_owned(), project: None }
    }
}

/// The authorizer's answer.
#[derive(Debug, Clone)]
pub struct Decision {
    question: Question,
    allowed: bool,
}

impl Decision {
    pub(super) const fn new(question: Question, allowed: bool) -> Self {
        Self { question, allowed }
    }

    /// Whether it is a yes.
    #[must_use]
    pub const fn is_allowed(&self) -> bool {
        self.allowed
    }

    /// The proof of a yes to `P`; none for a no, and for a yes to anything else.
    #[must_use]
    pub fn authorize<P: Held>(&self) -> Option<Authorized<P>> {
        if !self.allowed || self.question.permission != P::PERMISSION {
            return None;
        }
        P::on(self.question.project.as_ref()).map(|on| Authorized { on })
    }
}
