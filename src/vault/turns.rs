//! Waiting in line within this process: whoever waits for a lock of the database holds one of its few connections, so one at a
//! time waits there for each lock, and the others here.

use super::Vault;
use super::lanes::Lane;
use crate::domain::{Error, ProjectId, Result};
use crate::store::Tx;
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::{Mutex, OwnedMutexGuard};

/// How long one waits for its turn.
const PATIENCE: Duration = Duration::from_secs(5);
/// Lines that nobody stands in any more are forgotten beyond so many.
const REMEMBERED: usize = 1_000;

/// One's turn, until it is dropped.
pub(super) type Turn = OwnedMutexGuard<()>;

/// The lines, by the name of the lane they lead to.
#[derive(Default)]
pub(super) struct Turns(std::sync::Mutex<HashMap<String, Weak<Mutex<()>>>>);

impl Turns {
    fn line(&self, name: &str) -> Arc<Mutex<()>> {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(line) = lines.get(name).and_then(Weak::upgrade) {
            return line;
        }
        if lines.len() >= REMEMBERED {
            lines.retain(|_, line| line.strong_count() > 0);
        }
        let line = Arc::default();
        lines.insert(name.to_owned(), Arc::downgrade(&line));
        line
    }

    /// Waits for one's turn.
    ///
    /// # Errors
    /// UNAVAILABLE when it does not come in time.
    pub(super) async fn take(&self, name: &str) -> Result<Turn> {
        let turn = tokio::time::timeout(PATIENCE, self.line(name).lock_owned()).await;
        turn.map_err(|_| Error::unavailable("Too many changes of the same thing wait; try again in a moment."))
    }
}

impl Vault {
    /// Begins a transaction that will take a project's lock, once no other of this process waits for it or holds it.
    ///
    /// # Errors
    /// UNAVAILABLE when that takes too long.
    pub(super) async fn begin_on(&self, project: &ProjectId) -> Result<Tx> {
        let turn = self.0.turns.take(&Lane::Project(project).to_string()).await?;
        let mut tx = self.0.store.begin().await?;
        tx.at_end(move |_| drop(turn));
        Ok(tx)
    }
}
