//! Milestones and their phases. The phase is the vault's; who works on a milestone is a tuple.

use super::Caller;
use super::access::{Access, NO_SUCH_MILESTONE, NO_SUCH_PROJECT, Needs};
use super::audit::Audit;
use super::input::id;
use super::keys::Installation;
use super::tuples::{OutboxPartition, Step, Tuples};
use super::wal::Wal;
use crate::authz::{Object, Tuple, TupleChange, TupleFilter};
use crate::domain::{AuditAction, Error, MilestoneId, Phase, ProjectId, Result, Timestamp};
use crate::permission::{CanCloseMilestones, CanManageProjects};
use crate::store::Store;
use crate::store::records::MilestoneRow;
use std::collections::HashMap;

/// A milestone as the vault knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Milestone {
    /// Its id.
    pub id: MilestoneId,
    /// The project it belongs to.
    pub project: ProjectId,
    /// When its entries exist for agents.
    pub phase: Phase,
    /// Whether its phase is open now.
    pub open: bool,
}

/// A milestone to create or change.
#[derive(Debug, Clone)]
pub struct NewMilestone {
    /// Its id.
    pub id: String,
    /// The project it belongs to.
    pub project: String,
    /// When its entries exist for agents.
    pub phase: Phase,
}

impl Milestone {
    fn from_row(row: MilestoneRow, now: Timestamp) -> Self {
        Self { phase: row.phase(), open: row.is_open(now), id: row.id, project: row.project }
    }
}

/// Reads milestones, sets their phases and deletes them. Cheap to clone.
#[derive(Clone)]
pub struct Milestones {
    store: Store,
    installation: Installation,
    access: Access,
    audit: Audit,
    tuples: Tuples,
    wal: Wal,
}

impl Milestones {
    pub(super) fn new(installation: Installation, access: Access, audit: Audit, tuples: Tuples, wal: Wal) -> Self {
        Self { store: installation.store().clone(), installation, access, audit, tuples, wal }
    }

    fn now(&self) -> Timestamp {
        self.installation.now()
    }

    /// The milestones of these ids. Unchecked: what a caller may see of them follows from their
    /// projects.
    ///
    /// # Errors
    /// UNAVAILABLE when the database cannot be reached.
    pub async fn by_id(&self, ids: &[MilestoneId]) -> Result<HashMap<MilestoneId, Milestone>> {
        let now = self.now();
        let rows = self.store.reader().await?.milestones_by_id(ids).await?;
        Ok(rows.into_iter().map(|row| (row.id.clone(), Milestone::from_row(row, now))).collect())
    }

    /// The milestones of these projects, by id.
    ///
    /// # Errors
    /// UNAVAILABLE when the database cannot be reached.
    pub async fn of_projects(&self, projects: &[ProjectId]) -> Result<HashMap<ProjectId, Vec<Milestone>>> {
        let now = self.now();
        let mut found: HashMap<ProjectId, Vec<Milestone>> = HashMap::new();
        for row in self.store.conn().await?.milestones_of(projects).await? {
            found.entry(row.project.clone()).or_default().push(Milestone::from_row(row, now));
        }
        Ok(found)
    }

    /// Ends a milestone's phase at once. Doing it again changes nothing.
    ///
    /// # Errors
    /// By `product.md`, sections 2 and 7.
    pub async fn close(&self, caller: &Caller, id: String) -> Result<Milestone> {
        let action = AuditAction::MilestoneClosed;
        let (granted, row) = self.access.authorize_milestone::<CanCloseMilestones>(caller, action, &id).await?;
        let event = caller.event(action, self.now()).in_project(&row.project).on_milestone(Some(&row.id));
        let mut tx = granted.open(Needs::Lock).await?.tx;
        // It may have gone since, and its id to another project.
        let same = |now: &MilestoneRow| now.project == row.project;
        let row =
            tx.milestones_by_id(std::slice::from_ref(&row.id)).await?.pop().filter(same).ok_or(NO_SUCH_MILESTONE)?;
        let (id, project) = (row.id.clone(), row.project.clone());
        let open = self.installation.open_project(&mut tx, &project).await?;
        open.verify_milestone(&row)?;
        let now = self.now();
        let phase = row.phase().closed(now);
        let ends = phase != row.phase();
        // A phase that has ended by this clock may go on by another server's.
        if ends || !row.closed {
            open.set_phase(&mut tx, row, phase, true).await?;
        }
        if ends {
            self.audit.append(&mut tx, &[event]).await?;
        }
        tx.commit().await?;
        Ok(Milestone { open: false, phase, id, project })
    }

    /// Creates a milestone, or sets the phase of one of the same project. The same bounds again
    /// change nothing.
    ///
    /// # Errors
    /// By `product.md`, sections 2 and 7; CONFLICT for the id of another project's milestone.
    pub async fn put(&self, caller: &Caller, new: NewMilestone) -> Result<Milestone> {
        let action = AuditAction::MilestonePut;
        self.access.authorize_service::<CanManageProjects>(caller, action).await?;
        let project = id(ProjectId::parse(new.project), &["input", "projectId"])?;
        let milestone = id(MilestoneId::parse(new.id), &["input", "id"])?;
        let phase = new.phase;
        if let (Some(opens), Some(closes)) = (phase.opens_at, phase.closes_at)
            && opens >= closes
        {
            return Err(Error::invalid(&["input", "opensAt"], "A phase opens before it closes; move one of the two."));
        }
        let partition = OutboxPartition::Project(&project);
        let mut tx = self.tuples.begin_change(partition).await?;
        tx.lock_project(&project).await?.ok_or(NO_SUCH_PROJECT)?;
        let now = self.now();
        let event = caller.event(action, now).in_project(&project).on_milestone(Some(&milestone));
        match tx.milestones_by_id(std::slice::from_ref(&milestone)).await?.pop() {
            Some(row) if row.project != project => {
                return Err(Error::Conflict(
                    "This is the id of another project's milestone; ids of milestones are unique.".to_owned(),
                ));
            }
            Some(row) if row.phase() == phase => {
                self.installation.open_project(&mut tx, &project).await?.verify_milestone(&row)?;
                tx.commit().await?;
            }
            Some(row) => {
                let open = self.installation.open_project(&mut tx, &project).await?;
                open.set_phase(&mut tx, row, phase, false).await?;
                self.audit.append(&mut tx, &[event]).await?;
                tx.commit().await?;
            }
            None => {
                let open = self.installation.open_project(&mut tx, &project).await?;
                open.add_milestone(&mut tx, &milestone, phase).await?;
                // One of this id whose tuples are still on their way out would take the new one's
                // with them.
                if tx.outbox_mentions(&Object::milestone(&milestone)).await? {
                    return Err(Error::unavailable("A milestone of this id is being deleted; try again in a moment."));
                }
                let left = TupleFilter::of_object(&Object::milestone(&milestone));
                let delete = self.tuples.read(&mut tx, &left).await?;
                let own = Tuple::milestone_of(&milestone, &project);
                let steps = [
                    Step::Change(TupleChange {
                        write: vec![],
                        delete: delete.into_iter().filter(|t| *t != own).collect(),
                    }),
                    Step::Change(TupleChange { write: vec![own], delete: vec![] }),
                ];
                self.tuples.commit_and_apply(tx, partition, &[event], &steps).await?;
            }
        }
        Ok(Milestone { open: phase.is_open(now), phase, id: milestone, project })
    }

    /// Deletes a milestone with its entries, deleted ones included; how many these were. One that
    /// is not there has none.
    ///
    /// # Errors
    /// By `product.md`, sections 2 and 7.
    pub async fn delete(&self, caller: &Caller, milestone: String) -> Result<(MilestoneId, i64)> {
        let action = AuditAction::MilestoneDeleted;
        self.access.authorize_service::<CanManageProjects>(caller, action).await?;
        let milestone = id(MilestoneId::parse(milestone), &["id"])?;
        let known = self.store.reader().await?.milestones_by_id(std::slice::from_ref(&milestone)).await?.pop();
        let Some(row) = known else { return Ok((milestone, 0)) };
        let partition = OutboxPartition::Project(&row.project);
        let mut tx = self.tuples.begin_change(partition).await?;
        let rows = match tx.lock_project(&row.project).await? {
            Some(_) => tx.milestones_by_id(std::slice::from_ref(&milestone)).await?,
            None => Vec::new(),
        };
        if rows.iter().all(|now| now.project != row.project) {
            tx.commit().await?;
            return Ok((milestone, 0));
        }
        let entries = tx.entry_ids_of_milestone(&milestone).await?;
        let erased = tx.erase_entries(&entries).await?;
        tx.delete_milestone(&milestone).await?;
        let mut open = self.installation.open_project(&mut tx, &row.project).await?;
        open.remove_milestone(&milestone);
        open.save(&mut tx).await?;
        let event = caller.event(action, self.now()).in_project(&row.project).on_milestone(Some(&milestone));
        let step = Step::Erase { object: Object::milestone(&milestone), last: None };
        let applied = self.tuples.commit_and_apply(tx, partition, &[event], &[step]).await;
        // The entries are erased even where the tuples still wait for the authorizer.
        self.wal.truncate().await;
        applied?;
        Ok((milestone, erased.entries))
    }
}
