//! Changes by the platform's service only.

use super::inputs::{
    PutVaultMilestoneInput, RegisterProjectVaultInput, SetProjectVaultStatusInput, VaultAgentRegistrationInput,
    VaultParticipantInput, VaultRuntimeRegistrationInput,
};
use super::mutation::{Settled, change};
use super::payloads::{
    DeleteProjectVaultPayload, DeleteVaultMilestonePayload, ProjectVaultPayload, VaultMilestonePayload,
    VaultRegistrationPayload,
};
use async_graphql::{Context, ID, Object};

#[derive(Default)]
pub(super) struct ByPlatform;

#[Object]
impl ByPlatform {
    /// Gives a project its vault. Platform's service only; FORBIDDEN for everybody else.
    #[graphql(inaccessible)]
    async fn register_project_vault(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The project, its organizations and its Accountable people.")]
        input: RegisterProjectVaultInput,
    ) -> Settled<ProjectVaultPayload> {
        change(ctx, |vault, caller| vault.projects().register(caller, input.into())).await
    }

    /// Sets a project's status. Platform's service only; FORBIDDEN for everybody else. Safe to
    /// repeat.
    #[graphql(inaccessible)]
    async fn set_project_vault_status(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The project, and its new status.")] input: SetProjectVaultStatusInput,
    ) -> Settled<ProjectVaultPayload> {
        change(ctx, |vault, caller| vault.projects().set_status(caller, input.project_id.0, input.status.into())).await
    }

    /// Erases a project's vault with every entry, version and key. Safe to repeat; an unknown
    /// project gives counts of zero. Platform's service only; FORBIDDEN for everybody else.
    #[graphql(inaccessible)]
    async fn delete_project_vault(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The id of the project whose vault is erased.")] project_id: ID,
    ) -> Settled<DeleteProjectVaultPayload> {
        change(ctx, |vault, caller| vault.projects().delete(caller, project_id.0)).await
    }

    /// Lets an organization take part in a project. Platform's service only; FORBIDDEN for
    /// everybody else. Safe to repeat.
    #[graphql(inaccessible)]
    async fn add_vault_participant(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The project, and the organization to add.")] input: VaultParticipantInput,
    ) -> Settled<ProjectVaultPayload> {
        change(ctx, |vault, caller| {
            vault.projects().add_participant(caller, input.project_id.0, input.organization_id.0)
        })
        .await
    }

    /// Removes an organization from a project, and unassigns its agents. Platform's service only;
    /// FORBIDDEN for everybody else. Safe to repeat.
    #[graphql(inaccessible)]
    async fn remove_vault_participant(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The project, and the organization to remove.")] input: VaultParticipantInput,
    ) -> Settled<ProjectVaultPayload> {
        change(ctx, |vault, caller| {
            vault.projects().remove_participant(caller, input.project_id.0, input.organization_id.0)
        })
        .await
    }

    /// Creates a milestone, or sets the phase of an existing one, which reopens a closed phase.
    /// Platform's service only; FORBIDDEN for everybody else.
    #[graphql(inaccessible)]
    async fn put_vault_milestone(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The milestone, its project and its phase.")] input: PutVaultMilestoneInput,
    ) -> Settled<VaultMilestonePayload> {
        change(ctx, |vault, caller| vault.milestones().put(caller, input.into())).await
    }

    /// Deletes a milestone and erases its entries. Safe to repeat. Platform's service only;
    /// FORBIDDEN for everybody else.
    #[graphql(inaccessible)]
    async fn delete_vault_milestone(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The id of the milestone to delete.")] id: ID,
    ) -> Settled<DeleteVaultMilestonePayload> {
        change(ctx, |vault, caller| vault.milestones().delete(caller, id.0)).await
    }

    /// Registers an agent with its only organization. Registering it again moves it. Platform's
    /// service only; FORBIDDEN for everybody else.
    #[graphql(inaccessible)]
    async fn register_vault_agent(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The agent, and its organization.")] input: VaultAgentRegistrationInput,
    ) -> Settled<VaultRegistrationPayload> {
        change(ctx, |vault, caller| async move {
            let agent = vault.members().register_agent(caller, input.agent_id.0, input.organization_id.0).await?;
            Ok(agent.as_str().to_owned())
        })
        .await
    }

    /// Unregisters an agent, and removes its assignments. Platform's service only; FORBIDDEN for
    /// everybody else.
    #[graphql(inaccessible)]
    async fn unregister_vault_agent(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The id of the agent to unregister.")] agent_id: ID,
    ) -> Settled<VaultRegistrationPayload> {
        change(ctx, |vault, caller| async move {
            let agent = vault.members().unregister_agent(caller, agent_id.0).await?;
            Ok(agent.as_str().to_owned())
        })
        .await
    }

    /// Registers a runtime with the only organization whose agents it serves. Registering it again
    /// moves it. Platform's service only; FORBIDDEN for everybody else.
    #[graphql(inaccessible)]
    async fn register_vault_runtime(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The runtime, and its organization.")] input: VaultRuntimeRegistrationInput,
    ) -> Settled<VaultRegistrationPayload> {
        change(ctx, |vault, caller| async move {
            let runtime = vault.members().register_runtime(caller, input.runtime_id.0, input.organization_id.0).await?;
            Ok(runtime.as_str().to_owned())
        })
        .await
    }

    /// Unregisters a runtime: its next call is refused. Platform's service only; FORBIDDEN for
    /// everybody else.
    #[graphql(inaccessible)]
    async fn unregister_vault_runtime(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The id of the runtime to unregister.")] runtime_id: ID,
    ) -> Settled<VaultRegistrationPayload> {
        change(ctx, |vault, caller| async move {
            let runtime = vault.members().unregister_runtime(caller, runtime_id.0).await?;
            Ok(runtime.as_str().to_owned())
        })
        .await
    }
}
