//! Which organization an agent belongs to, and whose agents a runtime serves.

use super::lanes::{Lane, Step};
use super::roles::id;
use super::{Caller, Vault};
use crate::authz::{CanManageProjects, Tuple, TupleChange, TupleFilter};
use crate::domain::{AgentId, AuditAction, OrganizationId, Result, RuntimeId};

impl Vault {
    /// Makes an agent belong to an organization, and to no other. Doing it again changes nothing.
    ///
    /// # Errors
    /// By `product.md`, sections 2 and 7.
    pub async fn register_agent(&self, caller: &Caller, agent: String, organization: String) -> Result<AgentId> {
        let action = AuditAction::AgentRegistered;
        self.permit_service::<CanManageProjects>(caller, action).await?;
        let agent = id(AgentId::parse(agent), &["input", "agentId"])?;
        let organization = id(OrganizationId::parse(organization), &["input", "organizationId"])?;
        let held = TupleFilter::organizations_of_agent(&agent);
        let own = Tuple::agent_of(&organization, &agent);
        self.replace(caller, action, Lane::Agent(&agent), format!("agent:{agent}"), &held, vec![own]).await?;
        Ok(agent)
    }

    /// Forgets an agent with its assignments. Doing it again changes nothing.
    ///
    /// # Errors
    /// By `product.md`, sections 2 and 7.
    pub async fn unregister_agent(&self, caller: &Caller, agent: String) -> Result<AgentId> {
        let action = AuditAction::AgentUnregistered;
        self.permit_service::<CanManageProjects>(caller, action).await?;
        let agent = id(AgentId::parse(agent), &["agentId"])?;
        let lane = Lane::Agent(&agent);
        let mut tx = self.begin_in(lane).await?;
        // An assignment that waits to be applied would outlive its agent.
        self.enter_waiting_projects(&mut tx).await?;
        let mut delete = Vec::new();
        for filter in [
            TupleFilter::organizations_of_agent(&agent),
            TupleFilter::projects_of_agent(&agent),
            TupleFilter::milestones_of_agent(&agent),
        ] {
            delete.extend(self.0.authorizer.read(&mut tx, &filter).await?);
        }
        if delete.is_empty() {
            tx.commit().await?;
            return Ok(agent);
        }
        let event = caller.event(action, self.now()).about(format_args!("agent:{agent}"));
        let change = TupleChange { write: vec![], delete };
        self.finish_in(tx, lane, &[event], &[Step::Change(change)]).await?;
        Ok(agent)
    }

    /// Makes a runtime serve the agents of an organization, and of no other. Doing it again changes nothing.
    ///
    /// # Errors
    /// By `product.md`, sections 2 and 7.
    pub async fn register_runtime(&self, caller: &Caller, runtime: String, organization: String) -> Result<RuntimeId> {
        let action = AuditAction::RuntimeRegistered;
        self.permit_service::<CanManageProjects>(caller, action).await?;
        let runtime = id(RuntimeId::parse(runtime), &["input", "runtimeId"])?;
        let organization = id(OrganizationId::parse(organization), &["input", "organizationId"])?;
        let held = TupleFilter::organizations_of_runtime(&runtime);
        let own = Tuple::runtime_of(&organization, &runtime);
        self.replace(caller, action, Lane::Runtime(&runtime), format!("runtime:{runtime}"), &held, vec![own]).await?;
        Ok(runtime)
    }

    /// Forgets a runtime: its next call is refused. Doing it again changes nothing.
    ///
    /// # Errors
    /// By `product.md`, sections 2 and 7.
    pub async fn unregister_runtime(&self, caller: &Caller, runtime: String) -> Result<RuntimeId> {
        let action = AuditAction::RuntimeUnregistered;
        self.permit_service::<CanManageProjects>(caller, action).await?;
        let runtime = id(RuntimeId::parse(runtime), &["runtimeId"])?;
        let held = TupleFilter::organizations_of_runtime(&runtime);
        self.replace(caller, action, Lane::Runtime(&runtime), format!("runtime:{runtime}"), &held, vec![]).await?;
        Ok(runtime)
    }

    /// Makes `wanted` the only tuples that `held` finds, in one write.
    async fn replace(
        &self,
        caller: &Caller,
        action: AuditAction,
        lane: Lane<'_>,
        subject: String,
        held: &TupleFilter,
        wanted: Vec<Tuple>,
    ) -> Result<()> {
        let mut tx = self.begin_in(lane).await?;
        let held = self.0.authorizer.read(&mut tx, held).await?;
        let change = TupleChange {
            write: wanted.iter().filter(|tuple| !held.contains(tuple)).cloned().collect(),
            delete: held.into_iter().filter(|tuple| !wanted.contains(tuple)).collect(),
        };
        if change.write.is_empty() && change.delete.is_empty() {
            return tx.commit().await;
        }
        let event = caller.event(action, self.now()).about(subject);
        self.finish_in(tx, lane, &[event], &[Step::Change(change)]).await
    }
}
