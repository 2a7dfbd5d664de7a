//! What an agent receives of a project: which entries answer its runtime's question, and their
//! values. `product.md`, section 4, has the rules.
//!
//! A resolve runs in this order: `question` parses the request; the authorizer decides;
//! `candidates` reads the rows that could answer and authenticates them; `listing` checks that
//! none is missing; `outcomes` decides the
//! answer for each name; `resolve` opens the values, commits the access records, and only then
//! releases the values. `preview` shows what a resolve would answer, and opens nothing.

mod candidates;
mod listing;
mod outcomes;
mod preview;
mod question;
mod rate_limit;
mod remembered;
mod resolve;

pub use preview::{Block, Preview, Previewed};
pub use question::AgentQuestion;
pub use resolve::{Resolution, ResolveRequest, Resolved, ResolvedEntry};

use rate_limit::ResolveRateLimit;
use remembered::RememberedRows;

use super::audit::Audit;
use super::entries::Entries;
use super::keys::Installation;
use crate::authz::Authorizer;
use crate::domain::{ReservedNames, Timestamp};
use crate::store::Store;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Answers what an agent receives. Cheap to clone.
#[derive(Clone)]
pub struct AgentSecrets {
    store: Store,
    installation: Installation,
    authorizer: Authorizer,
    audit: Audit,
    entries: Entries,
    /// Reserved names, which no session receives.
    reserved: &'static ReservedNames,
    remembered: Arc<RememberedRows>,
    rate_limit: Arc<ResolveRateLimit>,
    /// Number of values opened.
    decryptions: Arc<AtomicU64>,
}

impl AgentSecrets {
    pub(super) fn new(
        installation: Installation,
        authorizer: Authorizer,
        audit: Audit,
        entries: Entries,
        reserved: &'static ReservedNames,
    ) -> Self {
        let store = installation.store().clone();
        Self {
            store,
            installation,
            authorizer,
            audit,
            entries,
            reserved,
            remembered: Arc::default(),
            rate_limit: Arc::default(),
            decryptions: Arc::default(),
        }
    }

    /// Bounds how often each runtime may resolve, once.
    pub(super) fn set_resolve_limit(&self, per_minute: NonZeroU32) {
        self.rate_limit.set_limit(per_minute);
    }

    /// Number of values that this vault has opened since the process started.
    #[must_use]
    pub fn decryptions(&self) -> u64 {
        self.decryptions.load(Ordering::Relaxed)
    }

    fn now(&self) -> Timestamp {
        self.installation.now()
    }
}
