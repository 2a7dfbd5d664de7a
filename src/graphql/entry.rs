//! Entries as the API shows them.

#![allow(clippy::unused_async, reason = "the library takes resolvers as async functions")]

use super::answer::{nullable, required};
use super::connections::connection;
use super::document::MAX_SUBJECT;
use super::loaders::session;
use super::permissions::{
    CERTIFICATE, EXPOSURES, LAST_RESOLVED_AT, LEFT_OUT_OF_SESSIONS, MASKED_VALUE, RESOLVE_COUNT, VERSIONS, granted,
};
use super::project::{Agent, Milestone, Project, User};
use super::scalars::{DateTime, SecretLeftOutReason, VaultCategory, VaultEntryStatus, VaultScope};
use crate::domain::{ApprovedNames, Category, EnvironmentNames};
use crate::permission::{Authorized, CanAdminister, CanList, CanViewMasked};
use crate::vault::{Entry, EntryFilter, Page, Version, page_versions};
use async_graphql::{Context, ID, Object, SimpleObject};

/// A credential of a project, without its value.
#[derive(Clone)]
pub(super) struct VaultEntry(pub Entry);

/// An agent that received an entry's current value.
#[derive(SimpleObject)]
pub(super) struct VaultExposure {
    /// The agent.
    agent: Agent,
    /// When the agent first received the value.
    since: DateTime,
    /// When the agent last received the value.
    last_received_at: DateTime,
}

/// A credential of a project, without its value.
#[Object]
impl VaultEntry {
    /// The entry's id.
    async fn id(&self) -> ID {
        ID(self.0.id.to_string())
    }

    /// The project it belongs to.
    async fn project(&self) -> Project {
        Project(self.0.project.clone())
    }

    /// The name an agent asks for, and the environment variable it becomes.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// The note people wrote about it; null without one.
    async fn description(&self) -> Option<&str> {
        self.0.description.as_deref()
    }

    /// What kind of credential it is.
    async fn category(&self) -> VaultCategory {
        self.0.category.into()
    }

    /// Whether it belongs to the whole project or to one milestone.
    async fn scope(&self) -> VaultScope {
        self.0.scope().into()
    }

    /// The milestone it belongs to; set exactly when scope is MILESTONE.
    async fn milestone(&self) -> Option<Milestone> {
        self.0.milestone.clone().map(Milestone)
    }

    /// Whether agents receive it, and if not why.
    async fn status(&self) -> VaultEntryStatus {
        self.0.status.into()
    }

    /// When it expires; null for never.
    async fn expires_at(&self) -> Option<DateTime> {
        self.0.expires_at.map(DateTime)
    }

    /// The number of the current version, from 1. Each rotation and rollback adds one.
    async fn version(&self) -> i32 {
        self.0.version
    }

    /// A number that grows with every change of the entry. Pass it as expectedRevision to change
    /// only what you have seen.
    async fn revision(&self) -> i32 {
        self.0.revision
    }

    /// The number of days after which the value should be rotated; null without a rule.
    async fn rotation_interval_days(&self) -> Option<i32> {
        self.0.rotation_interval_days
    }

    /// When the value should be rotated: rotationIntervalDays after the current version was made;
    /// null without a rule.
    async fn rotation_due_at(&self) -> Option<DateTime> {
        self.0.rotation_due_at().map(DateTime)
    }

    /// When it was created.
    async fn created_at(&self) -> DateTime {
        self.0.created_at.into()
    }

    /// The person who did so.
    async fn created_by(&self) -> User {
        User::from(&self.0.created_by)
    }

    /// When it was last changed.
    async fn updated_at(&self) -> DateTime {
        self.0.updated_at.into()
    }

    /// The person who did so.
    async fn updated_by(&self) -> User {
        User::from(&self.0.updated_by)
    }

    /// The value with most of it hidden, such as sk-****abc. Requires Consulted or above.
    async fn masked_value(&self, ctx: &Context<'_>) -> Option<async_graphql::Result<String>> {
        let read = async {
            let by = granted(ctx, &self.0.project, &MASKED_VALUE).await?.by;
            session(ctx)?.vault.entries().masked(&by, &self.0.hint, self.0.category).await.map(Some)
        };
        nullable(read.await)
    }

    /// The entry's versions, newest first. Requires Consulted or above.
    async fn versions(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The maximum number of elements to return: 0 to 100, by default 50.")] first: Option<i32>,
        #[graphql(
            desc = "Return the elements after this cursor, which the same list gave for the same filter and order."
        )]
        after: Option<String>,
    ) -> Option<async_graphql::Result<VaultEntryVersionConnection>> {
        let read = async {
            let by = granted(ctx, &self.0.project, &VERSIONS).await?.by;
            let versions = session(ctx)?.versions(self.0.id).await?;
            let page = page_versions(self.0.id, &versions, first, after.as_deref())?;
            let shown = |version| VaultEntryVersion { version, category: self.0.category, by: by.clone() };
            Ok(Some(VaultEntryVersionConnection { page: super::connections::map(page, shown) }))
        };
        nullable(read.await)
    }

    /// When an agent last received a value of this entry; null for never. Requires Consulted or
    /// above.
    async fn last_resolved_at(&self, ctx: &Context<'_>) -> Option<async_graphql::Result<DateTime>> {
        let granted = granted(ctx, &self.0.project, &LAST_RESOLVED_AT).await;
        nullable(granted.map(|_| self.0.usage.last.map(DateTime)))
    }

    /// The number of times agents received a value of this entry. Requires Consulted or above.
    async fn resolve_count(&self, ctx: &Context<'_>) -> Option<async_graphql::Result<i32>> {
        let granted = granted(ctx, &self.0.project, &RESOLVE_COUNT).await;
        nullable(granted.map(|_| Some(i32::try_from(self.0.usage.count).unwrap_or(i32::MAX))))
    }

    /// The agents that received the current value, as far as access records go back: those a leak
    /// may come from, and whose copy a rotation makes worthless. Requires Accountable.
    async fn exposures(&self, ctx: &Context<'_>) -> Option<async_graphql::Result<Vec<VaultExposure>>> {
        let read = async {
            granted(ctx, &self.0.project, &EXPOSURES).await?;
            let exposures = session(ctx)?.exposures(self.0.id).await?;
            let shown = exposures.into_iter().map(|exposure| VaultExposure {
                agent: Agent { id: ID(exposure.agent) },
                since: exposure.since.into(),
                last_received_at: exposure.last.into(),
            });
            Ok(Some(shown.collect()))
        };
        nullable(read.await)
    }

    /// Why sessions do not receive the entry; null when they do. A resolve that names the entry
    /// receives it.
    async fn left_out_of_sessions(&self, ctx: &Context<'_>) -> Option<async_graphql::Result<SecretLeftOutReason>> {
        let read = async {
            let names = granted(ctx, &self.0.project, &LEFT_OUT_OF_SESSIONS).await?.access.environment_names;
            let session = session(ctx)?;
            let approved = match names {
                EnvironmentNames::Any => ApprovedNames::default(),
                EnvironmentNames::Suffixed => session.approved_names(&self.0.project).await?,
            };
            Ok(session.vault.entries().left_out(names, &approved, &self.0.name).map(Into::into))
        };
        nullable(read.await)
    }

    /// Details of the first certificate in the value; null unless the category is CERTIFICATE.
    async fn certificate(&self, ctx: &Context<'_>) -> Option<async_graphql::Result<VaultCertificate>> {
        let read = async {
            if self.0.category != Category::Certificate {
                return Ok(None);
            }
            let by = granted(ctx, &self.0.project, &CERTIFICATE).await?.by;
            let certificate = session(ctx)?.vault.entries().certificate(&by, &self.0).await?;
            Ok(certificate.map(|certificate| VaultCertificate {
                subject: shortened(certificate.subject),
                issuer: shortened(certificate.issuer),
                not_before: certificate.not_before.into(),
                not_after: certificate.not_after.into(),
                fingerprint: certificate.fingerprint,
            }))
        };
        nullable(read.await)
    }
}

/// A certificate's name as it is shown: whoever wrote the certificate chose its length.
fn shortened(mut name: String) -> String {
    if let Some((end, _)) = name.char_indices().nth(MAX_SUBJECT) {
        name.truncate(end);
        name.push('…');
    }
    name
}

/// The contents of an X.509 certificate; the vault does not verify it.
#[derive(SimpleObject)]
pub(super) struct VaultCertificate {
    /// The subject's distinguished name.
    subject: String,
    /// The issuer's distinguished name.
    issuer: String,
    /// The first instant at which it is valid.
    not_before: DateTime,
    /// The last instant at which it is valid.
    not_after: DateTime,
    /// SHA-256 of its DER encoding, in lower-case hexadecimal.
    fingerprint: String,
}

/// A value that an entry has or had.
#[derive(Clone)]
pub(super) struct VaultEntryVersion {
    version: Version,
    category: Category,
    by: Authorized<CanViewMasked>,
}

/// A value that an entry has or had.
#[Object]
impl VaultEntryVersion {
    /// The version's number, from 1.
    async fn version(&self) -> i32 {
        self.version.version
    }

    /// The value with most of it hidden, such as sk-****abc.
    async fn masked_value(&self, ctx: &Context<'_>) -> async_graphql::Result<String> {
        let vault = &required(session(ctx))?.vault;
        required(vault.entries().masked(&self.by, &self.version.hint, self.category).await)
    }

    /// When it was made.
    async fn created_at(&self) -> DateTime {
        self.version.created_at.into()
    }

    /// The person who did so.
    async fn created_by(&self) -> User {
        User::from(&self.version.created_by)
    }

    /// The version whose value a rollback brought back; null for a value that was written.
    async fn restored_from(&self) -> Option<i32> {
        self.version.restored_from
    }
}

connection!(VaultEntryVersionConnection { page: Page<VaultEntryVersion> }, VaultEntryVersionEdge);

connection!(
    VaultEntryConnection {
        page: Page<VaultEntry>,
        by: Authorized<CanList>,
        deleted: Option<Authorized<CanAdminister>>,
        filter: EntryFilter
    },
    VaultEntryEdge,
    {
        /// The number of elements in the whole list.
        async fn total_count(&self, ctx: &Context<'_>) -> async_graphql::Result<i32> {
            let vault = &required(session(ctx))?.vault;
            let count = required(vault.entries().count(&self.by, self.deleted.as_ref(), &self.filter).await)?;
            Ok(i32::try_from(count).unwrap_or(i32::MAX))
        }
    }
);
