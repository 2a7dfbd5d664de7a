//! Milestones and their phases. The phase is the vault's; who works on a milestone is a tuple.

use super::access::{NO_SUCH_MILESTONE, NO_SUCH_PROJECT};
use super::lanes::{Lane, Step};
use super::roles::id;
use super::{Caller, Vault};
use crate::authz::{CanCloseMilestones, CanManageProjects, Object, Tuple, TupleChange, TupleFilter};
use crate::domain::{AuditAction, Error, MilestoneId, Phase, ProjectId, Result, Timestamp};
use crate::store::records::MilestoneRow;
use std::collections::HashMap;

/// A milestone as the vault knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Milestone {
    /// Its id.
    pub id: MilestoneId,
    /// Whose it is.
    pub project: ProjectId,
    /// When its entries exist for agents.
    pub phase: Phase,
    /// Whether that is now.
    pub open: bool,
}

/// A milestone that is to exist with this phase.
#[derive(Debug, Clone)]
pub struct NewMilestone {
    /// Its id.
    pub id: String,
    /// Whose it is.
    pub project: String,
    /// When its entries exist for agents.
    pub phase: Phase,
}

impl Milestone {
    fn from_row(row: MilestoneRow, now: Timestamp) -> Self {
        Self { phase: row.phase(), open: row.is_open(now), id: row.id, project: row.project }
    }
}

impl Vault {
    /// The milestones of these ids. Unchecked: what a caller may see of them follows from their projects.
    ///
    /// # Errors
    /// UNAVAILABLE when the database cannot be reached.
    pub async fn milestones_by_id(&self, ids: &[MilestoneId]) -> Result<HashMap<MilestoneId, Milestone>> {
        let now = self.now();
        let rows = self.0.store.conn().await?.milestones_by_id(ids).await?;
        Ok(rows.into_iter().map(|row| (row.id.clone(), Milestone::from_row(row, now))).collect())
    }

    /// The milestones of these projects, by id.
    ///
    /// # Errors
    /// UNAVAILABLE when the database cannot be reached.
    pub async fn milestones_of(&self, projects: &[ProjectId]) -> Result<HashMap<ProjectId, Vec<Milestone>>> {
        let now = self.now();
        let mut found: HashMap<ProjectId, Vec<Milestone>> = HashMap::new();
        for row in self.0.store.conn().await?.milestones_of(projects).await? {
            found.entry(row.project.clone()).or_default().push(Milestone::from_row(row, now));
        }
        Ok(found)
    }

    /// Ends a milestone's phase at once. Doing it again changes nothing.
    ///
    /// # Errors
    /// By `product.md`, sections 2 and 7.
    pub async fn close_milestone(&self, caller: &Caller, id: String) -> Result<Milestone> {
        let action = AuditAction::MilestoneClosed;
        let (_, row) = self.permit_milestone::<CanCloseMilestones>(caller, action, &id).await?;
        let mut tx = self.begin_on(&row.project).await?;
        tx.lock_project(&row.project).await?.ok_or(NO_SUCH_MILESTONE)?;
        let event = caller.event(action, self.now()).in_project(&row.project).on_milestone(Some(&row.id));
        let (mut tx, ..) =
            self.hold::<CanCloseMilestones>(caller, tx, event.clone(), &row.project, NO_SUCH_MILESTONE).await?;
        // It may have gone since, and its id to another project.
        let same = |now: &MilestoneRow| now.project == row.project;
        let row =
            tx.milestones_by_id(std::slice::from_ref(&row.id)).await?.pop().filter(same).ok_or(NO_SUCH_MILESTONE)?;
        let now = self.now();
        let phase = row.phase().closed(now);
        let ends = phase != row.phase();
        // A phase that has ended by this clock may go on by another server's.
        if ends || !row.closed {
            tx.set_phase(&row.id, phase, true).await?;
        }
        if ends {
            self.append(&mut tx, &[event]).await?;
        }
        tx.commit().await?;
        Ok(Milestone { open: false, phase, id: row.id, project: row.project })
    }

    /// Creates a milestone, or sets the phase of one of the same project. The same bounds again change nothing.
    ///
    /// # Errors
    /// By `product.md`, sections 2 and 7; CONFLICT for the id of another project's milestone.
    pub async fn put_milestone(&self, caller: &Caller, new: NewMilestone) -> Result<Milestone> {
        let action = AuditAction::MilestonePut;
        self.permit_service::<CanManageProjects>(caller, action).await?;
        let project = id(ProjectId::parse(new.project), &["input", "projectId"])?;
        let milestone = id(MilestoneId::parse(new.id), &["input", "id"])?;
        let phase = new.phase;
        if let (Some(opens), Some(closes)) = (phase.opens_at, phase.closes_at)
            && opens >= closes
        {
            return Err(Error::invalid(&["input", "opensAt"], "A phase opens before it closes; move one of the two."));
        }
        let lane = Lane::Project(&project);
        let mut tx = self.begin_in(lane).await?;
        tx.lock_project(&project).await?.ok_or(NO_SUCH_PROJECT)?;
        let now = self.now();
        let event = caller.event(action, now).in_project(&project).on_milestone(Some(&milestone));
        match tx.milestones_by_id(std::slice::from_ref(&milestone)).await?.pop() {
            Some(row) if row.project != project => {
                return Err(Error::Conflict(
                    "This is the id of another project's milestone; ids of milestones are unique.".to_owned(),
                ));
            }
            Some(row) if row.phase() == phase => tx.commit().await?,
            Some(_) => {
                tx.set_phase(&milestone, phase, false).await?;
                self.append(&mut tx, &[event]).await?;
                tx.commit().await?;
            }
            None => {
                tx.insert_milestone(&milestone, &project, phase).await?;
                // One of this id whose tuples are still on their way out would take the new one's with them.
                if tx.outbox_mentions(&Object::milestone(&milestone)).await? {
                    return Err(Error::unavailable("A milestone of this id is being deleted; try again in a moment."));
                }
                let left = TupleFilter::of_object(&Object::milestone(&milestone));
                let delete = self.0.authorizer.read(&mut tx, &left).await?;
                let own = Tuple::milestone_of(&milestone, &project);
                let steps = [
                    Step::Change(TupleChange {
                        write: vec![],
                        delete: delete.into_iter().filter(|t| *t != own).collect(),
                    }),
                    Step::Change(TupleChange { write: vec![own], delete: vec![] }),
                ];
                self.finish_in(tx, lane, &[event], &steps).await?;
            }
        }
        Ok(Milestone { open: phase.is_open(now), phase, id: milestone, project })
    }

    /// Deletes a milestone with its entries, deleted ones included; how many these were. One that is not there has none.
    ///
    /// # Errors
    /// By `product.md`, sections 2 and 7.
    pub async fn delete_milestone(&self, caller: &Caller, milestone: String) -> Result<(MilestoneId, i64)> {
        let action = AuditAction::MilestoneDeleted;
        self.permit_service::<CanManageProjects>(caller, action).await?;
        let milestone = id(MilestoneId::parse(milestone), &["id"])?;
        let Some(row) = self.milestone_row(milestone.as_str()).await? else { return Ok((milestone, 0)) };
        let lane = Lane::Project(&row.project);
        let mut tx = self.begin_in(lane).await?;
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
        let event = caller.event(action, self.now()).in_project(&row.project).on_milestone(Some(&milestone));
        let step = Step::Erase { object: Object::milestone(&milestone), last: None };
        self.finish_in(tx, lane, &[event], &[step]).await?;
        self.forget_erased().await;
        Ok((milestone, erased.entries))
    }
}
