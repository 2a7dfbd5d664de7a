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
    /// Gives a project its vault.
    #[graphql(inaccessible)]
    async fn register_project_vault(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What is to be done.")] input: RegisterProjectVaultInput,
    ) -> Settled<ProjectVaultPayload> {
        change(ctx, |vault, caller| vault.projects().register(caller, input.into())).await
    }

    /// Sets a project's status.
    #[graphql(inaccessible)]
    async fn set_project_vault_status(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What is to be done.")] input: SetProjectVaultStatusInput,
    ) -> Settled<ProjectVaultPayload> {
        change(ctx, |vault, caller| vault.projects().set_status(caller, input.project_id.0, input.status.into())).await
    }

    /// Erases the vault with every entry, version and key. Safe to repeat; an unknown project gives zero counts.
    #[graphql(inaccessible)]
    async fn delete_project_vault(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which project.")] project_id: ID,
    ) -> Settled<DeleteProjectVaultPayload> {
        change(ctx, |vault, caller| vault.projects().delete(caller, project_id.0)).await
    }

    /// Lets an organization take part.
    #[graphql(inaccessible)]
    async fn add_vault_participant(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What is to be done.")] input: VaultParticipantInput,
    ) -> Settled<ProjectVaultPayload> {
        change(ctx, |vault, caller| {
            vault.projects().add_participant(caller, input.project_id.0, input.organization_id.0)
        })
        .await
    }

    /// The organization's agents are unassigned as well.
    #[graphql(inaccessible)]
    async fn remove_vault_participant(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What is to be done.")] input: VaultParticipantInput,
    ) -> Settled<ProjectVaultPayload> {
        change(ctx, |vault, caller| {
            vault.projects().remove_participant(caller, input.project_id.0, input.organization_id.0)
        })
        .await
    }

    /// Creates a milestone, or sets the phase of one of the same project; the way to open a closed phase again.
    #[graphql(inaccessible)]
    async fn put_vault_milestone(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What is to be done.")] input: PutVaultMilestoneInput,
    ) -> Settled<VaultMilestonePayload> {
        change(ctx, |vault, caller| vault.milestones().put(caller, input.into())).await
    }

    /// With its entries. Safe to repeat.
    #[graphql(inaccessible)]
    async fn delete_vault_milestone(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which one.")] id: ID,
    ) -> Settled<DeleteVaultMilestonePayload> {
        change(ctx, |vault, caller| vault.milestones().delete(caller, id.0)).await
    }

    /// An agent belongs to exactly one organization; registering it again moves it.
    #[graphql(inaccessible)]
    async fn register_vault_agent(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What is to be done.")] input: VaultAgentRegistrationInput,
    ) -> Settled<VaultRegistrationPayload> {
        change(ctx, |vault, caller| async move {
            let agent = vault.members().register_agent(caller, input.agent_id.0, input.organization_id.0).await?;
            Ok(agent.as_str().to_owned())
        })
        .await
    }

    /// Takes its assignments as well.
    #[graphql(inaccessible)]
    async fn unregister_vault_agent(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which one.")] agent_id: ID,
    ) -> Settled<VaultRegistrationPayload> {
        change(ctx, |vault, caller| async move {
            let agent = vault.members().unregister_agent(caller, agent_id.0).await?;
            Ok(agent.as_str().to_owned())
        })
        .await
    }

    /// A runtime serves the agents of exactly one organization; registering it again moves it.
    #[graphql(inaccessible)]
    async fn register_vault_runtime(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What is to be done.")] input: VaultRuntimeRegistrationInput,
    ) -> Settled<VaultRegistrationPayload> {
        change(ctx, |vault, caller| async move {
            let runtime = vault.members().register_runtime(caller, input.runtime_id.0, input.organization_id.0).await?;
            Ok(runtime.as_str().to_owned())
        })
        .await
    }

    /// Its next call is refused.
    #[graphql(inaccessible)]
    async fn unregister_vault_runtime(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which one.")] runtime_id: ID,
    ) -> Settled<VaultRegistrationPayload> {
        change(ctx, |vault, caller| async move {
            let runtime = vault.members().unregister_runtime(caller, runtime_id.0).await?;
            Ok(runtime.as_str().to_owned())
        })
        .await
    }
}
