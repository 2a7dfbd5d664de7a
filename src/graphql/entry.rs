//! Entries as the API shows them.

#![allow(clippy::unused_async, reason = "the library takes resolvers as async functions")]

use super::answer::{granted, nullable, proof, required};
use super::connections::connection;
use super::document::MAX_SUBJECT;
use super::loaders::session;
use super::project::{Agent, Milestone, Project, User};
use super::scalars::{DateTime, SecretLeftOutReason, VaultCategory, VaultEntryStatus, VaultScope};
use crate::domain::{ApprovedNames, Category, EnvironmentNames, Result};
use crate::permission::{Authorized, CanAdminister, CanList, CanViewMasked};
use crate::vault::{Entry, EntryFilter, Page, Version, page_versions};
use async_graphql::{Context, ID, Object, SimpleObject};

/// A credential of a project, without its value.
#[derive(Clone)]
pub(super) struct VaultEntry(pub Entry);

const TYPE: &str = "VaultEntry";

impl VaultEntry {
    async fn read_masked(&self, ctx: &Context<'_>) -> Result<Option<String>> {
        let access = granted(ctx, &self.0.project, TYPE, "maskedValue").await?;
        let by = proof::<CanViewMasked>(&access)?;
        session(ctx)?.vault.entries().masked(&by, &self.0.hint, self.0.category).await.map(Some)
    }

    async fn read_versions(
        &self,
        ctx: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
    ) -> Result<Option<VaultEntryVersionConnection>> {
        let access = granted(ctx, &self.0.project, TYPE, "versions").await?;
        let by = proof::<CanViewMasked>(&access)?;
        let versions = session(ctx)?.versions(self.0.id).await?;
        let page = page_versions(self.0.id, &versions, first, after.as_deref())?;
        let shown = |version| VaultEntryVersion { version, category: self.0.category, by: by.clone() };
        Ok(Some(VaultEntryVersionConnection { page: super::connections::map(page, shown) }))
    }

    async fn read_exposures(&self, ctx: &Context<'_>) -> Result<Option<Vec<VaultExposure>>> {
        let access = granted(ctx, &self.0.project, TYPE, "exposures").await?;
        let by = proof::<CanAdminister>(&access)?;
        if *by.project() != self.0.project {
            return Err(crate::domain::Error::internal(
                "exposures were about to be shown under another project's permission",
            ));
        }
        let exposures = session(ctx)?.exposures(self.0.id).await?;
        let shown = exposures.into_iter().map(|exposure| VaultExposure {
            agent: Agent { id: ID(exposure.agent) },
            since: exposure.since.into(),
            last_received_at: exposure.last.into(),
        });
        Ok(Some(shown.collect()))
    }

    async fn read_left_out(&self, ctx: &Context<'_>) -> Result<Option<SecretLeftOutReason>> {
        let names = granted(ctx, &self.0.project, TYPE, "leftOutOfSessions").await?.environment_names;
        let session = session(ctx)?;
        let approved = match names {
            EnvironmentNames::Any => ApprovedNames::default(),
            EnvironmentNames::Suffixed => session.approved_names(&self.0.project).await?,
        };
        Ok(session.vault.entries().left_out(names, &approved, &self.0.name).map(Into::into))
    }

    async fn read_certificate(&self, ctx: &Context<'_>) -> Result<Option<VaultCertificate>> {
        if self.0.category != Category::Certificate {
            return Ok(None);
        }
        let access = granted(ctx, &self.0.project, TYPE, "certificate").await?;
        let certificate = session(ctx)?.vault.entries().certificate(&proof::<CanList>(&access)?, &self.0).await?;
        Ok(certificate.map(|certificate| VaultCertificate {
            subject: shortened(certificate.subject),
            issuer: shortened(certificate.issuer),
            not_before: certificate.not_before.into(),
            not_after: certificate.not_after.into(),
            fingerprint: certificate.fingerprint,
        }))
    }
}

/// An agent that holds an entry's current value.
#[derive(SimpleObject)]
pub(super) struct VaultExposure {
    /// Which agent.
    agent: Agent,
    /// When it first received it.
    since: DateTime,
    /// When it last did.
    last_received_at: DateTime,
}

/// A credential of a project, without its value.
#[Object]
impl VaultEntry {
    /// Its id.
    async fn id(&self) -> ID {
        ID(self.0.id.to_string())
    }

    /// Whose it is.
    async fn project(&self) -> Project {
        Project(self.0.project.clone())
    }

    /// The name an agent asks for, and the environment variable it becomes.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// What people noted about it.
    async fn description(&self) -> Option<&str> {
        self.0.description.as_deref()
    }

    /// What kind of credential it is.
    async fn category(&self) -> VaultCategory {
        self.0.category.into()
    }

    /// To what it belongs.
    async fn scope(&self) -> VaultScope {
        self.0.scope().into()
    }

    /// Set exactly when scope is MILESTONE.
    async fn milestone(&self) -> Option<Milestone> {
        self.0.milestone.clone().map(Milestone)
    }

    /// Whether it is live, and if not why.
    async fn status(&self) -> VaultEntryStatus {
        self.0.status.into()
    }

    /// When it expires; null for never.
    async fn expires_at(&self) -> Option<DateTime> {
        self.0.expires_at.map(DateTime)
    }

    /// The value's version, from 1; each rotation and rollback adds one.
    async fn version(&self) -> i32 {
        self.0.version
    }

    /// Grows with every change of the entry; hand it back as expectedRevision.
    async fn revision(&self) -> i32 {
        self.0.revision
    }

    /// How often its value should be replaced, in days.
    async fn rotation_interval_days(&self) -> Option<i32> {
        self.0.rotation_interval_days
    }

    /// When the value should be replaced: its version's age and rotationIntervalDays; null without one.
    async fn rotation_due_at(&self) -> Option<DateTime> {
        self.0.rotation_due_at().map(DateTime)
    }

    /// When it was created.
    async fn created_at(&self) -> DateTime {
        self.0.created_at.into()
    }

    /// By whom.
    async fn created_by(&self) -> User {
        User::from(&self.0.created_by)
    }

    /// When it was last changed.
    async fn updated_at(&self) -> DateTime {
        self.0.updated_at.into()
    }

    /// By whom.
    async fn updated_by(&self) -> User {
        User::from(&self.0.updated_by)
    }

    /// Such as sk-****abc. Consulted and above.
    async fn masked_value(&self, ctx: &Context<'_>) -> Option<async_graphql::Result<String>> {
        nullable(self.read_masked(ctx).await)
    }

    /// Newest first. Consulted and above.
    async fn versions(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many elements: 0 to 100, 50 when left out.")] first: Option<i32>,
        #[graphql(desc = "The cursor to go on behind; one that this list gave, with the same filter and order.")] after: Option<String>,
    ) -> Option<async_graphql::Result<VaultEntryVersionConnection>> {
        nullable(self.read_versions(ctx, first, after).await)
    }

    /// When an agent last received a value of this entry. Consulted and above.
    async fn last_resolved_at(&self, ctx: &Context<'_>) -> Option<async_graphql::Result<DateTime>> {
        let granted = granted(ctx, &self.0.project, TYPE, "lastResolvedAt").await;
        nullable(granted.map(|_| self.0.usage.last.map(DateTime)))
    }

    /// How often agents received one. Consulted and above.
    async fn resolve_count(&self, ctx: &Context<'_>) -> Option<async_graphql::Result<i32>> {
        let granted = granted(ctx, &self.0.project, TYPE, "resolveCount").await;
        nullable(granted.map(|_| Some(i32::try_from(self.0.usage.count).unwrap_or(i32::MAX))))
    }

    /// The agents that received the current value, by the access records there are: whom a leak concerns, and what a rotation makes safe.
    /// Accountable only.
    async fn exposures(&self, ctx: &Context<'_>) -> Option<async_graphql::Result<Vec<VaultExposure>>> {
        nullable(self.read_exposures(ctx).await)
    }

    /// Why the entry's name keeps it out of sessions; null when it does not. A resolve that names the
    /// entry receives it.
    async fn left_out_of_sessions(&self, ctx: &Context<'_>) -> Option<async_graphql::Result<SecretLeftOutReason>> {
        nullable(self.read_left_out(ctx).await)
    }

    /// Read from a CERTIFICATE's first certificate; null for every other category.
    async fn certificate(&self, ctx: &Context<'_>) -> Option<async_graphql::Result<VaultCertificate>> {
        nullable(self.read_certificate(ctx).await)
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

/// What a certificate says about itself.
#[derive(SimpleObject)]
pub(super) struct VaultCertificate {
    /// Whom it names.
    subject: String,
    /// Who signed it.
    issuer: String,
    /// The first instant at which it is valid.
    not_before: DateTime,
    /// The last one.
    not_after: DateTime,
    /// SHA-256 of the DER form, lower-case hex.
    fingerprint: String,
}

/// One value an entry has, or had.
#[derive(Clone)]
pub(super) struct VaultEntryVersion {
    version: Version,
    category: Category,
    by: Authorized<CanViewMasked>,
}

/// One value an entry has, or had.
#[Object]
impl VaultEntryVersion {
    /// Its number, from 1.
    async fn version(&self) -> i32 {
        self.version.version
    }

    /// Such as sk-****abc.
    async fn masked_value(&self, ctx: &Context<'_>) -> async_graphql::Result<String> {
        let vault = &required(session(ctx))?.vault;
        required(vault.entries().masked(&self.by, &self.version.hint, self.category).await)
    }

    /// When it was made.
    async fn created_at(&self) -> DateTime {
        self.version.created_at.into()
    }

    /// By whom.
    async fn created_by(&self) -> User {
        User::from(&self.version.created_by)
    }

    /// The version whose value a rollback brought back.
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
        /// How many elements the whole list has.
        async fn total_count(&self, ctx: &Context<'_>) -> async_graphql::Result<i32> {
            let vault = &required(session(ctx))?.vault;
            let count = required(vault.entries().count(&self.by, self.deleted.as_ref(), &self.filter).await)?;
            Ok(i32::try_from(count).unwrap_or(i32::MAX))
        }
    }
);
