//! The root fields of queries, and the entities by their keys.

#![allow(clippy::unused_async, reason = "the library takes resolvers as async functions")]

use super::answer::{nullable, required};
use super::audit::{VaultAuditEventConnection, VaultAuditFilter, audit_query};
use super::entry::VaultEntry;
use super::error::no_such_entity;
use super::installation::VaultInstallation;
use super::is_runtime;
use super::loaders::request;
use super::permissions;
use super::project::{Milestone, Project, ProjectVault, ProjectVaultConnection, find_vault};
use super::resolving::{PreviewSecretsInput, ResolveSecretsInput, ResolvedSecrets, SecretsPreview};
use crate::domain::{EntryId, Error, IdError, MilestoneId, ProjectId, Result};
use crate::permission::Permission;
use async_graphql::{Context, ID, Object};

pub(super) struct Query;

fn id<T>(read: Result<T, IdError>, field: &'static str) -> Result<T> {
    read.map_err(|error| Error::invalid(&[field], format!("Not an id: {error}.")))
}

impl Query {
    async fn find_project(&self, ctx: &Context<'_>, project: ID) -> Result<Option<ProjectVault>> {
        find_vault(ctx, &id(ProjectId::parse(project.0), "projectId")?).await
    }

    /// The entry, if the viewer may list its project; a DELETED one if they may administer it. Asks
    /// for what is selected below at once, and about nowhere where there is no such entry.
    pub(super) async fn find_entry(ctx: &Context<'_>, id: &str) -> Result<Option<VaultEntry>> {
        let request = request(ctx)?;
        let entry = match EntryId::parse(id) {
            Some(id) => request.entry(id).await?,
            None => None,
        };
        let needed = entry.as_ref().map_or(Permission::CanList, crate::vault::Entry::permission_to_see);
        let mut permissions = permissions::selected(ctx);
        permissions.insert(needed);
        let project = entry.as_ref().map(|entry| entry.project.clone());
        let held = request.access(permissions.into_iter().map(|permission| (project.clone(), permission))).await?;
        let shown = entry.filter(|_| held.contains_key(&(project, needed)));
        if shown.is_none() {
            request.concealment.note();
        }
        Ok(shown.map(VaultEntry))
    }
}

/// Reads. Where a field is above the viewer's permissions it is null, with one FORBIDDEN error at
/// its path.
#[Object]
impl Query {
    /// The vault of one project. Null when it does not exist or the viewer may see nothing of it.
    async fn project_vault(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The id of the project.")] project_id: ID,
    ) -> Option<async_graphql::Result<ProjectVault>> {
        nullable(self.find_project(ctx, project_id).await)
    }

    /// The projects that the viewer, a person, may see anything of, by id. For people only; null with
    /// FORBIDDEN for everybody else. LIMIT_EXCEEDED for viewers of more than 1,000, such as an auditor
    /// of a large vault.
    async fn vault_projects(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Number of elements on the page: 0 to 100. Default: 50.")] first: Option<i32>,
        #[graphql(
            desc = "Return the elements after this cursor, which the same list gave for the same filter and order."
        )]
        after: Option<String>,
    ) -> Option<async_graphql::Result<ProjectVaultConnection>> {
        let read = async {
            let request = request(ctx)?;
            Box::pin(request.vault.projects().visible(&request.caller, first, after.as_deref())).await
        };
        nullable(read.await.map(|(page, total)| Some(ProjectVaultConnection { page: page.map(ProjectVault), total })))
    }

    /// The installation, for its operators: its parts, keys and signed heads. For auditors of the
    /// vault only; null with FORBIDDEN for everybody else.
    async fn vault_installation(&self, ctx: &Context<'_>) -> Option<async_graphql::Result<VaultInstallation>> {
        let read = async {
            let request = request(ctx)?;
            let by = request.vault.access().authorize_auditor(&request.caller).await?;
            Box::pin(request.vault.overview().read(&by)).await
        };
        nullable(read.await.map(|overview| Some(overview.into())))
    }

    /// One entry. Null when it does not exist or the viewer may not list its project's entries; a
    /// DELETED entry exists only for viewers who are Accountable.
    async fn vault_entry(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The id of the entry.")] id: ID,
    ) -> Option<async_graphql::Result<VaultEntry>> {
        nullable(Self::find_entry(ctx, &id).await)
    }

    /// Audit events, newest first, also of deleted projects. For auditors of the vault only; null
    /// with FORBIDDEN for everybody else. With a filter, a page examines at most 10,000 events, as
    /// in ProjectVault.auditEvents.
    async fn vault_audit_events(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Limits the list to one project; without it, the list covers the whole vault.")]
        project_id: Option<ID>,
        #[graphql(desc = "Number of elements on the page: 0 to 100. Default: 50.")] first: Option<i32>,
        #[graphql(
            desc = "Return the elements after this cursor, which the same list gave for the same filter and order."
        )]
        after: Option<String>,
        #[graphql(desc = "Selects the events to list. Left out: all.")] filter: Option<VaultAuditFilter>,
    ) -> Option<async_graphql::Result<VaultAuditEventConnection>> {
        let read = async {
            let request = request(ctx)?;
            let query = audit_query(first, after, filter);
            let by = request.vault.access().authorize_auditor(&request.caller).await?;
            request.vault.audit().vault_events(&by, project_id.map(|id| id.0), &query).await
        };
        nullable(read.await.map(|page| Some(page.into())))
    }

    /// What an agent would receive now, name by name. Decrypts nothing. For a Responsible person or
    /// above, or a runtime that may act through the agent; null with FORBIDDEN for everybody else.
    async fn preview_secrets(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The agent, the project and the names to preview.")] input: PreviewSecretsInput,
    ) -> Option<async_graphql::Result<SecretsPreview>> {
        let read = async {
            let request = request(ctx)?;
            let seen = request.vault.agents().preview(&request.caller, input.into()).await;
            seen.inspect_err(|error| request.concealment.note_error(error))
        };
        nullable(read.await.map(|preview| Some(preview.into())))
    }

    /// The decrypted values. Only a runtime may call it, by POST, for an agent that may receive
    /// them now; everything else is FORBIDDEN. Hidden from the supergraph, and from introspection
    /// by anyone but a runtime.
    #[graphql(inaccessible, visible = "is_runtime")]
    async fn resolve_secrets(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The agent, the project and the names to resolve.")] input: ResolveSecretsInput,
    ) -> async_graphql::Result<ResolvedSecrets> {
        let read = async {
            let request = request(ctx)?;
            let resolved = request.vault.agents().resolve(&request.caller, input.into()).await;
            let resolved = resolved.inspect_err(|error| request.concealment.note_error(error))?;
            Ok(ResolvedSecrets::new(resolved, &request.caller.request_id))
        };
        required(read.await)
    }

    #[graphql(entity)]
    async fn project_entity(&self, id: ID) -> async_graphql::Result<Project> {
        ProjectId::parse(id.0).map(Project).map_err(|_| no_such_entity().into())
    }

    #[graphql(entity)]
    async fn milestone_entity(&self, id: ID) -> async_graphql::Result<Milestone> {
        MilestoneId::parse(id.0).map(Milestone).map_err(|_| no_such_entity().into())
    }

    #[graphql(entity)]
    async fn entry_entity(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The id of the entry.")] id: ID,
    ) -> async_graphql::Result<Option<VaultEntry>> {
        required(Self::find_entry(ctx, &id).await)
    }
}
