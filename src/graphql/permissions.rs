//! The permission that a field needs: declared once, by type, for the field and for the look-ahead.

use super::loaders::{RequestContext, request};
use crate::domain::{Error, ProjectId, Result};
use crate::permission::{
    Authorized, CanAdminister, CanAudit, CanList, CanManageMembers, CanSee, CanViewAgents, CanViewMasked, CanWrite,
    Held as _, Permission, ProjectPermission,
};
use crate::vault::ProjectAccess;
use async_graphql::{Context, SelectionField};
use std::collections::BTreeSet;
use std::marker::PhantomData;

/// A field that shows something only to those who hold the permission `P` on the object's project.
pub(super) struct Guarded<P> {
    name: &'static str,
    permission: PhantomData<P>,
}

/// Declares the guarded fields, each with the one permission it needs besides the one to see its
/// object.
macro_rules! guarded {
    ($($constant:ident: $permission:ident = $of:ident.$name:literal),+ $(,)?) => {
        $(
            #[doc = concat!(stringify!($of), ".", $name)]
            pub(super) const $constant: Guarded<$permission> = Guarded { name: $name, permission: PhantomData };
        )+

        /// The guarded fields: name and permission.
        const FIELDS: &[(&str, Permission)] = &[$(($constant.name, $permission::PERMISSION)),+];

        #[cfg(test)]
        const COORDINATES: &[(&str, &str)] = &[$((stringify!($of), $name)),+];
    };
}

guarded! {
    ENTRIES: CanList = ProjectVault."entries",
    ENTRY: CanList = ProjectVault."entry",
    ENVIRONMENT_NAMES: CanSee = ProjectVault."environmentNames",
    PARTICIPANTS: CanSee = ProjectVault."participants",
    APPROVED_NAMES: CanList = ProjectVault."approvedNames",
    AGENTS: CanViewAgents = ProjectVault."agents",
    MEMBERS: CanManageMembers = ProjectVault."members",
    AUDIT_EVENTS: CanAudit = ProjectVault."auditEvents",
    MILESTONE_ENTRIES: CanList = Milestone."vaultEntries",
    MILESTONE_PHASE: CanList = Milestone."vaultPhase",
    MASKED_VALUE: CanViewMasked = VaultEntry."maskedValue",
    VERSIONS: CanViewMasked = VaultEntry."versions",
    LAST_RESOLVED_AT: CanViewMasked = VaultEntry."lastResolvedAt",
    RESOLVE_COUNT: CanViewMasked = VaultEntry."resolveCount",
    CERTIFICATE: CanList = VaultEntry."certificate",
    LEFT_OUT_OF_SESSIONS: CanList = VaultEntry."leftOutOfSessions",
    EXPOSURES: CanAdminister = VaultEntry."exposures",
    SUMMARY: CanList = ProjectVault."summary",
    SUMMARY_DELETED: CanAdminister = VaultSummary."deleted",
    SUMMARY_NEVER_USED: CanViewMasked = VaultSummary."neverUsed",
    CAN_LIST: CanList = VaultViewer."canList",
    CAN_VIEW_MASKED: CanViewMasked = VaultViewer."canViewMasked",
    CAN_WRITE: CanWrite = VaultViewer."canWrite",
    CAN_ADMINISTER: CanAdminister = VaultViewer."canAdminister",
    CAN_AUDIT: CanAudit = VaultViewer."canAudit",
}

/// The permissions that tell the strongest role, strongest first.
pub(super) const STRENGTHS: [Permission; 4] =
    [Permission::CanAdminister, Permission::CanWrite, Permission::CanViewMasked, Permission::CanList];

/// Every permission that the selection below a field will ask for on the field's project, so that
/// all are asked in one batch. Asking for one too many costs a question, asking for one too few a
/// batch.
pub(super) fn selected(ctx: &Context<'_>) -> BTreeSet<Permission> {
    let mut permissions = BTreeSet::new();
    collect(&ctx.field(), &mut permissions);
    permissions
}

fn collect(field: &SelectionField<'_>, permissions: &mut BTreeSet<Permission>) {
    for child in field.selection_set() {
        let name = child.name();
        permissions.extend(FIELDS.iter().filter(|(field, _)| *field == name).map(|(_, permission)| *permission));
        if name == "role" && field.name() == "viewer" {
            permissions.extend(STRENGTHS);
        }
        collect(&child, permissions);
    }
}

pub(super) const NOT_FOR_YOUR_ROLE: Error =
    Error::Forbidden("Your role in this project does not show this; ask an Accountable person.");

/// What the viewer is granted to read a guarded field.
pub(super) struct FieldGrant<P: ProjectPermission> {
    /// The project, as it was when the permission was decided.
    pub access: ProjectAccess,
    /// The proof of the permission.
    pub by: Authorized<P>,
}

impl<P: ProjectPermission> FieldGrant<P> {
    fn of(access: ProjectAccess, project: &ProjectId) -> Result<Self> {
        let by = access.decision.authorize().filter(|by: &Authorized<P>| by.project() == project);
        let by = by.ok_or_else(|| Error::internal("a field was about to be shown under another permission"))?;
        Ok(Self { access, by })
    }
}

/// Asks for the permission that a guarded field of an object in this project needs.
///
/// # Errors
/// FORBIDDEN without it.
pub(super) async fn granted<P: ProjectPermission>(
    ctx: &Context<'_>,
    project: &ProjectId,
    _: &Guarded<P>,
) -> Result<FieldGrant<P>> {
    FieldGrant::of(request(ctx)?.may(project, P::PERMISSION).await?.ok_or(NOT_FOR_YOUR_ROLE)?, project)
}

/// The answer to a viewer who selects a guarded field.
pub(super) enum Sight<P: ProjectPermission> {
    /// They hold its permission.
    Granted(FieldGrant<P>),
    /// They see the project, but not this.
    Forbidden,
    /// The project does not exist for them.
    Hidden,
}

/// Asks for a guarded field's permission and, if it is denied, whether the project exists for the
/// viewer at all.
///
/// # Errors
/// When the authorizer or the database cannot be asked.
pub(super) async fn sight<P: ProjectPermission>(
    request: &RequestContext,
    project: Option<&ProjectId>,
    _: &Guarded<P>,
) -> Result<Sight<P>> {
    let Some((_, mut held)) = request.seen(project, BTreeSet::from([P::PERMISSION])).await? else {
        return Ok(Sight::Hidden);
    };
    Ok(match (held.remove(&(project.cloned(), P::PERMISSION)), project) {
        (Some(access), Some(project)) => Sight::Granted(FieldGrant::of(access, project)?),
        (None, _) => Sight::Forbidden,
        (Some(_), None) => Sight::Hidden,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A coordinate that is misspelled would cost a question, and one without its `Requires` a
    /// reader.
    #[test]
    fn every_guarded_field_is_in_the_schema() {
        let sdl = crate::graphql::sdl();
        for (of, name) in COORDINATES {
            let start = sdl.find(&format!("type {of} ")).unwrap();
            let body = &sdl[start..start + sdl[start..].find("\n}").unwrap()];
            let field = |end: &str| body.contains(&format!("\t{name}{end}"));
            assert!(field(":") || field("("), "{of}.{name} is not in the schema");
        }
        assert_eq!(COORDINATES.len(), FIELDS.len());
    }
}
