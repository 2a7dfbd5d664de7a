//! RACI roles of people and teams. The tuples are the truth.

use super::Members;
use crate::authz::{Member, Tuple, TupleChange, TupleFilter};
use crate::domain::{AuditAction, Error, OrganizationId, ProjectId, Result, Role, UserId};
use crate::permission::{Authorized, CanManageMembers, CanSee};
use crate::vault::Caller;
use crate::vault::access::Needs;
use crate::vault::input::id;
use crate::vault::tuples::{OutboxPartition, Step};

/// Somebody and the role they hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleHolder {
    /// A person or a team.
    pub who: Member,
    /// The role.
    pub role: Role,
}

/// A role that a person is to have, or to lose.
#[derive(Debug, Clone)]
pub struct RoleChange {
    /// The project's id.
    pub project: String,
    /// The person or team.
    pub user: String,
    /// The role.
    pub role: Role,
}

impl Members {
    /// Gives a person a role. Giving it again changes nothing.
    ///
    /// # Errors
    /// By `product.md`, sections 2 and 7.
    pub async fn assign_role(&self, caller: &Caller, change: RoleChange) -> Result<RoleHolder> {
        self.change_role(caller, change, AuditAction::RoleAssigned).await
    }

    /// Takes a role from a person. Taking what is not held changes nothing.
    ///
    /// # Errors
    /// By `product.md`, sections 2 and 7; CONFLICT for the last Accountable person.
    pub async fn revoke_role(&self, caller: &Caller, change: RoleChange) -> Result<RoleHolder> {
        self.change_role(caller, change, AuditAction::RoleRevoked).await
    }

    async fn change_role(&self, caller: &Caller, change: RoleChange, action: AuditAction) -> Result<RoleHolder> {
        let project = id(ProjectId::parse(change.project), &["input", "projectId"])?;
        let role = change.role;
        let event = caller.event(action, self.now()).in_project(&project);
        let granted = self.access.authorize::<CanManageMembers>(caller, event.clone(), &project).await?;
        let user = id(UserId::parse(change.user), &["input", "userId"])?;
        let holder = RoleHolder { who: Member::User(user.clone()), role };
        let tuple = Tuple::role(&project, role, &user);

        let partition = OutboxPartition::Project(&project);
        let mut tx = granted.open(Needs::Tuples(&[partition])).await?.tx;
        let holders = self.tuples.read(&mut tx, &TupleFilter::role(&project, role)).await?;
        let revokes = action == AuditAction::RoleRevoked;
        let may_hold = holders.contains(&tuple) || revokes && tx.pending_writes().contains(&tuple);
        if may_hold != revokes {
            tx.commit().await?;
            return Ok(holder);
        }
        if revokes && role == Role::Accountable && holders.contains(&tuple) {
            let stays = |held: &&Tuple| {
                **held != tuple
                    && !tx.pending_deletes().contains(held)
                    && matches!(held.as_role(), Some((_, Member::User(_))))
            };
            if !holders.iter().any(|held| stays(&held)) {
                return Err(Error::Conflict(
                    "This is the project's last Accountable person; make somebody else Accountable first.".to_owned(),
                ));
            }
        }
        let tuples = vec![tuple];
        let change = if revokes {
            TupleChange { write: vec![], delete: tuples }
        } else {
            TupleChange { write: tuples, delete: vec![] }
        };
        let mut event = event.about(format_args!("user:{user}"));
        event.role = Some(role);
        self.tuples.commit_and_apply(tx, partition, &[event], &[Step::Change(change)]).await?;
        Ok(holder)
    }

    /// Everybody who holds a role, strongest first.
    ///
    /// # Errors
    /// UNAVAILABLE when the tuples cannot be read.
    pub async fn people(&self, by: &Authorized<CanManageMembers>) -> Result<Vec<RoleHolder>> {
        let mut conn = self.store.conn().await?;
        let tuples = self.tuples.read(&mut conn, &TupleFilter::of_project(by.project())).await?;
        let mut members: Vec<RoleHolder> =
            tuples.iter().filter_map(Tuple::as_role).map(|(role, who)| RoleHolder { who, role }).collect();
        members.sort_by_key(|member| {
            let strength = match member.role {
                Role::Accountable => 0,
                Role::Responsible => 1,
                Role::Consulted => 2,
                Role::Informed => 3,
            };
            let who = match &member.who {
                Member::User(id) => (0, id.as_str().to_owned()),
                Member::Team(id) => (1, id.as_str().to_owned()),
            };
            (strength, who)
        });
        Ok(members)
    }

    /// The organizations that take part, by id.
    ///
    /// # Errors
    /// UNAVAILABLE when the tuples cannot be read.
    pub async fn participants(&self, by: &Authorized<CanSee>) -> Result<Vec<OrganizationId>> {
        let mut conn = self.store.conn().await?;
        let tuples = self.tuples.read(&mut conn, &TupleFilter::participants(by.project())).await?;
        let mut organizations: Vec<OrganizationId> = tuples.iter().filter_map(Tuple::as_participant).collect();
        organizations.sort();
        Ok(organizations)
    }
}
