//! Permissions as types: what was asked, what was answered, and the proof of a yes.

use super::tuple::{NOWHERE, Object, VAULT};
use crate::domain::{AgentId, MilestoneId, Principal, ProjectId, RuntimeId};

/// A relation that code asks for; `can_*` in the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Permission {
    /// Whether the project exists at all for somebody.
    CanSee,
    /// To list entries.
    CanList,
    /// To see masked values, versions and use.
    CanViewMasked,
    /// To change entries.
    CanWrite,
    /// To ask what an agent would receive.
    CanPreview,
    /// To see which agents are on the project.
    CanViewAgents,
    /// To delete, restore and erase entries, and to see deleted ones.
    CanAdminister,
    /// To put agents on the project.
    CanManageAgents,
    /// To end a milestone's phase.
    CanCloseMilestones,
    /// To see and change who holds which role.
    CanManageMembers,
    /// To read the project's audit events.
    CanAudit,
    /// To register, change and delete projects: of the whole vault.
    CanManageProjects,
    /// To read every audit event: of the whole vault.
    CanAuditVault,
    /// An agent may receive a project's or a milestone's secrets.
    CanResolve,
    /// An agent may be acted for by a runtime.
    CanActThrough,
}

impl Permission {
    /// The relation's name in the model.
    #[must_use]
    pub const fn relation(self) -> &'static str {
        match self {
            Self::CanSee => "can_see",
            Self::CanList => "can_list",
            Self::CanViewMasked => "can_view_masked",
            Self::CanWrite => "can_write",
            Self::CanPreview => "can_preview",
            Self::CanViewAgents => "can_view_agents",
            Self::CanAdminister => "can_administer",
            Self::CanManageAgents => "can_manage_agents",
            Self::CanCloseMilestones => "can_close_milestones",
            Self::CanManageMembers => "can_manage_members",
            Self::CanAudit | Self::CanAuditVault => "can_audit",
            Self::CanManageProjects => "can_manage_projects",
            Self::CanResolve => "can_resolve",
            Self::CanActThrough => "can_act_through",
        }
    }
}

/// A permission as a type, with what it is held on.
pub trait Held: Send + Sync + 'static {
    /// The permission.
    const PERMISSION: Permission;
    /// What it is held on: a project, or the vault as a whole.
    type On: Clone + Send + Sync;

    #[doc(hidden)]
    fn on(question: &Question) -> Option<Self::On>;
}

/// A permission on a project.
pub trait ProjectPermission: Held<On = ProjectId> {}
/// A permission on the vault as a whole.
pub trait VaultPermission: Held<On = ()> {}
/// A permission whose holder may change entries.
pub trait ChangesEntries: ProjectPermission {}

macro_rules! permissions {
    ($($kind:ident: $($(#[$meta:meta])* $name:ident),+;)+) => {$($(
        $(#[$meta])*
        #[derive(Debug, Clone, Copy)]
        pub enum $name {}
        permissions!(@impl $kind $name);
    )+)+};
    (@impl project $name:ident) => {
        impl Held for $name {
            const PERMISSION: Permission = Permission::$name;
            type On = ProjectId;
            fn on(question: &Question) -> Option<ProjectId> {
                question.project.clone()
            }
        }
        impl ProjectPermission for $name {}
    };
    (@impl vault $name:ident) => {
        impl Held for $name {
            const PERMISSION: Permission = Permission::$name;
            type On = ();
            fn on(_: &Question) -> Option<()> {
                Some(())
            }
        }
        impl VaultPermission for $name {}
    };
}

permissions! {
    project:
    /// As [`Permission::CanSee`].
    CanSee,
    /// As [`Permission::CanList`].
    CanList,
    /// As [`Permission::CanViewMasked`].
    CanViewMasked,
    /// As [`Permission::CanWrite`].
    CanWrite,
    /// As [`Permission::CanPreview`].
    CanPreview,
    /// As [`Permission::CanViewAgents`].
    CanViewAgents,
    /// As [`Permission::CanAdminister`].
    CanAdminister,
    /// As [`Permission::CanManageAgents`].
    CanManageAgents,
    /// As [`Permission::CanCloseMilestones`].
    CanCloseMilestones,
    /// As [`Permission::CanManageMembers`].
    CanManageMembers,
    /// As [`Permission::CanAudit`].
    CanAudit;
    vault:
    /// As [`Permission::CanManageProjects`].
    CanManageProjects,
    /// As [`Permission::CanAuditVault`].
    CanAuditVault;
}
impl ChangesEntries for CanWrite {}
impl ChangesEntries for CanAdminister {}

/// The proof that the authorizer said yes. Nothing outside this module makes one.
pub struct Authorized<P: Held> {
    on: P::On,
}

impl<P: Held> Clone for Authorized<P> {
    fn clone(&self) -> Self {
        Self { on: self.on.clone() }
    }
}

impl<P: ProjectPermission> Authorized<P> {
    /// The project it holds for.
    #[must_use]
    pub const fn project(&self) -> &ProjectId {
        &self.on
    }
}

/// What the authorizer is asked: may this subject do this?
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
    /// Whether a caller may do something in a project; about a stand-in where there is none, so that the work is the same.
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

    /// A question in the model's own words, which the corpus of cases asks. Its answer gives no [`Authorized`].
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
        P::on(&self.question).map(|on| Authorized { on })
    }
}
