//! The context of one request: its caller, and loaders that batch and cache what its fields read.

use super::pacing::Concealment;
use super::rounds::{NoDelay, PendingLoads};
use crate::domain::{ApprovedNames, EntryId, Error, MilestoneId, ProjectId, with_causes};
use crate::permission::{Authorized, CanAdminister, Permission};
use crate::vault::{Caller, Entry, Exposure, Milestone, PermissionOn, ProjectAccess, Vault, Version};
use async_graphql::Context;
use async_graphql::dataloader::{DataLoader, HashMapCache, Loader};
use std::collections::HashMap;
use std::sync::Arc;

/// Maximum number of keys in one batch: more than any operation can ask for, so that no batch is
/// split.
const MAX_KEYS: usize = 100_000;

/// An error that several fields share.
type Shared = Arc<Error>;

type Cached<T> = DataLoader<T, HashMapCache>;

/// The caller of one request, and its loaders.
pub(super) struct RequestContext {
    pub vault: Vault,
    pub caller: Caller,
    pub concealment: Concealment,
    access: Cached<Decisions>,
    entries: Cached<Entries>,
    versions: Cached<Versions>,
    exposures: Cached<Exposures>,
    milestones: Cached<Milestones>,
    approved: Cached<Approved>,
}

struct Decisions(Vault, Caller);
struct Entries(Vault);
struct Versions(Vault);
struct Exposures(Vault);
struct Milestones(Vault);
struct Approved(Vault);

impl Loader<PermissionOn> for Decisions {
    /// `None` when the permission is not held, so that a no is cached too.
    type Value = Option<ProjectAccess>;
    type Error = Shared;

    async fn load(&self, keys: &[PermissionOn]) -> Result<HashMap<PermissionOn, Self::Value>, Shared> {
        let mut held = self.0.access().decide(&self.1, keys).await?;
        Ok(keys.iter().map(|key| (key.clone(), held.remove(key))).collect())
    }
}

impl Loader<EntryId> for Entries {
    type Value = Entry;
    type Error = Shared;

    async fn load(&self, keys: &[EntryId]) -> Result<HashMap<EntryId, Entry>, Shared> {
        Ok(self.0.entries().by_id(keys).await?)
    }
}

impl Loader<EntryId> for Versions {
    type Value = Vec<Version>;
    type Error = Shared;

    async fn load(&self, keys: &[EntryId]) -> Result<HashMap<EntryId, Vec<Version>>, Shared> {
        Ok(self.0.entries().versions_of(keys).await?)
    }
}

impl Loader<EntryId> for Exposures {
    type Value = Vec<Exposure>;
    type Error = Shared;

    async fn load(&self, keys: &[EntryId]) -> Result<HashMap<EntryId, Vec<Exposure>>, Shared> {
        Ok(self.0.audit().exposures_of(keys).await?)
    }
}

impl Loader<MilestoneId> for Milestones {
    type Value = Milestone;
    type Error = Shared;

    async fn load(&self, keys: &[MilestoneId]) -> Result<HashMap<MilestoneId, Milestone>, Shared> {
        Ok(self.0.milestones().by_id(keys).await?)
    }
}

impl Loader<ProjectId> for Approved {
    type Value = ApprovedNames;
    type Error = Shared;

    async fn load(&self, keys: &[ProjectId]) -> Result<HashMap<ProjectId, ApprovedNames>, Shared> {
        Ok(self.0.entries().approved_names(keys).await?)
    }
}

/// A copy of a shared error for one field.
fn own(error: &Shared) -> Error {
    match &**error {
        Error::Unavailable { message, will_take_effect } => {
            Error::Unavailable { message, will_take_effect: *will_take_effect }
        }
        error => Error::internal(with_causes(error)),
    }
}

fn cached<T>(loader: T, loads: &PendingLoads) -> Cached<T> {
    DataLoader::with_cache(loader, loads.clone(), NoDelay, HashMapCache::default()).max_batch_size(MAX_KEYS)
}

impl RequestContext {
    pub(super) fn new(vault: Vault, caller: Caller, loads: &PendingLoads, concealment: Concealment) -> Self {
        Self {
            access: cached(Decisions(vault.clone(), caller.clone()), loads),
            entries: cached(Entries(vault.clone()), loads),
            versions: cached(Versions(vault.clone()), loads),
            exposures: cached(Exposures(vault.clone()), loads),
            milestones: cached(Milestones(vault.clone()), loads),
            approved: cached(Approved(vault.clone()), loads),
            vault,
            caller,
            concealment,
        }
    }

    /// The permissions of `keys` that the caller holds.
    pub(super) async fn access(
        &self,
        keys: impl IntoIterator<Item = PermissionOn>,
    ) -> Result<HashMap<PermissionOn, ProjectAccess>, Error> {
        let answers = self.access.load_many(keys).await.map_err(|error| own(&error))?;
        Ok(answers.into_iter().filter_map(|(key, access)| Some((key, access?))).collect())
    }

    /// Whether the caller holds one permission on one project.
    pub(super) async fn may(
        &self,
        project: &ProjectId,
        permission: Permission,
    ) -> Result<Option<ProjectAccess>, Error> {
        let key = (Some(project.clone()), permission);
        Ok(self.access([key.clone()]).await?.remove(&key))
    }

    pub(super) async fn entry(&self, id: EntryId) -> Result<Option<Entry>, Error> {
        self.entries.load_one(id).await.map_err(|error| own(&error))
    }

    pub(super) async fn versions(&self, id: EntryId) -> Result<Vec<Version>, Error> {
        Ok(self.versions.load_one(id).await.map_err(|error| own(&error))?.unwrap_or_default())
    }

    pub(super) async fn exposures(&self, _: &Authorized<CanAdminister>, id: EntryId) -> Result<Vec<Exposure>, Error> {
        Ok(self.exposures.load_one(id).await.map_err(|error| own(&error))?.unwrap_or_default())
    }

    /// Loads the versions of these entries in one batch, for fields that will read them one by one.
    pub(super) async fn know_versions(&self, ids: impl IntoIterator<Item = EntryId>) -> Result<(), Error> {
        self.versions.load_many(ids).await.map(drop).map_err(|error| own(&error))
    }

    /// As [`Self::know_versions`], for exposures.
    pub(super) async fn know_exposures(&self, ids: impl IntoIterator<Item = EntryId>) -> Result<(), Error> {
        self.exposures.load_many(ids).await.map(drop).map_err(|error| own(&error))
    }

    pub(super) async fn milestone(&self, id: MilestoneId) -> Result<Option<Milestone>, Error> {
        self.milestones.load_one(id).await.map_err(|error| own(&error))
    }

    /// The names that a project approves for its sessions.
    pub(super) async fn approved_names(&self, project: &ProjectId) -> Result<ApprovedNames, Error> {
        Ok(self.approved.load_one(project.clone()).await.map_err(|error| own(&error))?.unwrap_or_default())
    }

    /// Caches milestones that were read as a list.
    pub(super) async fn know(&self, milestones: &[Milestone]) {
        self.milestones.feed_many(milestones.iter().map(|milestone| (milestone.id.clone(), milestone.clone()))).await;
    }

    /// Clears the caches, since a change makes them stale.
    pub(super) fn forget(&self) {
        self.access.clear::<PermissionOn>();
        self.entries.clear::<EntryId>();
        self.versions.clear::<EntryId>();
        self.exposures.clear::<EntryId>();
        self.milestones.clear::<MilestoneId>();
        self.approved.clear::<ProjectId>();
    }
}

/// The context of the request. [`super::Api::execute`] sets it for every caller with a token;
/// without a token no resolver runs.
///
/// # Errors
/// INTERNAL when it is not set.
pub(super) fn request<'a>(ctx: &Context<'a>) -> Result<&'a RequestContext, Error> {
    ctx.data::<RequestContext>().map_err(|_| Error::internal("a resolver ran without a caller"))
}
