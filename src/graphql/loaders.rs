//! The context of one request: its caller, and loaders that batch and cache what its fields read.

use super::measures::UserErrors;
use super::pacing::Concealment;
use super::rounds::{NoDelay, PendingLoads};
use crate::domain::{ApprovedNames, EntryId, Error, MilestoneId, ProjectId, with_causes};
use crate::permission::{Authorized, CanAdminister, CanViewMasked, Permission};
use crate::vault::{
    Caller, Entry, EntryList, EntryListPage, Exposure, Milestone, Page, PermissionOn, Project, ProjectAccess, Summary,
    Usage, Vault, Version,
};
use async_graphql::Context;
use async_graphql::dataloader::{DataLoader, HashMapCache, Loader};
use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::sync::{Arc, OnceLock};

/// Maximum number of keys in one batch: more than any operation can ask for, so that no batch is
/// split.
const MAX_KEYS: usize = 100_000;

/// An error that several fields share.
type Shared = Arc<Error>;

type Cached<T> = DataLoader<T, HashMapCache>;

/// A loader that is made when it is first used: most requests use few of them.
struct Lazy<T>(OnceLock<Cached<T>>);

/// The caller of one request, and its loaders.
pub(super) struct RequestContext {
    pub vault: Vault,
    pub caller: Caller,
    pub concealment: Concealment,
    pub user_errors: UserErrors,
    loads: PendingLoads,
    access: Lazy<Decisions>,
    entries: Lazy<Entries>,
    pages: Lazy<Pages>,
    totals: Lazy<Totals>,
    versions: Lazy<Versions>,
    usage: Lazy<Uses>,
    exposures: Lazy<Exposures>,
    milestones: Lazy<Milestones>,
    approved: Lazy<Approved>,
    summaries: Lazy<Summaries>,
    left_out: Lazy<LeftOutCounts>,
}

struct Decisions(Vault, Caller);

impl From<&RequestContext> for Decisions {
    fn from(request: &RequestContext) -> Self {
        Self(request.vault.clone(), request.caller.clone())
    }
}

/// Declares loaders that need nothing but the vault.
macro_rules! loaders {
    ($($name:ident),+) => {$(
        struct $name(Vault);

        impl From<&RequestContext> for $name {
            fn from(request: &RequestContext) -> Self {
                Self(request.vault.clone())
            }
        }
    )+};
}

loaders!(Entries, Pages, Totals, Versions, Uses, Exposures, Milestones, Approved, Summaries, LeftOutCounts);

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

impl Loader<EntryListPage> for Pages {
    type Value = Page<Entry>;
    type Error = Shared;

    async fn load(&self, keys: &[EntryListPage]) -> Result<HashMap<EntryListPage, Page<Entry>>, Shared> {
        Ok(self.0.entries().pages(keys).await?)
    }
}

impl Loader<EntryList> for Totals {
    type Value = i64;
    type Error = Shared;

    async fn load(&self, keys: &[EntryList]) -> Result<HashMap<EntryList, i64>, Shared> {
        Ok(self.0.entries().totals(keys).await?)
    }
}

impl Loader<EntryId> for Versions {
    type Value = Vec<Version>;
    type Error = Shared;

    async fn load(&self, keys: &[EntryId]) -> Result<HashMap<EntryId, Vec<Version>>, Shared> {
        Ok(self.0.entries().versions_of(keys).await?)
    }
}

impl Loader<EntryId> for Uses {
    type Value = Usage;
    type Error = Shared;

    async fn load(&self, keys: &[EntryId]) -> Result<HashMap<EntryId, Usage>, Shared> {
        Ok(self.0.entries().usage_of(keys).await?)
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

impl Loader<ProjectId> for Summaries {
    type Value = Summary;
    type Error = Shared;

    async fn load(&self, keys: &[ProjectId]) -> Result<HashMap<ProjectId, Summary>, Shared> {
        Ok(self.0.entries().summaries(keys).await?)
    }
}

impl Loader<ProjectId> for LeftOutCounts {
    type Value = i64;
    type Error = Shared;

    async fn load(&self, keys: &[ProjectId]) -> Result<HashMap<ProjectId, i64>, Shared> {
        Ok(self.0.entries().left_out_counts(keys).await?)
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

impl<T> Default for Lazy<T> {
    fn default() -> Self {
        Self(OnceLock::new())
    }
}

impl<T: for<'a> From<&'a RequestContext>> Lazy<T> {
    fn of(&self, request: &RequestContext) -> &Cached<T> {
        self.0.get_or_init(|| {
            DataLoader::with_cache(T::from(request), request.loads.clone(), NoDelay, HashMapCache::default())
                .max_batch_size(MAX_KEYS)
        })
    }

    /// Clears the loader's cache.
    fn forget<K>(&self)
    where
        K: Send + Sync + Hash + Eq + Clone + 'static,
        T: Loader<K>,
    {
        if let Some(loader) = self.0.get() {
            loader.clear::<K>();
        }
    }
}

impl RequestContext {
    pub(super) fn new(
        vault: Vault,
        caller: Caller,
        loads: PendingLoads,
        concealment: Concealment,
        user_errors: UserErrors,
    ) -> Self {
        Self {
            vault,
            caller,
            concealment,
            user_errors,
            loads,
            access: Lazy::default(),
            entries: Lazy::default(),
            pages: Lazy::default(),
            totals: Lazy::default(),
            versions: Lazy::default(),
            usage: Lazy::default(),
            exposures: Lazy::default(),
            milestones: Lazy::default(),
            approved: Lazy::default(),
            summaries: Lazy::default(),
            left_out: Lazy::default(),
        }
    }

    /// The permissions of `keys` that the caller holds.
    pub(super) async fn access(
        &self,
        keys: impl IntoIterator<Item = PermissionOn>,
    ) -> Result<HashMap<PermissionOn, ProjectAccess>, Error> {
        let answers = self.access.of(self).load_many(keys).await.map_err(|error| own(&error))?;
        Ok(answers.into_iter().filter_map(|(key, access)| Some((key, access?))).collect())
    }

    /// A project that the caller may see, with those of the permissions `selected` on it that the
    /// caller holds.
    ///
    /// Every permission on a project includes the one to see it (a test of the model holds that),
    /// so whether the caller may see the project is asked only if they hold none of the others. It
    /// is asked as often for a project that does not exist.
    pub(super) async fn seen(
        &self,
        project: Option<&ProjectId>,
        selected: BTreeSet<Permission>,
    ) -> Result<Option<(Project, HashMap<PermissionOn, ProjectAccess>)>, Error> {
        let on = |permission| (project.cloned(), permission);
        let mut held = self.access(selected.into_iter().map(on)).await?;
        if held.is_empty() {
            held = self.access([on(Permission::CanSee)]).await?;
        }
        let seen = held.values().next().map(|access| access.project.clone());
        Ok(seen.map(|project| (project, held)))
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
        self.entries.of(self).load_one(id).await.map_err(|error| own(&error))
    }

    pub(super) async fn page(&self, page: EntryListPage) -> Result<Page<Entry>, Error> {
        let found = self.pages.of(self).load_one(page).await.map_err(|error| own(&error))?;
        found.ok_or_else(|| Error::internal("a page of entries was not loaded"))
    }

    /// The number of entries in a list.
    pub(super) async fn total(&self, list: EntryList) -> Result<i64, Error> {
        Ok(self.totals.of(self).load_one(list).await.map_err(|error| own(&error))?.unwrap_or_default())
    }

    pub(super) async fn versions(&self, id: EntryId) -> Result<Vec<Version>, Error> {
        Ok(self.versions.of(self).load_one(id).await.map_err(|error| own(&error))?.unwrap_or_default())
    }

    /// How agents have used an entry.
    pub(super) async fn usage(&self, _: &Authorized<CanViewMasked>, entry: &Entry) -> Result<Usage, Error> {
        if let Some(usage) = entry.usage {
            return Ok(usage);
        }
        Ok(self.usage.of(self).load_one(entry.id).await.map_err(|error| own(&error))?.unwrap_or_default())
    }

    pub(super) async fn exposures(&self, _: &Authorized<CanAdminister>, id: EntryId) -> Result<Vec<Exposure>, Error> {
        Ok(self.exposures.of(self).load_one(id).await.map_err(|error| own(&error))?.unwrap_or_default())
    }

    /// Loads the versions of these entries in one batch, for fields that will read them one by one.
    pub(super) async fn know_versions(&self, ids: impl IntoIterator<Item = EntryId>) -> Result<(), Error> {
        self.versions.of(self).load_many(ids).await.map(drop).map_err(|error| own(&error))
    }

    /// As [`Self::know_versions`], for exposures.
    pub(super) async fn know_exposures(&self, ids: impl IntoIterator<Item = EntryId>) -> Result<(), Error> {
        self.exposures.of(self).load_many(ids).await.map(drop).map_err(|error| own(&error))
    }

    pub(super) async fn milestone(&self, id: MilestoneId) -> Result<Option<Milestone>, Error> {
        self.milestones.of(self).load_one(id).await.map_err(|error| own(&error))
    }

    /// The names that a project approves for its sessions.
    pub(super) async fn approved_names(&self, project: &ProjectId) -> Result<ApprovedNames, Error> {
        Ok(self.approved.of(self).load_one(project.clone()).await.map_err(|error| own(&error))?.unwrap_or_default())
    }

    /// The numbers of a project's entries.
    pub(super) async fn summary(&self, project: &ProjectId) -> Result<Summary, Error> {
        Ok(self.summaries.of(self).load_one(project.clone()).await.map_err(|error| own(&error))?.unwrap_or_default())
    }

    /// The number of a project's entries whose names its sessions do not receive.
    pub(super) async fn left_out_count(&self, project: &ProjectId) -> Result<i64, Error> {
        Ok(self.left_out.of(self).load_one(project.clone()).await.map_err(|error| own(&error))?.unwrap_or_default())
    }

    /// Caches milestones that were read as a list.
    pub(super) async fn know(&self, milestones: &[Milestone]) {
        self.milestones
            .of(self)
            .feed_many(milestones.iter().map(|milestone| (milestone.id.clone(), milestone.clone())))
            .await;
    }

    /// Clears the caches, since a change makes them stale.
    pub(super) fn forget(&self) {
        self.access.forget::<PermissionOn>();
        self.entries.forget::<EntryId>();
        self.pages.forget::<EntryListPage>();
        self.totals.forget::<EntryList>();
        self.versions.forget::<EntryId>();
        self.usage.forget::<EntryId>();
        self.exposures.forget::<EntryId>();
        self.milestones.forget::<MilestoneId>();
        self.approved.forget::<ProjectId>();
        self.summaries.forget::<ProjectId>();
        self.left_out.forget::<ProjectId>();
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
