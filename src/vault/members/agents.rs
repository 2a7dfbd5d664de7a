//! The assignments of agents to a project and its milestones.

use super::Members;
use crate::authz::{Object, Tuple, TupleChange, TupleFilter};
use crate::domain::{AgentId, AuditAction, Error, MilestoneId, OrganizationId, ProjectId, Result};
use crate::permission::{Authorized, CanManageAgents, CanViewAgents};
use crate::store::{Conn, Tx};
use crate::vault::Caller;
use crate::vault::access::{NO_SUCH_MILESTONE, Needs};
use crate::vault::input::id;
use crate::vault::tuples::{OutboxPartition, Step};
use std::collections::{BTreeMap, HashSet};

const NO_SUCH_AGENT: Error =
    Error::NotFound("There is no such agent, or its organization does not take part in this project.");

/// An agent's assignment to a project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentAssignment {
    /// The agent.
    pub agent: AgentId,
    /// The project's milestones it works on.
    pub milestones: Vec<MilestoneId>,
}

/// An assignment to make or to remove.
#[derive(Debug, Clone)]
pub struct AgentChange {
    /// The project's id.
    pub project: String,
    /// The agent's id.
    pub agent: String,
    /// The milestone's id; `None` for the project as a whole.
    pub milestone: Option<String>,
}

fn is_assignment(tuple: &Tuple, agent: &str) -> bool {
    tuple.subject() == agent && (tuple.as_agent_on_project().is_some() || tuple.as_agent_on_milestone().is_some())
}

impl Members {
    /// Assigns an agent to a project, and to a milestone if one is named. Repeating it changes
    /// nothing.
    ///
    /// # Errors
    /// The errors of `product.md`, sections 2 and 7; NOT_FOUND for an agent whose organization does
    /// not take part.
    pub async fn assign_agent(&self, caller: &Caller, change: AgentChange) -> Result<AgentAssignment> {
        self.change_agent(caller, change, AuditAction::AgentAssigned).await
    }

    /// Removes an agent's assignment to a milestone; if none is named, those to the project and to
    /// all its milestones.
    ///
    /// # Errors
    /// The errors of `product.md`, sections 2 and 7.
    pub async fn unassign_agent(&self, caller: &Caller, change: AgentChange) -> Result<AgentAssignment> {
        self.change_agent(caller, change, AuditAction::AgentUnassigned).await
    }

    async fn change_agent(&self, caller: &Caller, change: AgentChange, action: AuditAction) -> Result<AgentAssignment> {
        let project = id(ProjectId::parse(change.project), &["input", "projectId"])?;
        let event = caller.event(action, self.now()).in_project(&project);
        let granted = self.access.authorize::<CanManageAgents>(caller, event.clone(), &project).await?;
        let agent = id(AgentId::parse(change.agent), &["input", "agentId"])?;
        let milestone = match change.milestone {
            Some(milestone) => Some(MilestoneId::parse(milestone).map_err(|_| NO_SUCH_MILESTONE)?),
            None => None,
        };

        let partition = OutboxPartition::Project(&project);
        // The agent's partition comes first, as in `unregister_agent`, which takes the same locks,
        // so that no assignment outlives its agent.
        let mut tx = granted.open(Needs::Tuples(&[OutboxPartition::Agent(&agent), partition])).await?.tx;
        let milestones = tx.milestones_of(std::slice::from_ref(&project)).await?;
        if milestone.as_ref().is_some_and(|id| milestones.iter().all(|row| row.id != *id)) {
            return Err(NO_SUCH_MILESTONE);
        }
        let mut held = self.assignments(&mut tx, &project, &agent).await?;
        if action == AuditAction::AgentUnassigned {
            let subject = Object::agent(&agent);
            held.extend(tx.pending_writes().iter().filter(|tuple| is_assignment(tuple, &subject)).cloned());
        }
        let change = if action == AuditAction::AgentAssigned {
            if !self.takes_part(&mut tx, &project, &agent).await? {
                return Err(NO_SUCH_AGENT);
            }
            let mut write = vec![Tuple::agent_on_project(&project, &agent)];
            write.extend(milestone.as_ref().map(|id| Tuple::agent_on_milestone(id, &agent)));
            write.retain(|tuple| !held.contains(tuple));
            TupleChange { write, delete: vec![] }
        } else {
            let delete = match &milestone {
                Some(id) => held.iter().filter(|t| **t == Tuple::agent_on_milestone(id, &agent)).cloned().collect(),
                None => held.clone().into_iter().collect(),
            };
            TupleChange { write: vec![], delete }
        };
        let mut present = held;
        present.extend(change.write.iter().cloned());
        present.retain(|tuple| !change.delete.contains(tuple));
        let assignment = AgentAssignment {
            milestones: milestones
                .into_iter()
                .map(|row| row.id)
                .filter(|id| present.contains(&Tuple::agent_on_milestone(id, &agent)))
                .collect(),
            agent,
        };
        if change.write.is_empty() && change.delete.is_empty() {
            tx.commit().await?;
            return Ok(assignment);
        }
        let mut event = event.on_milestone(milestone.as_ref()).about(format_args!("agent:{}", assignment.agent));
        event.agent = Some(assignment.agent.as_str().to_owned());
        self.tuples.commit_and_apply(tx, partition, &[event], &[Step::Change(change)]).await?;
        Ok(assignment)
    }

    /// The tuples that assign an agent to a project and to its milestones.
    async fn assignments(&self, tx: &mut Tx, project: &ProjectId, agent: &AgentId) -> Result<HashSet<Tuple>> {
        let on_project = Tuple::agent_on_project(project, agent);
        let milestones: HashSet<MilestoneId> =
            tx.milestones_of(std::slice::from_ref(project)).await?.into_iter().map(|row| row.id).collect();
        let mut held = HashSet::new();
        for tuple in self.tuples.read(tx, &TupleFilter::projects_of_agent(agent)).await? {
            if tuple == on_project {
                held.insert(tuple);
            }
        }
        for tuple in self.tuples.read(tx, &TupleFilter::milestones_of_agent(agent)).await? {
            if tuple.as_agent_on_milestone().is_some_and(|(milestone, _)| milestones.contains(&milestone)) {
                held.insert(tuple);
            }
        }
        Ok(held)
    }

    /// Whether the agent's organization takes part in the project.
    async fn takes_part(&self, conn: &mut Conn, project: &ProjectId, agent: &AgentId) -> Result<bool> {
        let own: HashSet<OrganizationId> = self
            .tuples
            .read(conn, &TupleFilter::organizations_of_agent(agent))
            .await?
            .iter()
            .filter_map(Tuple::as_agent_of)
            .map(|(organization, _)| organization)
            .collect();
        let participants = self.tuples.read(conn, &TupleFilter::participants(project)).await?;
        Ok(participants.iter().filter_map(Tuple::as_participant).any(|organization| own.contains(&organization)))
    }

    /// The agents of a project, by id, with the milestones each works on.
    ///
    /// # Errors
    /// UNAVAILABLE when the tuples cannot be read.
    pub async fn agents(&self, by: &Authorized<CanViewAgents>) -> Result<Vec<AgentAssignment>> {
        let project = by.project();
        let mut conn = self.store.conn().await?;
        let mut agents: BTreeMap<AgentId, Vec<MilestoneId>> = self
            .tuples
            .read(&mut conn, &TupleFilter::agents_of_project(project))
            .await?
            .iter()
            .filter_map(Tuple::as_agent_on_project)
            .map(|(_, agent)| (agent, Vec::new()))
            .collect();
        for milestone in conn.milestones_of(std::slice::from_ref(project)).await? {
            let filter = TupleFilter::agents_of_milestone(&milestone.id);
            for tuple in self.tuples.read(&mut conn, &filter).await? {
                let on = tuple.as_agent_on_milestone().and_then(|(_, agent)| agents.get_mut(&agent));
                if let Some(milestones) = on {
                    milestones.push(milestone.id.clone());
                }
            }
        }
        Ok(agents.into_iter().map(|(agent, milestones)| AgentAssignment { agent, milestones }).collect())
    }
}
