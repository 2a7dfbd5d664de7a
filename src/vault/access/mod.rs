//! Access: asking the authorizer for a permission, and what a denial looks like.
//!
//! A caller with permission to see a project, but not to make the change, gets FORBIDDEN. A caller
//! without permission to see it gets NOT_FOUND, the same answer after the same work as for a
//! project that does not exist. Only this folder chooses between the two.
//!
//! A change is authorized twice: before its transaction begins ([`Access::authorize`]), so that a
//! denial holds no lock; and again under the project's lock (`Granted::open`, which gives a
//! [`ProjectTx`]), so that a permission revoked meanwhile is not used. [`Access::decide`] answers
//! for reads.

mod authorize;
mod project_tx;

pub(super) use project_tx::{Needs, ProjectTx};

use super::Caller;
use super::audit::Audit;
use super::keys::Installation;
use super::tuples::Tuples;
use crate::authz::{Authorizer, Decision, HeldProjects, Question};
use crate::domain::{EnvironmentNames, Error, ProjectId, ProjectStatus, Result};
use crate::permission::Permission;
use crate::store::Generation;
use crate::store::Store;
use crate::store::records::ProjectRow;
use std::collections::{HashMap, HashSet};

pub(super) const NO_SUCH_PROJECT: Error = Error::NotFound(authorize::NO_SUCH_PROJECT);
pub(super) const NO_SUCH_ENTRY: Error = Error::NotFound(authorize::NO_SUCH_ENTRY);
pub(super) const NO_SUCH_MILESTONE: Error = Error::NotFound(authorize::NO_SUCH_MILESTONE);

/// A project that has a vault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Project {
    /// Its id.
    pub id: ProjectId,
    /// Its status, which the platform sets.
    pub status: ProjectStatus,
}

/// A project on which the caller holds a permission.
#[derive(Clone)]
pub struct ProjectAccess {
    /// The project.
    pub project: Project,
    /// Rule for which entry names agents' sessions receive.
    pub environment_names: EnvironmentNames,
    /// The generation of its rows.
    pub generation: Generation,
    /// The authorizer's decision, which allows; it gives the proof,
    /// [`Authorized`](crate::permission::Authorized).
    pub decision: Decision,
}

/// A permission on a project, as a question; `None` stands for a project that does not exist.
pub type PermissionOn = (Option<ProjectId>, Permission);

/// The project id to look up when the caller's id is not valid, so that the work is the same.
const NOWHERE: &str = "%nowhere";

/// The answers to several questions about permissions.
struct Decided {
    held: HashMap<PermissionOn, ProjectAccess>,
    /// The projects that exist, whether or not the caller may know.
    existing: HashSet<ProjectId>,
}

/// Authorizes callers, and begins the transactions of authorized changes. Cheap to clone.
#[derive(Clone)]
pub struct Access {
    store: Store,
    installation: Installation,
    authorizer: Authorizer,
    audit: Audit,
    tuples: Tuples,
}

impl Access {
    pub(super) fn new(installation: Installation, authorizer: Authorizer, audit: Audit, tuples: Tuples) -> Self {
        Self { store: installation.store().clone(), installation, authorizer, audit, tuples }
    }

    /// Gives those of these permissions that the caller holds. Runs one SQL statement to find the
    /// projects, and asks the authorizer in one batch. Permissions that are denied, or asked on a
    /// project that does not exist, are absent from the answer. Both cost the same work: for a
    /// missing project, the authorizer is asked about `project:%nowhere`.
    ///
    /// # Errors
    /// UNAVAILABLE when the database or the authorizer cannot answer; the caller must not go on
    /// then.
    pub async fn decide(&self, caller: &Caller, asks: &[PermissionOn]) -> Result<HashMap<PermissionOn, ProjectAccess>> {
        Ok(self.check(caller, asks).await?.held)
    }

    /// The projects that the caller may see, by id. Asks the authorizer once, and runs one SQL
    /// statement.
    ///
    /// # Errors
    /// LIMIT_EXCEEDED when there are more than 1,000; UNAVAILABLE when the database or the authorizer
    /// cannot answer.
    pub async fn visible_projects(&self, caller: &Caller) -> Result<Vec<Project>> {
        let held = match self.authorizer.projects(&caller.principal, Permission::CanSee).await? {
            HeldProjects::All(held) => held,
            HeldProjects::TooMany => {
                return Err(Error::limit(&[], "You may see more than 1,000 projects; open one by its id.".to_owned()));
            }
        };
        let rows = self.store.conn().await?.projects_by_id(&held).await?;
        let mut projects: Vec<_> = rows.into_iter().map(|row| Project { id: row.id, status: row.status }).collect();
        projects.sort_unstable_by(|one, other| one.id.cmp(&other.id));
        Ok(projects)
    }

    async fn check(&self, caller: &Caller, asks: &[PermissionOn]) -> Result<Decided> {
        let named: HashSet<&ProjectId> = asks.iter().filter_map(|(project, _)| project.as_ref()).collect();
        let mut named: Vec<ProjectId> = named.into_iter().cloned().collect();
        if named.is_empty() {
            named.push(ProjectId::parse(NOWHERE).map_err(Error::internal)?);
        }
        let projects: HashMap<ProjectId, ProjectRow> = self
            .store
            .reader()
            .await?
            .projects_by_id(&named)
            .await?
            .into_iter()
            .map(|row| (row.id.clone(), row))
            .collect();
        let existing: Vec<Option<&ProjectRow>> =
            asks.iter().map(|(project, _)| project.as_ref().and_then(|id| projects.get(id))).collect();
        let questions: Vec<Question> = asks
            .iter()
            .zip(&existing)
            .map(|((_, permission), project)| {
                Question::on_project(&caller.principal, *permission, project.map(|project| &project.id))
            })
            .collect();
        let decisions = self.authorizer.decide(&questions).await?;
        let held = asks
            .iter()
            .zip(existing)
            .zip(decisions)
            .filter_map(|((ask, project), decision)| match project {
                Some(row) if decision.is_allowed() => {
                    let project = Project { id: row.id.clone(), status: row.status };
                    let ProjectRow { environment_names, generation, .. } = *row;
                    Some((ask.clone(), ProjectAccess { project, environment_names, generation, decision }))
                }
                _ => None,
            })
            .collect();
        Ok(Decided { held, existing: projects.into_keys().collect() })
    }
}
