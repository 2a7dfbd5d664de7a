//! The secrets an agent receives: which entries answer its runtime's question, and their values.
//!
//! `question` holds a question; `candidates` reads the rows that could answer it and checks that
//! the vault wrote them; `outcomes` decides the outcome of each name (`product.md`, section 4);
//! `resolve` releases values, and `preview` shows what a resolve would answer.

mod candidates;
mod outcomes;
mod preview;
mod question;
mod resolve;

pub use preview::{Block, Preview, Previewed};
pub use question::AgentQuestion;
pub use resolve::{Resolution, ResolveRequest, Resolved, ResolvedEntry};

use super::audit::Audit;
use super::entries::Entries;
use super::keys::Installation;
use crate::authz::Authorizer;
use crate::domain::{ReservedNames, Timestamp};
use crate::store::Store;
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
    /// Names that no session receives.
    reserved: &'static ReservedNames,
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
        Self { store, installation, authorizer, audit, entries, reserved, decryptions: Arc::default() }
    }

    /// Number of values opened since the process began.
    #[must_use]
    pub fn decryptions(&self) -> u64 {
        self.decryptions.load(Ordering::Relaxed)
    }

    fn now(&self) -> Timestamp {
        self.installation.now()
    }
}
