//! Permissions as types, and proofs that the authorizer allowed one. The store takes a proof for
//! every write of an entry, so a missing or wrong check does not compile.
//!
//! The field of an [`Authorized`] is private to this module and its children. Of these, only
//! [`authz`] makes one, in `Decision::authorize`. An [`Operator`] needs no permission of the model.

// A child of this module, since only children can use its private fields.
#[path = "../authz/mod.rs"]
pub mod authz;
mod operator;

pub use operator::{Operator, Rekeying};

use crate::domain::ProjectId;

/// A permission that code asks the authorizer for: a relation `can_*` of the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Permission {
    /// To see that the project exists. Every other permission on a project, except an agent's,
    /// includes it.
    CanSee,
    /// To list entries.
    CanList,
    /// To see masked values, versions and usage.
    CanViewMasked,
    /// To change entries.
    CanWrite,
    /// To preview what an agent would receive.
    CanPreview,
    /// To see the agents assigned to the project.
    CanViewAgents,
    /// To delete, restore and erase entries, and to see deleted ones.
    CanAdminister,
    /// To assign agents to the project.
    CanManageAgents,
    /// To end a milestone's phase.
    CanCloseMilestones,
    /// To see and change the roles of people.
    CanManageMembers,
    /// To read the project's audit events.
    CanAudit,
    /// To register, change and delete projects; a permission on the vault.
    CanManageProjects,
    /// To read all audit events; a permission on the vault.
    CanAuditVault,
    /// An agent's: to receive a project's or a milestone's secrets.
    CanResolve,
    /// An agent's: to be served by a runtime, which acts for it.
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

/// A permission as a type, with the type of object it is held on.
pub trait Held: Send + Sync + 'static {
    /// The permission.
    const PERMISSION: Permission;
    /// The object it is held on: a project's id, or `()` for the vault.
    type On: Clone + Send + Sync;

    /// The object of an allowed question about this project; `None` if the permission needs a
    /// project and the question names none.
    #[doc(hidden)]
    fn on(project: Option<&ProjectId>) -> Option<Self::On>;
}

/// A permission on a project.
pub trait ProjectPermission: Held<On = ProjectId> {}
/// A permission on the vault.
pub trait VaultPermission: Held<On = ()> {}
/// A permission that allows changes of entries.
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
            fn on(project: Option<&ProjectId>) -> Option<ProjectId> {
                project.cloned()
            }
        }
        impl ProjectPermission for $name {}
    };
    (@impl vault $name:ident) => {
        impl Held for $name {
            const PERMISSION: Permission = Permission::$name;
            type On = ();
            fn on(project: Option<&ProjectId>) -> Option<()> {
                // An answer about a project says nothing of the vault, even where the relation is
                // the same.
                project.is_none().then_some(())
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

/// The proof that the authorizer allowed `P`. Only [`authz::Decision`] makes one.
pub struct Authorized<P: Held> {
    on: P::On,
}

impl<P: Held> Clone for Authorized<P> {
    fn clone(&self) -> Self {
        Self { on: self.on.clone() }
    }
}

impl<P: ProjectPermission> Authorized<P> {
    /// The project on which the permission is held.
    #[must_use]
    pub const fn project(&self) -> &ProjectId {
        &self.on
    }
}
