//! What the product does. Every operation authorizes its caller first, then acts, and records what
//! was done or denied.
//!
//! Each folder or file owns a struct with private fields; [`Vault`] composes them. A folder uses
//! those below it in this list, never one above it:
//!
//! - `verification` and `rotation`: operators' commands that verify records and replace keys;
//! - `agent`: the values that an agent receives;
//! - `notices`: what people are told about by a webhook;
//! - `projects`, `milestones`, `members`: managed by the platform and by Accountable people;
//! - `entries`: the credentials;
//! - `access`: authorization, and the transaction of a change;
//! - `tuples`: the outbox, through which the authorizer's tuples change;
//! - `audit`: events and their hash chains;
//! - `keys`: the installation, its keys and the data keys of projects.
//!
//! Small files: `caller` (principal and request), `cursor` (pages of lists), `input` (parsing ids),
//! `health` (readiness), `overview` (what operators see of the installation), `measures` and
//! `gauges` (metrics), `sweeper` (erasing deleted entries), `wal` (erased rows in SQLite's log).

mod access;
mod agent;
mod audit;
mod caller;
mod cursor;
mod entries;
mod gauges;
mod health;
mod input;
mod keys;
mod measures;
mod members;
mod milestones;
mod notices;
mod overview;
mod projects;
mod rotation;
mod sweeper;
mod tuples;
mod verification;
mod wal;

pub use access::{Access, PermissionOn, Project, ProjectAccess};
pub use agent::{
    AgentQuestion, AgentSecrets, Block, Preview, Previewed, Resolution, ResolveRequest, Resolved, ResolvedEntry,
};
pub use audit::{
    Audit, AuditEvent, AuditQuery, ErasureReceipt, Export, ExportFilter, Exposure, Head, HeadChain, ResolveReceipt,
};
pub use caller::Caller;
pub use cursor::Page;
pub use entries::{
    Change, Entries, Entry, EntryChanges, EntryFacts, EntryFilter, EntryList, EntryListPage, EntryOrder, EntryQuery,
    EnvironmentChange, Import, ImportChange, ImportLine, Imported, LeftOut, ListViewer, NewEntry, OnConflict,
    OrderField, Rollback, Rotation, SealedHint, Summary, Usage, Version, page_versions,
};
pub use gauges::Gauges;
pub use health::{Findings, Health};
pub use keys::{
    ExistingRows, ForgedKey, ForgedProject, ForgedSetting, Installation, InstallationError, MAX_SEALED, OnProgress,
};
pub use members::{AgentAssignment, AgentChange, Auditor, Members, RoleChange, RoleHolder};
pub use milestones::{Milestone, Milestones, NewMilestone};
pub use notices::Notices;
pub use overview::{InstallationOverview, KeyCount, KeyKind, MAX_SIGNED_ENDS, Overview, SignedEnd};
pub use projects::{Erased, NewProject, Projects};
pub use rotation::{DataKeysReplaced, KeyRotation, KeyStatus, MasterKeyUse, Rewrapped};
pub use sweeper::Sweeper;
pub use tuples::{SetAside, Tuples};
pub use verification::{Break, LastVerification, Verification, Verifier};
pub use wal::Wal;

pub use crate::kms::{KeyringLoader, MasterKeys};

use crate::authz::Authorizer;
use crate::domain::{Clock, ReservedNames};
use crate::store::Store;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

/// Declares the metrics of the vault and of what it uses.
pub fn declare_metrics() {
    crate::store::declare_metrics();
    crate::authz::declare_metrics();
    crate::kms::declare_metrics();
    measures::declare_metrics();
    gauges::declare_metrics();
    notices::declare_metrics();
}

/// The vault, composed of its parts. Cheap to clone.
#[derive(Clone)]
pub struct Vault(Arc<Components>);

struct Components {
    store: Store,
    authorizer: Authorizer,
    installation: Installation,
    audit: Audit,
    tuples: Tuples,
    access: Access,
    entries: Entries,
    members: Members,
    projects: Projects,
    milestones: Milestones,
    agents: AgentSecrets,
    rotation: KeyRotation,
    verifier: Verifier,
    sweeper: Sweeper,
    health: Health,
    overview: Overview,
    gauges: Gauges,
    notices: Notices,
    wal: Wal,
}

impl Vault {
    /// Composes the vault of a database and its master keys. `retention` is how long a deleted
    /// entry can be restored.
    #[must_use]
    pub fn new(
        store: Store,
        authorizer: Authorizer,
        keys: impl Into<MasterKeys>,
        clock: Arc<dyn Clock>,
        retention: Duration,
    ) -> Self {
        Self::of(Installation::new(store, keys, clock), authorizer, retention)
    }

    /// Composes the vault of an installation. `retention` is how long a deleted entry can be
    /// restored.
    #[must_use]
    pub fn of(installation: Installation, authorizer: Authorizer, retention: Duration) -> Self {
        Self::with_reserved_names(installation, authorizer, retention, ReservedNames::built_in())
    }

    /// As [`Self::of`], with another list of reserved names, as a server of another release has.
    #[doc(hidden)]
    #[must_use]
    pub fn with_reserved_names(
        installation: Installation,
        authorizer: Authorizer,
        retention: Duration,
        reserved: &'static ReservedNames,
    ) -> Self {
        let store = installation.store().clone();
        let wal = Wal::new(store.clone());
        let audit = Audit::new(installation.clone(), wal.clone());
        let tuples = Tuples::new(installation.clone(), authorizer.clone(), audit.clone());
        let access = Access::new(installation.clone(), authorizer.clone(), audit.clone(), tuples.clone());
        let entries = Entries::new(installation.clone(), access.clone(), audit.clone(), wal.clone(), reserved);
        let sweeper =
            Sweeper::new(installation.clone(), audit.clone(), tuples.clone(), entries.clone(), wal.clone(), retention);
        let health = Health::new(installation.clone(), authorizer.clone());
        Self(Arc::new(Components {
            members: Members::new(installation.clone(), access.clone(), tuples.clone()),
            projects: Projects::new(installation.clone(), access.clone(), audit.clone(), tuples.clone(), wal.clone()),
            milestones: Milestones::new(
                installation.clone(),
                access.clone(),
                audit.clone(),
                tuples.clone(),
                wal.clone(),
            ),
            agents: AgentSecrets::new(
                installation.clone(),
                authorizer.clone(),
                audit.clone(),
                entries.clone(),
                reserved,
            ),
            rotation: KeyRotation::new(installation.clone(), audit.clone(), wal.clone()),
            verifier: Verifier::new(installation.clone()),
            notices: Notices::new(installation.clone()),
            gauges: Gauges::new(installation.clone(), health.clone()),
            overview: Overview::new(installation.clone(), health.clone()),
            health,
            store,
            authorizer,
            installation,
            audit,
            tuples,
            access,
            entries,
            sweeper,
            wal,
        }))
    }

    /// Sets the maximum number of values that a data key seals, instead of [`MAX_SEALED`].
    #[must_use]
    pub fn with_seal_limit(self, limit: i64) -> Self {
        self.0.installation.set_seal_limit(limit);
        self
    }

    /// Bounds how often each runtime may resolve in a minute at this process; no bound without.
    #[must_use]
    pub fn with_resolve_limit(self, per_minute: Option<NonZeroU32>) -> Self {
        if let Some(per_minute) = per_minute {
            self.0.agents.set_resolve_limit(per_minute);
        }
        self
    }

    /// The database.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.0.store
    }

    /// The authorizer.
    #[must_use]
    pub fn authorizer(&self) -> &Authorizer {
        &self.0.authorizer
    }

    /// The installation, with its keys and settings.
    #[must_use]
    pub fn installation(&self) -> &Installation {
        &self.0.installation
    }

    /// Events, their hash chains, and signed statements.
    #[must_use]
    pub fn audit(&self) -> &Audit {
        &self.0.audit
    }

    /// The outbox of changed tuples.
    #[must_use]
    pub fn tuples(&self) -> &Tuples {
        &self.0.tuples
    }

    /// Authorization of callers.
    #[must_use]
    pub fn access(&self) -> &Access {
        &self.0.access
    }

    /// The credentials.
    #[must_use]
    pub fn entries(&self) -> &Entries {
        &self.0.entries
    }

    /// People's roles, agents' assignments, and the organizations of agents and runtimes.
    #[must_use]
    pub fn members(&self) -> &Members {
        &self.0.members
    }

    /// Registering and deleting projects.
    #[must_use]
    pub fn projects(&self) -> &Projects {
        &self.0.projects
    }

    /// Milestones and their phases.
    #[must_use]
    pub fn milestones(&self) -> &Milestones {
        &self.0.milestones
    }

    /// Resolving and previewing secrets for agents.
    #[must_use]
    pub fn agents(&self) -> &AgentSecrets {
        &self.0.agents
    }

    /// Replacing data keys and master keys.
    #[must_use]
    pub fn rotation(&self) -> &KeyRotation {
        &self.0.rotation
    }

    /// Verifying records and rows.
    #[must_use]
    pub fn verifier(&self) -> &Verifier {
        &self.0.verifier
    }

    /// Erasing deleted entries.
    #[must_use]
    pub fn sweeper(&self) -> &Sweeper {
        &self.0.sweeper
    }

    /// Probes of the database, the authorizer and the keyring.
    #[must_use]
    pub fn health(&self) -> &Health {
        &self.0.health
    }

    /// What operators see of the installation.
    #[must_use]
    pub fn overview(&self) -> &Overview {
        &self.0.overview
    }

    /// Gauges of what the database holds.
    #[must_use]
    pub fn gauges(&self) -> &Gauges {
        &self.0.gauges
    }

    /// Notices of what is about to expire, is due for rotation, or is refused in bulk.
    #[must_use]
    pub fn notices(&self) -> &Notices {
        &self.0.notices
    }

    /// The database's write-ahead log.
    #[must_use]
    pub fn wal(&self) -> &Wal {
        &self.0.wal
    }
}
