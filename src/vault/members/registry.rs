//! The organization that an agent belongs to, and the organization whose agents a runtime serves.

use super::Members;
use crate::authz::{Tuple, TupleChange, TupleFilter};
use crate::domain::{AgentId, AuditAction, OrganizationId, Result, RuntimeId};
use crate::permission::CanManageProjects;
use crate::vault::Caller;
use crate::vault::input::id;
use crate::vault::tuples::{OutboxPartition, Step};

impl Members {
    /// Sets the only organization that an agent belongs to. Repeating it changes nothing.
    ///
    /// # Errors
    /// The errors of `product.md`, sections 2 and 7.
    pub async fn register_agent(&self, caller: &Caller, agent: String, organization: String) -> Result<AgentId> {
        let action = AuditAction::AgentRegistered;
        self.access.authorize_service::<CanManageProjects>(caller, action).await?;
        let agent = id(AgentId::parse(agent), &["input", "agentId"])?;
        let organization = id(OrganizationId::parse(organization), &["input", "organizationId"])?;
        let held = TupleFilter::organizations_of_agent(&agent);
        let own = Tuple::agent_of(&organization, &agent);
        self.replace(caller, action, OutboxPartition::Agent(&agent), format!("agent:{agent}"), &held, vec![own])
            .await?;
        Ok(agent)
    }

    /// Removes an agent and its assignments. Repeating it changes nothing.
    ///
    /// # Errors
    /// The errors of `product.md`, sections 2 and 7.
    pub async fn unregister_agent(&self, caller: &Caller, agent: String) -> Result<AgentId> {
        let action = AuditAction::AgentUnregistered;
        self.access.authorize_service::<CanManageProjects>(caller, action).await?;
        let agent = id(AgentId::parse(agent), &["agentId"])?;
        let partition = OutboxPartition::Agent(&agent);
        let mut tx = self.tuples.begin_change(partition).await?;
        // Otherwise an assignment that waits in the outbox would outlive its agent.
        self.tuples.drain_assignments(&mut tx, &agent).await?;
        let mut delete = tx.pending_writes().to_vec();
        for filter in [
            TupleFilter::organizations_of_agent(&agent),
            TupleFilter::projects_of_agent(&agent),
            TupleFilter::milestones_of_agent(&agent),
        ] {
            delete.extend(self.tuples.read(&mut tx, &filter).await?);
        }
        if delete.is_empty() {
            tx.commit().await?;
            return Ok(agent);
        }
        let event = caller.event(action, self.now()).about(format_args!("agent:{agent}"));
        let change = TupleChange { write: vec![], delete };
        self.tuples.commit_and_apply(tx, partition, &[event], &[Step::Change(change)]).await?;
        Ok(agent)
    }

    /// Sets the only organization whose agents a runtime serves. Repeating it changes nothing.
    ///
    /// # Errors
    /// The errors of `product.md`, sections 2 and 7.
    pub async fn register_runtime(&self, caller: &Caller, runtime: String, organization: String) -> Result<RuntimeId> {
        let action = AuditAction::RuntimeRegistered;
        self.access.authorize_service::<CanManageProjects>(caller, action).await?;
        let runtime = id(RuntimeId::parse(runtime), &["input", "runtimeId"])?;
        let organization = id(OrganizationId::parse(organization), &["input", "organizationId"])?;
        let held = TupleFilter::organizations_of_runtime(&runtime);
        let own = Tuple::runtime_of(&organization, &runtime);
        self.replace(
            caller,
            action,
            OutboxPartition::Runtime(&runtime),
            format!("runtime:{runtime}"),
            &held,
            vec![own],
        )
        .await?;
        Ok(runtime)
    }

    /// Removes a runtime: its next call is refused. Repeating it changes nothing.
    ///
    /// # Errors
    /// The errors of `product.md`, sections 2 and 7.
    pub async fn unregister_runtime(&self, caller: &Caller, runtime: String) -> Result<RuntimeId> {
        let action = AuditAction::RuntimeUnregistered;
        self.access.authorize_service::<CanManageProjects>(caller, action).await?;
        let runtime = id(RuntimeId::parse(runtime), &["runtimeId"])?;
        let held = TupleFilter::organizations_of_runtime(&runtime);
        self.replace(caller, action, OutboxPartition::Runtime(&runtime), format!("runtime:{runtime}"), &held, vec![])
            .await?;
        Ok(runtime)
    }

    /// Replaces the tuples that match `held` with `wanted`, in one write.
    async fn replace(
        &self,
        caller: &Caller,
        action: AuditAction,
        partition: OutboxPartition<'_>,
        subject: String,
        held: &TupleFilter,
        wanted: Vec<Tuple>,
    ) -> Result<()> {
        let mut tx = self.tuples.begin_change(partition).await?;
        let held = self.tuples.read(&mut tx, held).await?;
        let pending = tx.pending_writes().iter().filter(|tuple| !held.contains(tuple));
        let change = TupleChange {
            write: wanted.iter().filter(|tuple| !held.contains(tuple)).cloned().collect(),
            delete: held.iter().chain(pending).filter(|tuple| !wanted.contains(tuple)).cloned().collect(),
        };
        if change.write.is_empty() && change.delete.is_empty() {
            return tx.commit().await;
        }
        let event = caller.event(action, self.now()).about(subject);
        self.tuples.commit_and_apply(tx, partition, &[event], &[Step::Change(change)]).await
    }
}
