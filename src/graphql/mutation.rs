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

/// Changes to vaults. Each answers null with an error when the caller may not make it.
#[Object]
impl ByPeople {
    /// Creates an entry. Requires Responsible or above, like every change of an entry that does not
    /// say otherwise.
    async fn create_vault_entry(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The entry to create.")] input: CreateVaultEntryInput,
    ) -> Settled<VaultEntryPayload> {
        change(ctx, |vault, caller| vault.entries().create(caller, input.into())).await
    }

    /// Changes an entry's properties, but not its value.
    async fn update_vault_entry(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The entry and its new properties.")] input: UpdateVaultEntryInput,
    ) -> Settled<VaultEntryPayload> {
        change(ctx, |vault, caller| vault.entries().update(caller, input.into())).await
    }

    /// Gives an entry a new value, as a new version.
    async fn rotate_vault_entry(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The entry and its new value.")] input: RotateVaultEntryInput,
    ) -> Settled<VaultEntryPayload> {
        change(ctx, |vault, caller| vault.entries().rotate(caller, input.into())).await
    }

    /// Gives an entry the value of an earlier version, as a new version. Nothing is decrypted.
    async fn rollback_vault_entry(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The entry and the version whose value it gets.")] input: RollbackVaultEntryInput,
    ) -> Settled<VaultEntryPayload> {
        change(ctx, |vault, caller| vault.entries().roll_back(caller, input.into())).await
    }

    /// Disables an entry: agents no longer receive it, nor learn that it exists.
    async fn disable_vault_entry(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The id of the entry to disable.")] id: ID,
    ) -> Settled<VaultEntryPayload> {
        change(ctx, |vault, caller| vault.entries().disable(caller, id.0)).await
    }

    /// Enables a disabled entry.
    async fn enable_vault_entry(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The id of the entry to enable.")] id: ID,
    ) -> Settled<VaultEntryPayload> {
        change(ctx, |vault, caller| vault.entries().enable(caller, id.0)).await
    }

    /// Deletes an entry. It can be restored until the retention period ends. Requires Accountable.
    async fn delete_vault_entry(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The id of the entry to delete.")] id: ID,
    ) -> Settled<VaultEntryPayload> {
        change(ctx, |vault, caller| vault.entries().delete(caller, id.0)).await
    }

    /// Restores a deleted entry. Requires Accountable.
    async fn restore_vault_entry(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The id of the entry to restore.")] id: ID,
    ) -> Settled<VaultEntryPayload> {
        change(ctx, |vault, caller| vault.entries().restore(caller, id.0)).await
    }

    /// Erases a deleted entry with all its versions at once and for ever. Requires Accountable.
    async fn purge_vault_entry(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The id of the entry to erase.")] id: ID,
    ) -> Settled<PurgeVaultEntryPayload> {
        change(ctx, |vault, caller| vault.entries().purge(caller, id.0)).await
    }

    /// Creates or rotates one entry per line of a .env text: all of them, or none.
    async fn import_vault_entries(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The text, and where and how to import it.")] input: ImportVaultEntriesInput,
    ) -> Settled<ImportVaultEntriesPayload> {
        change(ctx, |vault, caller| vault.entries().import(caller, input.into())).await
    }

    /// Sets which names of entries reach the project's sessions. Requires Accountable.
    async fn set_vault_environment_names(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The project, and the rule for its names.")] input: SetVaultEnvironmentNamesInput,
    ) -> Settled<VaultEnvironmentNamesPayload> {
        change(ctx, |vault, caller| vault.entries().set_environment_names(caller, input.into())).await
    }

    /// Assigns a role to a person. Requires Accountable, or the platform's service; so do revoking
    /// roles, assigning agents and closing milestones.
    async fn assign_vault_role(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The person, the project and the role.")] input: VaultRoleInput,
    ) -> Settled<VaultRolePayload> {
        change(ctx, |vault, caller| vault.members().assign_role(caller, input.into())).await
    }

    /// Revokes a person's role. The last Accountable person keeps theirs (CONFLICT).
    async fn revoke_vault_role(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The person, the project and the role.")] input: VaultRoleInput,
    ) -> Settled<VaultRolePayload> {
        change(ctx, |vault, caller| vault.members().revoke_role(caller, input.into())).await
    }

    /// Assigns an agent to the project, and to a milestone when one is given.
    async fn assign_vault_agent(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The agent, and where it will work.")] input: VaultAgentInput,
    ) -> Settled<VaultAgentPayload> {
        change(ctx, |vault, caller| vault.members().assign_agent(caller, input.into())).await
    }

    /// Unassigns an agent from a milestone; without milestoneId, from the project and all its
    /// milestones.
    async fn unassign_vault_agent(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The agent, and where it no longer works.")] input: VaultAgentInput,
    ) -> Settled<VaultAgentPayload> {
        change(ctx, |vault, caller| vault.members().unassign_agent(caller, input.into())).await
    }

    /// Ends a milestone's phase at once: its entries no longer resolve.
    async fn close_vault_milestone(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The id of the milestone to close.")] id: ID,
    ) -> Settled<VaultMilestonePayload> {
        change(ctx, |vault, caller| vault.milestones().close(caller, id.0)).await
    }
}
