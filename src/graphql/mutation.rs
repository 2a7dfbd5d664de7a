//! Changes by people, as far as their role goes.

use super::inputs::{
    CreateVaultEntryInput, ImportVaultEntriesInput, RollbackVaultEntryInput, RotateVaultEntryInput,
    SetVaultEnvironmentNamesInput, UpdateVaultEntryInput, VaultAgentInput, VaultRoleInput,
};
use super::loaders::session;
use super::payloads::{
    ImportVaultEntriesPayload, Payload, PurgeVaultEntryPayload, VaultAgentPayload, VaultEntryPayload,
    VaultEnvironmentNamesPayload, VaultMilestonePayload, VaultRolePayload, settle,
};
use crate::domain::Result;
use crate::vault::{Caller, Vault};
use async_graphql::{Context, ID, Object};
use tokio::time::Instant;

/// A mutation's field: null with an error, or a payload.
pub(super) type Settled<P> = Option<async_graphql::Result<P>>;

/// Makes a change, and forgets what the request knew before it: the payload shows what is there now.
pub(super) async fn change<'a, P: Payload, F>(
    ctx: &Context<'a>,
    make: impl FnOnce(&'a Vault, &'a Caller) -> F,
) -> Settled<P>
where
    F: Future<Output = Result<P::Done>>,
{
    let session = match session(ctx) {
        Ok(session) => session,
        Err(error) => return settle(Err(error)),
    };
    let began = Instant::now();
    let done = make(&session.vault, &session.caller).await;
    session.forget();
    if let Err(error) = &done {
        session.concealment.pace_change(error, began).await;
    }
    settle(done)
}

#[derive(Default)]
pub(super) struct ByPeople;

/// What can be changed.
#[Object]
impl ByPeople {
    /// Creates an entry. Responsible and above, as all changes of entries but where it says otherwise.
    async fn create_vault_entry(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What is to be done.")] input: CreateVaultEntryInput,
    ) -> Settled<VaultEntryPayload> {
        change(ctx, |vault, caller| vault.entries().create(caller, input.into())).await
    }

    /// Changes an entry's properties.
    async fn update_vault_entry(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What is to be done.")] input: UpdateVaultEntryInput,
    ) -> Settled<VaultEntryPayload> {
        change(ctx, |vault, caller| vault.entries().update(caller, input.into())).await
    }

    /// Gives an entry a new value.
    async fn rotate_vault_entry(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What is to be done.")] input: RotateVaultEntryInput,
    ) -> Settled<VaultEntryPayload> {
        change(ctx, |vault, caller| vault.entries().rotate(caller, input.into())).await
    }

    /// Makes a new version out of an old one, without decrypting it.
    async fn rollback_vault_entry(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What is to be done.")] input: RollbackVaultEntryInput,
    ) -> Settled<VaultEntryPayload> {
        change(ctx, |vault, caller| vault.entries().roll_back(caller, input.into())).await
    }

    /// Switches an entry off: it does not exist for agents.
    async fn disable_vault_entry(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which one.")] id: ID,
    ) -> Settled<VaultEntryPayload> {
        change(ctx, |vault, caller| vault.entries().disable(caller, id.0)).await
    }

    /// Switches an entry on again.
    async fn enable_vault_entry(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which one.")] id: ID,
    ) -> Settled<VaultEntryPayload> {
        change(ctx, |vault, caller| vault.entries().enable(caller, id.0)).await
    }

    /// Recoverable until the retention period ends. Accountable only, as the next two.
    async fn delete_vault_entry(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which one.")] id: ID,
    ) -> Settled<VaultEntryPayload> {
        change(ctx, |vault, caller| vault.entries().delete(caller, id.0)).await
    }

    /// Brings a deleted entry back.
    async fn restore_vault_entry(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which one.")] id: ID,
    ) -> Settled<VaultEntryPayload> {
        change(ctx, |vault, caller| vault.entries().restore(caller, id.0)).await
    }

    /// Erases a deleted entry now.
    async fn purge_vault_entry(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which one.")] id: ID,
    ) -> Settled<PurgeVaultEntryPayload> {
        change(ctx, |vault, caller| vault.entries().purge(caller, id.0)).await
    }

    /// Creates or rotates one entry per line of a .env text, all or nothing.
    async fn import_vault_entries(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What is to be done.")] input: ImportVaultEntriesInput,
    ) -> Settled<ImportVaultEntriesPayload> {
        change(ctx, |vault, caller| vault.entries().import(caller, input.into())).await
    }

    /// Sets which names of entries reach the project's sessions. Accountable only.
    async fn set_vault_environment_names(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The project, and the names.")] input: SetVaultEnvironmentNamesInput,
    ) -> Settled<VaultEnvironmentNamesPayload> {
        change(ctx, |vault, caller| vault.entries().set_environment_names(caller, input.into())).await
    }

    /// Gives a person a role. By an Accountable person or the platform's service, as all up to closing a milestone.
    async fn assign_vault_role(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What is to be done.")] input: VaultRoleInput,
    ) -> Settled<VaultRolePayload> {
        change(ctx, |vault, caller| vault.members().assign_role(caller, input.into())).await
    }

    /// Takes a role from a person; not from the last Accountable one.
    async fn revoke_vault_role(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What is to be done.")] input: VaultRoleInput,
    ) -> Settled<VaultRolePayload> {
        change(ctx, |vault, caller| vault.members().revoke_role(caller, input.into())).await
    }

    /// Puts an agent on the project, and on a milestone.
    async fn assign_vault_agent(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What is to be done.")] input: VaultAgentInput,
    ) -> Settled<VaultAgentPayload> {
        change(ctx, |vault, caller| vault.members().assign_agent(caller, input.into())).await
    }

    /// Without milestoneId: from the project and all its milestones.
    async fn unassign_vault_agent(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What is to be done.")] input: VaultAgentInput,
    ) -> Settled<VaultAgentPayload> {
        change(ctx, |vault, caller| vault.members().unassign_agent(caller, input.into())).await
    }

    /// Ends the phase at once: its credentials stop resolving.
    async fn close_vault_milestone(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which one.")] id: ID,
    ) -> Settled<VaultMilestonePayload> {
        change(ctx, |vault, caller| vault.milestones().close(caller, id.0)).await
    }
}
