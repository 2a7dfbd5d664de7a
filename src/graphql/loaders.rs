//! The state of one request: its caller, and loaders that batch the reads of its fields and
//! remember the answers.

use super::pacing::Concealment;
use super::rounds::{NoDelay, Waiting};
use crate::domain::{ApprovedNames, EntryId, Error, MilestoneId, ProjectId, with_causes};
use crate::permission::Permission;
use crate::vault::{Caller, Entry, Exposure, Milestone, PermissionOn, ProjectAccess, Vault, Version};
use async_graphql::Context;
use async_graphql::dataloader::{DataLoader, HashMapCache, Loader};
use std::collections::HashMap;
use std::sync::Arc;

pub(super) type Asked = PermissionOn;

/// Maximum number of keys that a loader reads at once: more than an operation can ask for, so that
/// none is read apart.
const MAX_KEYS: usize = 100_000;

/// An error that several fields share.
type Shared = Arc<Error>;

type Cached<T> = DataLoader<T, HashMapCache>;

/// One request of one caller.
pub(super) struct Session {
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

impl Loader<Asked> for Decisions {
    /// None for a no, so that it is remembered as well.
    type Value = Option<ProjectAccess>;
    type Error = Shared;

    async fn load(&self, keys: &[Asked]) -> Result<HashMap<Asked, Self::Value>, Shared> {
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

/// One field's own copy of an error that several share.
fn own(error: &Shared) -> Error {
    match &**error {
        Error::Unavailable { message, will_take_effect } => {
            Error::Unavailable { message, will_take_effect: *will_take_effect }
        }
        error => Error::internal(with_causes(error)),
    }
}

fn cached<T>(loader: T, waiting: &Waiting) -> Cached<T> {
    DataLoader::with_cache(loader, waiting.clone(), NoDelay, HashMapCache::default()).max_batch_size(MAX_KEYS)
}

impl Session {
    pub(super) fn new(vault: Vault, caller: Caller, waiting: &Waiting, concealment: Concealment) -> Self {
        Self {
            access: cached(Decisions(vault.clone(), caller.clone()), waiting),
            entries: cached(Entries(vault.clone()), waiting),
            versions: cached(Versions(vault.clone()), waiting),
            exposures: cached(Exposures(vault.clone()), waiting),
            milestones: cached(Milestones(vault.clone()), waiting),
            approved: cached(Approved(vault.clone()), waiting),
            vault,
            caller,
            concealment,
        }
    }

    /// Which of these permissions the caller holds.
    pub(super) async fn access(
        &self,
        keys: impl IntoIterator<Item = Asked>,
    ) -> Result<HashMap<Asked, ProjectAccess>, Error> {
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

    pub(super) async fn exposures(&self, id: EntryId) -> Result<Vec<Exposure>, Error> {
        Ok(self.exposures.load_one(id).await.map_err(|error| own(&error))?.unwrap_or_default())
    }

    /// Reads the versions of these entries at once, for fields that will ask for them one by one.
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

    /// Remembers milestones that were read as a list.
    pub(super) async fn know(&self, milestones: &[Milestone]) {
        self.milestones.feed_many(milestones.iter().map(|milestone| (milestone.id.clone(), milestone.clone()))).await;
    }

    /// Forgets what was remembered: a change makes it old.
    pub(super) fn forget(&self) {
        self.access.clear::<Asked>();
        self.entries.clear::<EntryId>();
        self.versions.clear::<EntryId>();
        self.exposures.clear::<EntryId>();
        self.milestones.clear::<MilestoneId>();
        self.approved.clear::<ProjectId>();
    }
}

/// The request's session. [`super::Api::execute`] puts it there for everyone with a token, and without one no resolver runs.
///
/// # Errors
/// INTERNAL where it is not.
pub(super) fn session<'a>(ctx: &Context<'a>) -> Result<&'a Session, Error> {
    ctx.data::<Session>().map_err(|_| Error::internal("a resolver ran without a caller"))
}
