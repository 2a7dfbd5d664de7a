//! Changes by people, as far as their role goes.

use super::inputs::{
    CreateVaultEntryInput, ImportVaultEntriesInput, RollbackVaultEntryInput, RotateVaultEntryInput,
    SetVaultEnvironmentNamesInput, UpdateVaultEntryInput, VaultAgentInput, VaultRoleInput,
};
use super::loaders::request;
use super::payloads::{
    ImportVaultEntriesPayload, Payload, PurgeVaultEntryPayload, VaultAgentPayload, VaultEntryPayload,
    VaultEnvironmentNamesPayload, VaultImportPreviewPayload, VaultMilestonePayload, VaultRolePayload, settle,
};
use crate::domain::Result;
use crate::vault::{Caller, Vault};
use async_graphql::{Context, ID, Object};
use tokio::time::Instant;

/// A mutation's field: null with an error, or a payload.
pub(super) type Settled<P> = Option<async_graphql::Result<P>>;

/// Makes a change and clears the request's caches, so that the payload shows the state after it.
pub(super) async fn change<'a, P: Payload, F>(
    ctx: &Context<'a>,
    make: impl FnOnce(&'a Vault, &'a Caller) -> F,
) -> Settled<P>
where
    F: Future<Output = Result<P::Done>>,
{
    let request = match request(ctx) {
        Ok(request) => request,
        Err(error) => return settle(Err(error)),
    };
    let began = Instant::now();
    let done = make(&request.vault, &request.caller).await;
    request.forget();
    if let Err(error) = &done {
        request.user_errors.note(&ctx.item.node.response_key().node, error.code());
        request.concealment.delay_failed_change(error, began).await;
    }
    settle(done)
}

#[derive(Default)]
pub(super) struct ByPeople;

/// Changes. A payload is null with an error when the change is refused or fails, for example with
/// FORBIDDEN. Errors that the caller can correct are in the payload's userErrors; NOT_FOUND is
/// among them, also for a caller who may not see the project.
#[Object]
impl ByPeople {
    /// Creates an entry. Responsible and above.
    async fn create_vault_entry(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The entry to create.")] input: CreateVaultEntryInput,
    ) -> Settled<VaultEntryPayload> {
        change(ctx, |vault, caller| vault.entries().create(caller, input.into())).await
    }

    /// Changes an entry's properties. Responsible and above. A change that changes nothing keeps
    /// the revision.
    async fn update_vault_entry(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The entry to change, and its new properties.")] input: UpdateVaultEntryInput,
    ) -> Settled<VaultEntryPayload> {
        change(ctx, |vault, caller| vault.entries().update(caller, input.into())).await
    }

    /// Gives an entry a new value as a new version; the last 10 versions are kept. Responsible and
    /// above. A disabled entry stays disabled.
    async fn rotate_vault_entry(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The entry to rotate, and its new value.")] input: RotateVaultEntryInput,
    ) -> Settled<VaultEntryPayload> {
        change(ctx, |vault, caller| vault.entries().rotate(caller, input.into())).await
    }

    /// Makes a new version out of an old one, without decrypting it. Responsible and above. An
    /// expired or disabled entry stays so.
    async fn rollback_vault_entry(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The entry to roll back, and the version to bring back.")] input: RollbackVaultEntryInput,
    ) -> Settled<VaultEntryPayload> {
        change(ctx, |vault, caller| vault.entries().roll_back(caller, input.into())).await
    }

    /// Disables an entry: agents do not receive it and are told NOT_FOUND. Responsible and above.
    /// Safe to repeat.
    async fn disable_vault_entry(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The id of the entry to disable.")] id: ID,
    ) -> Settled<VaultEntryPayload> {
        change(ctx, |vault, caller| vault.entries().disable(caller, id.0)).await
    }

    /// Enables a disabled entry. Responsible and above. Safe to repeat.
    async fn enable_vault_entry(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The id of the entry to enable.")] id: ID,
    ) -> Settled<VaultEntryPayload> {
        change(ctx, |vault, caller| vault.entries().enable(caller, id.0)).await
    }

    /// Deletes an entry. It can be restored until the retention period ends. Accountable only. Safe
    /// to repeat.
    async fn delete_vault_entry(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The id of the entry to delete.")] id: ID,
    ) -> Settled<VaultEntryPayload> {
        change(ctx, |vault, caller| vault.entries().delete(caller, id.0)).await
    }

    /// Restores a deleted entry. Accountable only. CONFLICT when the entry is not deleted, or its
    /// name has been taken since.
    async fn restore_vault_entry(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The id of the entry to restore.")] id: ID,
    ) -> Settled<VaultEntryPayload> {
        change(ctx, |vault, caller| vault.entries().restore(caller, id.0)).await
    }

    /// Erases a deleted entry with all its versions now. Accountable only. CONFLICT when the entry
    /// is not deleted.
    async fn purge_vault_entry(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The id of the entry to erase.")] id: ID,
    ) -> Settled<PurgeVaultEntryPayload> {
        change(ctx, |vault, caller| vault.entries().purge(caller, id.0)).await
    }

    /// Creates or rotates one entry per line of a .env text, all or nothing. Responsible and above.
    async fn import_vault_entries(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The text to import, and the scope of its entries.")] input: ImportVaultEntriesInput,
    ) -> Settled<ImportVaultEntriesPayload> {
        change(ctx, |vault, caller| vault.entries().import(caller, input.into())).await
    }

    /// Shows what importVaultEntries would do with each line of a .env text, and changes no entry. For
    /// those who may import: Responsible and above. With ROTATE, a line is SAME_MASK where its value has
    /// the maskedValue of the entry. No value is decrypted to compare.
    async fn preview_vault_import(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The text to import, and the scope of its entries.")] input: ImportVaultEntriesInput,
    ) -> Settled<VaultImportPreviewPayload> {
        change(ctx, |vault, caller| vault.entries().preview_import(caller, input.into())).await
    }

    /// Sets which entry names reach the project's sessions. Accountable only.
    async fn set_vault_environment_names(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The project, and the names that reach its sessions.")] input: SetVaultEnvironmentNamesInput,
    ) -> Settled<VaultEnvironmentNamesPayload> {
        change(ctx, |vault, caller| vault.entries().set_environment_names(caller, input.into())).await
    }

    /// Gives a person a role. Accountable, or the platform's service. Safe to repeat.
    async fn assign_vault_role(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The person, the project and the role to give.")] input: VaultRoleInput,
    ) -> Settled<VaultRolePayload> {
        change(ctx, |vault, caller| vault.members().assign_role(caller, input.into())).await
    }

    /// Takes a role from a person. Accountable, or the platform's service. Safe to repeat. CONFLICT
    /// for the last Accountable person.
    async fn revoke_vault_role(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The person, the project and the role to take.")] input: VaultRoleInput,
    ) -> Settled<VaultRolePayload> {
        change(ctx, |vault, caller| vault.members().revoke_role(caller, input.into())).await
    }

    /// Assigns an agent to a project, and to a milestone when milestoneId is given. Accountable, or
    /// the platform's service. Safe to repeat.
    async fn assign_vault_agent(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The agent, and the project or milestone to assign it to.")] input: VaultAgentInput,
    ) -> Settled<VaultAgentPayload> {
        change(ctx, |vault, caller| vault.members().assign_agent(caller, input.into())).await
    }

    /// Unassigns an agent from a milestone; without milestoneId, from the project and all its
    /// milestones. Accountable, or the platform's service. Safe to repeat.
    async fn unassign_vault_agent(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The agent, and the project or milestone to unassign it from.")] input: VaultAgentInput,
    ) -> Settled<VaultAgentPayload> {
        change(ctx, |vault, caller| vault.members().unassign_agent(caller, input.into())).await
    }

    /// Ends a milestone's phase now: its entries stop resolving. Accountable, or the platform's
    /// service.
    async fn close_vault_milestone(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The id of the milestone to close.")] id: ID,
    ) -> Settled<VaultMilestonePayload> {
        change(ctx, |vault, caller| vault.milestones().close(caller, id.0)).await
    }
}
