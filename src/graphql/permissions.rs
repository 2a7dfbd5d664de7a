//! Which permission a field needs. The one table of it; the tests hold it against the schema.

use super::loaders::{Asked, Session};
use crate::domain::{Error, ProjectId};
use crate::permission::Permission;
use crate::vault::ProjectAccess;
use async_graphql::{Context, SelectionField};
use std::collections::BTreeSet;

/// Fields that need a permission on their project besides the one to see their object: type, field, permission.
pub const FIELDS: &[(&str, &str, Permission)] = &[
    ("ProjectVault", "entries", Permission::CanList),
    ("ProjectVault", "entry", Permission::CanList),
    ("ProjectVault", "approvedNames", Permission::CanList),
    ("ProjectVault", "agents", Permission::CanViewAgents),
    ("ProjectVault", "members", Permission::CanManageMembers),
    ("ProjectVault", "auditEvents", Permission::CanAudit),
    ("Milestone", "vaultEntries", Permission::CanList),
    ("Milestone", "vaultPhase", Permission::CanList),
    ("VaultEntry", "maskedValue", Permission::CanViewMasked),
    ("VaultEntry", "versions", Permission::CanViewMasked),
    ("VaultEntry", "lastResolvedAt", Permission::CanViewMasked),
    ("VaultEntry", "resolveCount", Permission::CanViewMasked),
    ("VaultEntry", "certificate", Permission::CanList),
    ("VaultEntry", "leftOutOfSessions", Permission::CanList),
    ("VaultEntry", "exposures", Permission::CanAdminister),
    ("VaultViewer", "canList", Permission::CanList),
    ("VaultViewer", "canViewMasked", Permission::CanViewMasked),
    ("VaultViewer", "canWrite", Permission::CanWrite),
    ("VaultViewer", "canAdminister", Permission::CanAdminister),
    ("VaultViewer", "canAudit", Permission::CanAudit),
];

/// The permissions that tell the strongest role, strongest first.
pub(super) const STRENGTHS: [Permission; 4] =
    [Permission::CanAdminister, Permission::CanWrite, Permission::CanViewMasked, Permission::CanList];

/// The permission a field needs; the tests hold every field of the schema against the table.
pub(super) fn of_field(of: &str, field: &str) -> Option<Permission> {
    FIELDS.iter().find(|(kind, name, _)| *kind == of && *name == field).map(|(_, _, permission)| *permission)
}

/// Every permission that the selection below a field will ask for on the field's project, so that all are asked in one batch.
/// Asking for one too many costs a question, asking for one too few a batch.
pub(super) fn selected(ctx: &Context<'_>) -> BTreeSet<Permission> {
    let mut permissions = BTreeSet::new();
    collect(&ctx.field(), &mut permissions);
    permissions
}

fn collect(field: &SelectionField<'_>, permissions: &mut BTreeSet<Permission>) {
    for child in field.selection_set() {
        let name = child.name();
        permissions.extend(FIELDS.iter().filter(|(_, field, _)| *field == name).map(|(_, _, permission)| *permission));
        if name == "role" && field.name() == "viewer" {
            permissions.extend(STRENGTHS);
        }
        collect(&child, permissions);
    }
}

/// What a viewer is told about a field.
pub(super) enum Sight {
    /// They hold its permission.
    Granted(ProjectAccess),
    /// They see the project, but not this.
    Forbidden,
    /// The project does not exist for them.
    Hidden,
}

pub(super) const NOT_FOR_YOUR_ROLE: Error =
    Error::Forbidden("Your role in this project does not show this; ask an Accountable person.");

/// Asks for a field's permission, and whether the project exists for the viewer at all.
pub(super) async fn sight(
    session: &Session,
    project: Option<&ProjectId>,
    permission: Permission,
) -> Result<Sight, Error> {
    let asked = |permission| -> Asked { (project.cloned(), permission) };
    let keys = [asked(permission), asked(Permission::CanSee)];
    let mut answers = session.access(keys.clone()).await?;
    Ok(match (answers.remove(&keys[0]), answers.remove(&keys[1])) {
        (Some(access), _) => Sight::Granted(access),
        (None, Some(_)) => Sight::Forbidden,
        (None, None) => Sight::Hidden,
    })
}
