//! Who may do what: the questions the vault asks the authorizer, and what follows from the answers for those who may not even
//! know that a thing exists.

use super::denials::{Denial, Named};
use super::{Caller, Vault};
use crate::authz::{Authorized, Decision, Permission, ProjectPermission, Question, VaultPermission};
use crate::domain::{AuditAction, EntryId, EnvironmentNames, Error, MilestoneId, ProjectId, ProjectStatus, Result};
use crate::store::Tx;
use crate::store::records::{EntryRow, EventRow, MilestoneRow, ProjectRow};
use std::collections::{HashMap, HashSet};

pub(super) const NO_SUCH_PROJECT: Error = Error::NotFound("There is no such project, or you may not see it.");
pub(super) const NO_SUCH_ENTRY: Error = Error::NotFound("There is no such entry, or you may not see it.");
pub(super) const NO_SUCH_MILESTONE: Error = Error::NotFound("There is no such milestone, or you may not see it.");
const NOT_YOUR_ROLE: Error =
    Error::Forbidden("Your role in this project does not allow this; ask an Accountable person.");
const NOT_THE_PLATFORM: Error = Error::Forbidden("Only the platform's service may do this.");

/// A project that has a vault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Project {
    /// Its id.
    pub id: ProjectId,
    /// The platform's state of it.
    pub status: ProjectStatus,
}

/// A project on which the caller holds a permission.
#[derive(Clone)]
pub struct Access {
    /// The project.
    pub project: Project,
    /// Which names reach its sessions.
    pub environment_names: EnvironmentNames,
    /// The authorizer's yes; gives the matching [`Authorized`].
    pub decision: Decision,
}

/// A project and a permission on it; no project stands for one that is not there.
pub type Ask = (Option<ProjectId>, Permission);

/// The id that is looked up where the caller named none that can be, so that the work is the same.
const NOWHERE: &str = "%nowhere";

/// What was asked, judged.
struct Judged {
    held: HashMap<Ask, Access>,
    /// The projects that exist, whether the caller may know or not.
    existing: HashSet<ProjectId>,
}

impl Vault {
    /// Which of these permissions the caller holds: one statement for the projects that exist, one batch for the authorizer.
    /// What is denied, and what is asked of a project that does not exist, is absent from the answer; both cost the same work,
    /// since the authorizer is asked about `project:%nowhere` then.
    ///
    /// # Errors
    /// UNAVAILABLE when the database or the authorizer cannot answer: nobody may do anything then.
    pub async fn decide(&self, caller: &Caller, asks: &[Ask]) -> Result<HashMap<Ask, Access>> {
        Ok(self.judge(caller, asks).await?.held)
    }

    async fn judge(&self, caller: &Caller, asks: &[Ask]) -> Result<Judged> {
        let named: HashSet<&ProjectId> = asks.iter().filter_map(|(project, _)| project.as_ref()).collect();
        let mut named: Vec<ProjectId> = named.into_iter().cloned().collect();
        if named.is_empty() {
            named.push(ProjectId::parse(NOWHERE).map_err(Error::internal)?);
        }
        let projects: HashMap<ProjectId, ProjectRow> = self
            .0
            .store
            .conn()
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
        let decisions = self.0.authorizer.decide(&questions).await?;
        let held = asks
            .iter()
            .zip(existing)
            .zip(decisions)
            .filter_map(|((ask, project), decision)| match project {
                Some(row) if decision.is_allowed() => {
                    let project = Project { id: row.id.clone(), status: row.status };
                    Some((ask.clone(), Access { project, environment_names: row.environment_names, decision }))
                }
                _ => None,
            })
            .collect();
        Ok(Judged { held, existing: projects.into_keys().collect() })
    }

    /// Asks for `P` on a project, for a change. Who may not is recorded under `event`: FORBIDDEN for who may see the project,
    /// NOT_FOUND for everybody else.
    pub(super) async fn permit<P: ProjectPermission>(
        &self,
        caller: &Caller,
        event: EventRow,
        project: &ProjectId,
    ) -> Result<Authorized<P>> {
        let named = Named::by(&event);
        self.permit_on::<P>(caller, event, named, Some(project), NO_SUCH_PROJECT, false).await
    }

    /// As [`Self::permit`], for an entry by its id. A DELETED entry does not exist for who may not administer.
    pub(super) async fn permit_entry<P: ProjectPermission>(
        &self,
        caller: &Caller,
        action: AuditAction,
        id: &str,
    ) -> Result<(Authorized<P>, EntryRow)> {
        let id = EntryId::parse(id);
        // What is no id is looked up as well.
        let row = self.0.store.conn().await?.entry_row(id.unwrap_or_else(EntryId::new)).await?;
        let named = Named { entry: id, ..Named::default() };
        let event = caller.event(action, self.now());
        let event = match &row {
            Some(row) => EventRow { entry_version: None, ..event.on_entry(row) },
            None => EventRow {
                project: Some(NOWHERE.to_owned()),
                entry: Some(id.unwrap_or_else(EntryId::new)),
                entry_name: Some(NOWHERE.to_owned()),
                ..event
            },
        };
        let deleted = row.as_ref().is_some_and(|row| row.deleted_at.is_some());
        let project = row.as_ref().map(|row| &row.project);
        let authorized = self.permit_on::<P>(caller, event, named, project, NO_SUCH_ENTRY, deleted).await?;
        row.map(|row| (authorized, row)).ok_or(NO_SUCH_ENTRY)
    }

    /// As [`Self::permit`], for a milestone by its id.
    pub(super) async fn permit_milestone<P: ProjectPermission>(
        &self,
        caller: &Caller,
        action: AuditAction,
        id: &str,
    ) -> Result<(Authorized<P>, MilestoneRow)> {
        let row = self.milestone_row(id).await?;
        let event = caller.event(action, self.now());
        let event = match &row {
            Some(row) => event.in_project(&row.project).on_milestone(Some(&row.id)),
            None => EventRow { project: Some(NOWHERE.to_owned()), milestone: Some(NOWHERE.to_owned()), ..event },
        };
        let milestone = MilestoneId::parse(id).ok().map(|id| id.as_str().to_owned());
        let named = Named { milestone, ..Named::default() };
        let project = row.as_ref().map(|row| &row.project);
        let authorized = self.permit_on::<P>(caller, event, named, project, NO_SUCH_MILESTONE, false).await?;
        row.map(|row| (authorized, row)).ok_or(NO_SUCH_MILESTONE)
    }

    pub(super) async fn milestone_row(&self, id: &str) -> Result<Option<MilestoneRow>> {
        match MilestoneId::parse(id) {
            Ok(id) => Ok(self.0.store.conn().await?.milestones_by_id(&[id]).await?.pop()),
            Err(_) => Ok(None),
        }
    }

    async fn permit_on<P: ProjectPermission>(
        &self,
        caller: &Caller,
        event: EventRow,
        named: Named,
        project: Option<&ProjectId>,
        not_found: Error,
        administrators_only: bool,
    ) -> Result<Authorized<P>> {
        let ask = |permission| (project.cloned(), permission);
        let asks = [ask(P::PERMISSION), ask(Permission::CanSee), ask(Permission::CanAdminister)];
        let Judged { held, existing } = self.judge(caller, &asks).await?;
        let sees = held.contains_key(&asks[1]);
        let hidden = administrators_only && !held.contains_key(&asks[2]);
        if project.is_none_or(|project| !existing.contains(project)) {
            return Err(self.deny_as_not_found(Denial { named, event, is_decoy: true }, not_found).await);
        }
        match held.get(&asks[0]).and_then(|access| access.decision.authorize::<P>()) {
            Some(authorized) if !hidden => Ok(authorized),
            _ if hidden || !sees => {
                Err(self.deny_as_not_found(Denial { named, event, is_decoy: false }, not_found).await)
            }
            _ => Err(self.deny(event, NOT_YOUR_ROLE).await),
        }
    }

    /// Asks again under the project's lock, so that what was taken away while this waited is not used any more; also whether the
    /// caller administers the project. Who may no longer is answered as if they had just come.
    pub(super) async fn hold<P: ProjectPermission>(
        &self,
        caller: &Caller,
        mut tx: Tx,
        event: EventRow,
        project: &ProjectId,
        not_found: Error,
    ) -> Result<(Tx, Authorized<P>, bool)> {
        let ask = |permission| Question::on_project(&caller.principal, permission, Some(project));
        let questions = [ask(P::PERMISSION), ask(Permission::CanAdminister)];
        let decisions = self.0.authorizer.decide_in(&mut tx, &questions).await?;
        let administers = decisions.get(1).is_some_and(Decision::is_allowed);
        if let Some(authorized) = decisions.first().and_then(Decision::authorize::<P>) {
            return Ok((tx, authorized, administers));
        }
        tx.rollback().await?;
        let named = Named::by(&event);
        let refused = self.permit_on::<P>(caller, event, named, Some(project), not_found, false).await;
        Err(refused.err().unwrap_or_else(|| Error::Conflict("Your role has just changed; try again.".to_owned())))
    }

    /// Asks for a permission on the vault as a whole, for what the platform's service alone may do. Nothing is looked up for
    /// anybody else.
    pub(super) async fn permit_service<P: VaultPermission>(
        &self,
        caller: &Caller,
        action: AuditAction,
    ) -> Result<Authorized<P>> {
        let question = Question::on_vault(&caller.principal, P::PERMISSION);
        let decision = self.0.authorizer.decide(&[question]).await?.pop();
        match decision.and_then(|decision| decision.authorize::<P>()) {
            Some(authorized) => Ok(authorized),
            None => Err(self.deny(caller.event(action, self.now()), NOT_THE_PLATFORM).await),
        }
    }
}
