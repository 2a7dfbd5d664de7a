//! What the product does, a file per noun. Every operation asks the authorizer first, acts, and records both what was done
//! and what was refused.

mod access;
mod agent_view;
mod agents;
mod audit;
mod cursor;
mod data_keys;
mod denials;
mod entries;
mod environment;
mod events;
mod export;
mod exposures;
mod heads;
mod health;
mod installation;
mod key_states;
mod keys;
mod lanes;
mod ledger;
mod master_keys;
mod milestones;
mod operators;
mod outcomes;
mod own_keys;
mod preview;
mod projects;
mod receipts;
mod recorder;
mod registry;
mod resolve;
mod retention;
mod revisions;
mod roles;
mod settings;
mod sweeper;
mod turns;
mod verify;
mod verify_rows;

pub use access::{Access, Ask, Project};
pub use agent_view::AgentQuestion;
pub use agents::{AgentAssignment, AgentChange};
pub use audit::{AuditEvent, AuditQuery};
pub use cursor::Page;
pub use data_keys::{DataKeysReplaced, MAX_SEALED};
pub use entries::{
    Change, Entry, EntryChanges, EntryFilter, EntryOrder, EntryQuery, Import, Imported, NewEntry, OnConflict,
    OrderField, Rollback, Rotation, SealedHint, Usage, Version, page_versions,
};
pub use environment::{EnvironmentChange, LeftOut};
pub use export::{Export, ExportFilter};
pub use exposures::Exposure;
pub use heads::{Head, HeadChain};
pub use installation::{Installation, InstallationError};
pub use key_states::ForgedKey;
pub use keys::OnProgress;
pub use master_keys::{KeyStatus, MasterKeyUse, Rewrapped};
pub use milestones::{Milestone, NewMilestone};
pub use operators::Auditor;
pub use preview::{Block, Preview, Previewed};
pub use projects::{Erased, NewProject};
pub use receipts::{ErasureReceipt, ResolveReceipt};
pub use resolve::{Resolution, ResolveRequest, Resolved, ResolvedEntry};
pub use roles::{RoleChange, RoleHolder};
pub use settings::ForgedSetting;
pub use verify::{Break, Verification};

pub use crate::kms::{KeySource, MasterKeys};

use crate::authz::Authorizer;
use crate::domain::{Clock, Error, Principal, RequestId, ReservedNames, Result, Timestamp, UserId};
use crate::store::Store;
use denials::Denials;
use heads::Claims;
use keys::Keys;
use ledger::Ledger;
use recorder::Recorder;
use revisions::Revisions;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Semaphore;
use turns::Turns;

/// Who asks, and in which request.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Whom the token speaks for.
    pub principal: Principal,
    /// The request, as it is named in answers, logs and events.
    pub request_id: RequestId,
}

impl Caller {
    /// The person who calls.
    ///
    /// # Errors
    /// When it is none, which the authorizer's answer rules out for whoever asks.
    fn person(&self) -> Result<&UserId> {
        match &self.principal {
            Principal::User(id) => Ok(id),
            Principal::Service(_) | Principal::Runtime(..) => {
                Err(Error::internal("an entry was about to be changed by somebody who is no person"))
            }
        }
    }
}

/// The vault. Cheap to clone.
#[derive(Clone)]
pub struct Vault(Arc<Parts>);

struct Parts {
    store: Store,
    authorizer: Authorizer,
    installation: Installation,
    ledger: Ledger,
    revisions: Revisions,
    claims: Claims,
    recorder: Recorder,
    clock: Arc<dyn Clock>,
    denials: Denials,
    /// Whether there can be decoys in the database.
    decoys_written: AtomicBool,
    turns: Turns,
    /// Bounds the transactions that wait for the authorizer.
    lanes: Arc<Semaphore>,
    retention: Duration,
    /// Names that no new entry may bear, and that no session receives.
    reserved: &'static ReservedNames,
    /// How many values were opened.
    decryptions: AtomicU64,
    /// Whether something that was erased may still be in the database's files.
    to_forget: AtomicBool,
}

impl Vault {
    /// Puts the vault together. `retention` is how long a deleted entry can be restored.
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

    /// The vault of an installation. `retention` is how long a deleted entry can be restored.
    #[must_use]
    pub fn of(installation: Installation, authorizer: Authorizer, retention: Duration) -> Self {
        Self::with_reserved_names(installation, authorizer, retention, ReservedNames::built_in())
    }

    /// As [`Self::of`], with another list of reserved names: what a server of another release has.
    #[doc(hidden)]
    #[must_use]
    pub fn with_reserved_names(
        installation: Installation,
        authorizer: Authorizer,
        retention: Duration,
        reserved: &'static ReservedNames,
    ) -> Self {
        Self(Arc::new(Parts {
            store: installation.0.store.clone(),
            authorizer,
            clock: installation.0.clock.clone(),
            installation,
            ledger: Ledger::default(),
            revisions: Revisions::default(),
            claims: Claims::default(),
            recorder: Recorder::default(),
            denials: Denials::default(),
            decoys_written: AtomicBool::new(true),
            turns: Turns::default(),
            lanes: Arc::new(Semaphore::new(lanes::LANES)),
            retention,
            reserved,
            decryptions: AtomicU64::new(0),
            to_forget: AtomicBool::new(true),
        }))
    }

    /// The master keys, and the data keys that are in memory.
    fn keys(&self) -> &Keys {
        &self.0.installation.0.keys
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

    /// How many values it has opened since it was put together.
    #[must_use]
    pub fn decryptions(&self) -> u64 {
        self.0.decryptions.load(Ordering::Relaxed)
    }

    /// Makes the database's files forget what was erased. The erasure itself is done, whatever becomes of this: a job makes up
    /// for it.
    async fn forget_erased(&self) {
        self.0.to_forget.store(true, Ordering::Relaxed);
        if let Err(error) = self.forget_what_is_left().await {
            tracing::warn!(%error, "what was erased is still in the database's log");
        }
    }

    /// Tries again to make the database's files forget what was erased, where that is still to be done; at first also for a
    /// process before this one. Called every few seconds.
    ///
    /// # Errors
    /// When the database cannot be reached; it is tried again.
    pub async fn forget_what_is_left(&self) -> Result<()> {
        // Taken before the attempt: what is erased meanwhile is for the next one.
        if !self.0.to_forget.swap(false, Ordering::Relaxed) {
            return Ok(());
        }
        let forgotten = match self.0.store.conn().await {
            Ok(mut conn) => conn.forget_erased().await,
            Err(error) => Err(error),
        };
        if !matches!(forgotten, Ok(true)) {
            self.0.to_forget.store(true, Ordering::Relaxed);
        }
        if forgotten? {
            return Ok(());
        }
        tracing::warn!("what was erased stays in the database's log while others read in it; it is tried again");
        Ok(())
    }

    fn now(&self) -> Timestamp {
        self.0.clock.now()
    }
}
