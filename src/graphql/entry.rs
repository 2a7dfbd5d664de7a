//! Entries as the API shows them.

#![allow(clippy::unused_async, reason = "the library takes resolvers as async functions")]

use super::answer::{nullable, required};
use super::connections::connection;
use super::document::MAX_SUBJECT;
use super::loaders::request;
use super::permissions::{
    CERTIFICATE, EXPOSURES, LAST_RESOLVED_AT, LEFT_OUT_OF_SESSIONS, MASKED_VALUE, RESOLVE_COUNT, VERSIONS, granted,
};
use super::project::{Milestone, Project};
use super::references::{Agent, User};
use super::scalars::{DateTime, SecretLeftOutReason, VaultCategory, VaultEntryStatus, VaultScope, int};
use crate::domain::{ApprovedNames, Category, EnvironmentNames};
use crate::permission::{Authorized, CanViewMasked};
use crate::vault::{Entry, EntryList, Page, Version, page_versions};
use async_graphql::{Context, ID, Object, SimpleObject};

/// A credential of a project, without its value.
#[derive(Clone)]
pub(super) struct VaultEntry(pub Entry);

/// An agent that received an entry's current value.
#[derive(SimpleObject)]
pub(super) struct VaultExposure {
    /// The agent that received the value.
    agent: Agent,
    /// When the agent first received the value.
    since: DateTime,
    /// When the agent last received the value.
    last_received_at: DateTime,
}

/// A credential of a project, without its value.
#[Object]
impl VaultEntry {
    /// The entry's id, a UUID.
    async fn id(&self) -> ID {
        ID(self.0.id.to_string())
    }

    /// The project the entry belongs to.
    async fn project(&self) -> Project {
        Project(self.0.project.clone())
    }

    /// The name an agent asks for, and the environment variable that receives the value.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// A note by the people who keep the entry; null without one.
    async fn description(&self) -> Option<&str> {
        self.0.description.as_deref()
    }

    /// The kind of credential the entry holds.
    async fn category(&self) -> VaultCategory {
        self.0.category.into()
    }

    /// Whether the entry belongs to the whole project or to one milestone.
    async fn scope(&self) -> VaultScope {
        self.0.scope().into()
    }

    /// The milestone the entry is scoped to; null when scope is PROJECT.
    async fn milestone(&self) -> Option<Milestone> {
        self.0.milestone.clone().map(Milestone)
    }

    /// Whether agents can receive the entry, and if not why.
    async fn status(&self) -> VaultEntryStatus {
        self.0.status.into()
    }

    /// When the entry expires; null for never.
    async fn expires_at(&self) -> Option<DateTime> {
        self.0.expires_at.map(DateTime)
    }

    /// The current version's number, from 1; each rotation and rollback adds one.
    async fn version(&self) -> i32 {
        self.0.version
    }

    /// Grows with every change of the entry; pass it as expectedRevision.
    async fn revision(&self) -> i32 {
        self.0.revision
    }

    /// How often the value should be replaced, in days; null when rotation is never due.
    async fn rotation_interval_days(&self) -> Option<i32> {
        self.0.rotation_interval_days
    }

    /// When the value should be replaced: rotationIntervalDays after the current version was made;
    /// null without an interval.
    async fn rotation_due_at(&self) -> Option<DateTime> {
        self.0.rotation_due_at().map(DateTime)
    }

    /// When the entry was created.
    async fn created_at(&self) -> DateTime {
        self.0.created_at.into()
    }

    /// The person who created the entry.
    async fn created_by(&self) -> User {
        User::from(&self.0.created_by)
    }

    /// When the entry was last changed.
    async fn updated_at(&self) -> DateTime {
        self.0.updated_at.into()
    }

    /// The person who last changed the entry.
    async fn updated_by(&self) -> User {
        User::from(&self.0.updated_by)
    }

    /// The value's first and last three characters, such as `sk-****abc`; `****` alone for a value
    /// of less than 20 characters, a PASSWORD and a CERTIFICATE. Consulted and above.
    async fn masked_value(&self, ctx: &Context<'_>) -> Option<async_graphql::Result<String>> {
        let read = async {
            let by = granted(ctx, &self.0.project, &MASKED_VALUE).await?.by;
            request(ctx)?.vault.entries().masked(&by, self.0.hint(), self.0.category).await.map(Some)
        };
        nullable(read.await)
    }

    /// The last 10 versions, newest first. Consulted and above.
    async fn versions(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Number of elements on the page: 0 to 100. Default: 50.")] first: Option<i32>,
        #[graphql(
            desc = "Return the elements after this cursor, which the same list gave for the same filter and order."
        )]
        after: Option<String>,
    ) -> Option<async_graphql::Result<VaultEntryVersionConnection>> {
        let read = async {
            let by = granted(ctx, &self.0.project, &VERSIONS).await?.by;
            let versions = request(ctx)?.versions(self.0.id).await?;
            let page = page_versions(self.0.id, &versions, first, after.as_deref())?;
            let shown = |version| VaultEntryVersion { version, category: self.0.category, by: by.clone() };
            Ok(Some(VaultEntryVersionConnection { page: page.map(shown) }))
        };
        nullable(read.await)
    }

    /// When an agent last received a value of this entry; null when none has. Consulted and above.
    async fn last_resolved_at(&self, ctx: &Context<'_>) -> Option<async_graphql::Result<DateTime>> {
        let read = async {
            let by = granted(ctx, &self.0.project, &LAST_RESOLVED_AT).await?.by;
            Ok(request(ctx)?.usage(&by, &self.0).await?.last.map(DateTime))
        };
        nullable(read.await)
    }

    /// How often agents received a value of this entry. Consulted and above.
    async fn resolve_count(&self, ctx: &Context<'_>) -> Option<async_graphql::Result<i32>> {
        let read = async {
            let by = granted(ctx, &self.0.project, &RESOLVE_COUNT).await?.by;
            let count = request(ctx)?.usage(&by, &self.0).await?.count;
            Ok(Some(int(count)))
        };
        nullable(read.await)
    }

    /// The agents that received the current value: the agents a leak may come from. Those that
    /// received it last come first, at most 100; the audit events of the entry name all. Empty
    /// after a rotation. Accountable only.
    async fn exposures(&self, ctx: &Context<'_>) -> Option<async_graphql::Result<Vec<VaultExposure>>> {
        let read = async {
            let by = granted(ctx, &self.0.project, &EXPOSURES).await?.by;
            let exposures = request(ctx)?.exposures(&by, self.0.id).await?;
            let shown = exposures.into_iter().map(|exposure| VaultExposure {
                agent: Agent { id: ID(exposure.agent) },
                since: exposure.since.into(),
                last_received_at: exposure.last.into(),
            });
            Ok(Some(shown.collect()))
        };
        nullable(read.await)
    }

    /// Why the entry's name keeps it out of sessions; null when it does not. A resolve that asks
    /// for the name still receives the entry. Informed and above.
    async fn left_out_of_sessions(&self, ctx: &Context<'_>) -> Option<async_graphql::Result<SecretLeftOutReason>> {
        let read = async {
            let names = granted(ctx, &self.0.project, &LEFT_OUT_OF_SESSIONS).await?.access.environment_names;
            let request = request(ctx)?;
            let approved = match names {
                EnvironmentNames::Any => ApprovedNames::default(),
                EnvironmentNames::Suffixed => request.approved_names(&self.0.project).await?,
            };
            Ok(request.vault.entries().left_out(names, &approved, &self.0.name).map(Into::into))
        };
        nullable(read.await)
    }

    /// What the first certificate of a CERTIFICATE says; null for every other category.
    async fn certificate(&self, ctx: &Context<'_>) -> Option<async_graphql::Result<VaultCertificate>> {
        let read = async {
            if self.0.category != Category::Certificate {
                return Ok(None);
            }
            let by = granted(ctx, &self.0.project, &CERTIFICATE).await?.by;
            let certificate = request(ctx)?.vault.entries().certificate(&by, &self.0).await?;
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

/// A certificate's name, cut to [`MAX_SUBJECT`] characters: the certificate's author chose its
/// length.
fn shortened(mut name: String) -> String {
    if let Some((end, _)) = name.char_indices().nth(MAX_SUBJECT) {
        name.truncate(end);
        name.push('…');
    }
    name
}

/// What a certificate says about itself. Names are cut at 1,000 characters.
#[derive(SimpleObject)]
pub(super) struct VaultCertificate {
    /// The name of the certificate's owner.
    subject: String,
    /// The name of the authority that signed the certificate.
    issuer: String,
    /// The first instant at which the certificate is valid.
    not_before: DateTime,
    /// The last instant at which the certificate is valid.
    not_after: DateTime,
    /// SHA-256 of the certificate in DER, in lower-case hex.
    fingerprint: String,
}

/// One version of an entry's value.
#[derive(Clone)]
pub(super) struct VaultEntryVersion {
    version: Version,
    category: Category,
    by: Authorized<CanViewMasked>,
}

/// One version of an entry's value.
#[Object]
impl VaultEntryVersion {
    /// The version's number, from 1.
    async fn version(&self) -> i32 {
        self.version.version
    }

    /// The value's first and last three characters, such as `sk-****abc`, or `****` alone, as in
    /// VaultEntry.maskedValue.
    async fn masked_value(&self, ctx: &Context<'_>) -> async_graphql::Result<String> {
        let vault = &required(request(ctx))?.vault;
        required(vault.entries().masked(&self.by, self.version.hint(), self.category).await)
    }

    /// When the version was made.
    async fn created_at(&self) -> DateTime {
        self.version.created_at.into()
    }

    /// The person who made the version.
    async fn created_by(&self) -> User {
        User::from(&self.version.created_by)
    }

    /// The number of the version whose value a rollback brought back; null for a value that was
    /// new.
    async fn restored_from(&self) -> Option<i32> {
        self.version.restored_from
    }
}

connection!(VaultEntryVersionConnection { page: Page<VaultEntryVersion> }, VaultEntryVersionEdge);

connection!(
    VaultEntryConnection {
        page: Page<VaultEntry>,
        list: EntryList
    },
    VaultEntryEdge,
    {
        /// Number of elements in the whole list.
        async fn total_count(&self, ctx: &Context<'_>) -> async_graphql::Result<i32> {
            let count = required(required(request(ctx))?.total(self.list.clone()).await)?;
            Ok(int(count))
        }
    }
);
