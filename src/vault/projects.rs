//! The life of a project's vault: registered, given a status and participants, deleted.

use super::Caller;
use super::access::{Access, NO_SUCH_PROJECT, Project};
use super::audit::{Audit, ErasedKey, ErasureReceipt, epoch_seconds};
use super::cursor::{List, Page, page_size};
use super::input::{at_least_one_id, id};
use super::keys::Installation;
use super::tuples::{OutboxPartition, QueuedTx, Step, Tuples};
use super::wal::Wal;
use crate::authz::{Object, Tuple, TupleChange, TupleFilter};
use crate::crypto::Statement;
use crate::domain::{
    AgentId, AuditAction, Error, OrganizationId, Principal, ProjectId, ProjectStatus, Result, Role, Timestamp, UserId,
};
use crate::permission::CanManageProjects;
use crate::store::records::DataKeyRow;
use std::collections::HashSet;

/// A project to register.
#[derive(Debug, Clone)]
pub struct NewProject {
    /// Its id.
    pub project: String,
    /// The organizations that take part, at least one.
    pub participants: Vec<String>,
    /// The people who are Accountable, at least one.
    pub accountable: Vec<String>,
    /// Its status.
    pub status: ProjectStatus,
}

/// The number of things erased with a project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Erased {
    /// The project's id.
    pub project: ProjectId,
    /// Number of entries, deleted ones included.
    pub entries: i64,
    /// Number of versions.
    pub versions: i64,
    /// The signed receipt: of this deletion, or of the one that was before; none where there was
    /// nothing to delete.
    pub receipt: Option<String>,
}

/// Registers and deletes projects, and sets their status and participants. Cheap to clone.
#[derive(Clone)]
pub struct Projects {
    installation: Installation,
    access: Access,
    audit: Audit,
    tuples: Tuples,
    wal: Wal,
}

impl Projects {
    pub(super) fn new(installation: Installation, access: Access, audit: Audit, tuples: Tuples, wal: Wal) -> Self {
        Self { installation, access, audit, tuples, wal }
    }

    fn now(&self) -> Timestamp {
        self.installation.now()
    }

    /// The projects that a person may see, by id, and their number. Asks the authorizer for all of
    /// them at once.
    ///
    /// # Errors
    /// FORBIDDEN for a caller that is no person; INVALID_INPUT for a page size out of bounds, or a
    /// cursor of another list; LIMIT_EXCEEDED when there are more than 1,000; UNAVAILABLE when the
    /// authorizer or the database does not answer.
    pub async fn visible(
        &self,
        caller: &Caller,
        first: Option<i32>,
        after: Option<&str>,
    ) -> Result<(Page<Project>, usize)> {
        if !matches!(caller.principal, Principal::User(_)) {
            return Err(Error::Forbidden("Only a person may list the projects they may open."));
        }
        let size = page_size(first)?;
        let list = List::of(&("projects", &caller.principal));
        let after = list.key::<String>(after)?;
        let projects = self.access.visible_projects(caller).await?;
        let count = projects.len();
        let limit = usize::try_from(size + 1).unwrap_or(usize::MAX);
        let is_after = |project: &Project| after.as_deref().is_none_or(|after| project.id.as_str() > after);
        let found = projects.into_iter().filter(is_after).take(limit).collect();
        let page = list.page(found, size, after.is_some(), |project: &Project| project.id.as_str().to_owned())?;
        Ok((page, count))
    }

    /// Gives a project its vault.
    ///
    /// # Errors
    /// By `product.md`, sections 2 and 7; CONFLICT for an id that is or was registered.
    pub async fn register(&self, caller: &Caller, new: NewProject) -> Result<Project> {
        let action = AuditAction::ProjectRegistered;
        self.access.authorize_service::<CanManageProjects>(caller, action).await?;
        let project = id(ProjectId::parse(new.project), &["input", "projectId"])?;
        let participants = at_least_one_id(new.participants, OrganizationId::parse, &["input", "participantIds"])?;
        let accountable = at_least_one_id(new.accountable, UserId::parse, &["input", "accountableUserIds"])?;
        // Before the transaction: the provider of the master keys may be slow.
        let data_key = self.installation.make_data_key(&project).await?;

        let partition = OutboxPartition::Project(&project);
        let mut tx = self.tuples.begin_change(partition).await?;
        if tx.tombstone(&project).await?.is_some() {
            return Err(Error::Conflict("A project of this id was deleted; an id is never used twice.".to_owned()));
        }
        if tx.lock_project(&project).await?.is_some() {
            return Err(Error::Conflict("A project of this id is registered already.".to_owned()));
        }
        let now = self.now();
        self.installation.add_project(&mut tx, &project, new.status, now).await?;
        self.installation.add_data_key(&mut tx, data_key).await?;
        let mut write = vec![Tuple::vault_of(&project)];
        write.extend(participants.iter().map(|organization| Tuple::participant(&project, organization)));
        write.extend(accountable.iter().map(|user| Tuple::role(&project, Role::Accountable, user)));
        let event = caller.event(action, now).in_project(&project);
        self.tuples
            .commit_and_apply(tx, partition, &[event], &[Step::Change(TupleChange { write, delete: vec![] })])
            .await?;
        Ok(Project { id: project, status: new.status })
    }

    /// Sets a project's status. The same again changes nothing.
    ///
    /// # Errors
    /// By `product.md`, sections 2 and 7.
    pub async fn set_status(&self, caller: &Caller, project: String, status: ProjectStatus) -> Result<Project> {
        let action = AuditAction::ProjectStatusChanged;
        self.access.authorize_service::<CanManageProjects>(caller, action).await?;
        let project = id(ProjectId::parse(project), &["input", "projectId"])?;
        let mut tx = self.tuples.begin_without_tuples(&project).await?;
        tx.lock_project(&project).await?.ok_or(NO_SUCH_PROJECT)?;
        let mut open = self.installation.open_project(&mut tx, &project).await?;
        if open.status() != status {
            open.set_status(status);
            open.save(&mut tx).await?;
            self.audit.append(&mut tx, &[caller.event(action, self.now()).in_project(&project)]).await?;
            tx.commit().await?;
        }
        Ok(Project { id: project, status })
    }

    /// Erases a project's vault with every entry, version and key. A project that is not there has
    /// nothing to erase.
    ///
    /// # Errors
    /// By `product.md`, sections 2 and 7.
    pub async fn delete(&self, caller: &Caller, project: String) -> Result<Erased> {
        let action = AuditAction::ProjectDeleted;
        self.access.authorize_service::<CanManageProjects>(caller, action).await?;
        let project = id(ProjectId::parse(project), &["projectId"])?;
        let partition = OutboxPartition::Project(&project);
        let signing = self.installation.signing_key().await?;
        // Opened now, so that the transaction finds them in memory.
        self.installation.open_project_keys(&project).await?;
        let mut tx = self.tuples.begin_change(partition).await?;
        if tx.lock_project(&project).await?.is_none() {
            let receipt = tx.tombstone(&project).await?.flatten();
            tx.commit().await?;
            return Ok(Erased { project, entries: 0, versions: 0, receipt });
        }
        let data_keys = self.erased_keys(&project, tx.data_keys_of(&project).await?).await;
        let mut steps: Vec<Step> = tx
            .milestones_of(std::slice::from_ref(&project))
            .await?
            .into_iter()
            .map(|row| Step::Erase { object: Object::milestone(&row.id), last: None })
            .collect();
        steps.push(Step::Erase { object: Object::project(&project), last: Some(Tuple::vault_of(&project)) });
        let entries = tx.entry_ids_of_project(&project).await?;
        let erased = tx.erase_entries(&entries).await?;
        tx.erase_project(&project).await?;
        let now = self.now();
        let event = caller.event(action, now).in_project(&project);
        let receipt = ErasureReceipt {
            iat: epoch_seconds(now),
            sub: event.actor.clone(),
            project: project.as_str().to_owned(),
            event: event.id.to_string(),
            entries: erased.entries,
            versions: erased.versions,
            data_keys,
        };
        let receipt = signing.sign(Statement::ErasureReceipt, &receipt).map_err(Error::internal)?;
        tx.insert_tombstone(&project, &receipt, now).await?;
        let finished = self.tuples.commit_and_apply(tx, partition, &[event], &steps).await;
        self.installation.forget_keys_of(&project).await;
        self.wal.truncate().await;
        finished?;
        Ok(Erased { project, entries: erased.entries, versions: erased.versions, receipt: Some(receipt) })
    }

    /// The fingerprints of data keys for a receipt. A data key that no master key opens any more is
    /// erased like the others.
    async fn erased_keys(&self, project: &ProjectId, rows: Vec<DataKeyRow>) -> Vec<ErasedKey> {
        let mut erased = Vec::with_capacity(rows.len());
        for row in rows {
            let key = self.installation.open_key(project, &row).await.ok();
            erased.push(ErasedKey {
                fingerprint: key.and_then(|key| key.fingerprint().ok()),
                id: row.id.to_string(),
                master_key: row.master_key,
            });
        }
        erased
    }

    /// Adds an organization to a project. Doing it again changes nothing.
    ///
    /// # Errors
    /// By `product.md`, sections 2 and 7.
    pub async fn add_participant(&self, caller: &Caller, project: String, organization: String) -> Result<Project> {
        self.change_participant(caller, project, organization, AuditAction::ParticipantAdded).await
    }

    /// Removes an organization, and the assignments of its agents. Doing it again changes
    /// nothing.
    ///
    /// # Errors
    /// By `product.md`, sections 2 and 7.
    pub async fn remove_participant(&self, caller: &Caller, project: String, organization: String) -> Result<Project> {
        self.change_participant(caller, project, organization, AuditAction::ParticipantRemoved).await
    }

    async fn change_participant(
        &self,
        caller: &Caller,
        project: String,
        organization: String,
        action: AuditAction,
    ) -> Result<Project> {
        self.access.authorize_service::<CanManageProjects>(caller, action).await?;
        let project = id(ProjectId::parse(project), &["input", "projectId"])?;
        let organization = id(OrganizationId::parse(organization), &["input", "organizationId"])?;
        let partition = OutboxPartition::Project(&project);
        let mut tx = self.tuples.begin_change(partition).await?;
        let status = tx.lock_project(&project).await?.ok_or(NO_SUCH_PROJECT)?;
        let own = Tuple::participant(&project, &organization);
        let takes_part = self.tuples.read(&mut tx, &TupleFilter::participants(&project)).await?.contains(&own);
        let is_added = action == AuditAction::ParticipantAdded;
        let takes_part = takes_part || !is_added && tx.pending_writes().contains(&own);
        let change = match (is_added, takes_part) {
            (true, false) => TupleChange { write: vec![own], delete: vec![] },
            (false, true) => {
                let mut delete = vec![own];
                delete.extend(self.assignments_of(&mut tx, &project, &organization).await?);
                TupleChange { write: vec![], delete }
            }
            (true, true) | (false, false) => {
                tx.commit().await?;
                return Ok(Project { id: project, status });
            }
        };
        let event =
            caller.event(action, self.now()).in_project(&project).about(format_args!("organization:{organization}"));
        self.tuples.commit_and_apply(tx, partition, &[event], &[Step::Change(change)]).await?;
        Ok(Project { id: project, status })
    }

    /// The tuples that put an organization's agents on a project and on its milestones.
    async fn assignments_of(
        &self,
        tx: &mut QueuedTx,
        project: &ProjectId,
        organization: &OrganizationId,
    ) -> Result<Vec<Tuple>> {
        let tuples = &self.tuples;
        let of_organization = tuples.read(tx, &TupleFilter::agents_of_organization(organization)).await?;
        let agents: HashSet<AgentId> =
            of_organization.iter().filter_map(Tuple::as_agent_of).map(|(_, agent)| agent).collect();
        let mut held = tuples.read(tx, &TupleFilter::agents_of_project(project)).await?;
        for milestone in tx.milestones_of(std::slice::from_ref(project)).await? {
            held.extend(tuples.read(tx, &TupleFilter::agents_of_milestone(&milestone.id)).await?);
        }
        let agent_of = |tuple: &Tuple| {
            let on_project = tuple.as_agent_on_project().map(|(_, agent)| agent);
            on_project.or_else(|| tuple.as_agent_on_milestone().map(|(_, agent)| agent))
        };
        // Those that are set aside, and that an operator may retry later, go as well.
        held.extend(tx.pending_writes().iter().cloned());
        held.retain(|tuple| agent_of(tuple).is_some_and(|agent| agents.contains(&agent)));
        Ok(held)
    }
}
