//! The only way to change a project: a transaction under the project's lock, in which the caller's
//! permission was checked again.

use super::authorize::Granted;
use crate::authz::{Decision, Question};
use crate::domain::{Error, ProjectStatus, Result};
use crate::permission::{Authorized, Permission, ProjectPermission};
use crate::vault::keys::{OpenProject, ProjectKeys};
use crate::vault::tuples::{OutboxPartition, QueuedTx};

/// Maximum number of attempts to open a project's data keys for one change: a rotation may replace
/// the keys while the change waits for the project's lock.
const MAX_ATTEMPTS: usize = 5;

/// What a change needs in addition to the project's lock.
#[derive(Clone, Copy)]
pub(in crate::vault) enum Needs<'a> {
    /// Nothing.
    Lock,
    /// The project's data keys, which are opened before the transaction begins, and its row with
    /// the listing of its entries.
    DataKeys,
    /// The current tuples: these partitions of the outbox are locked and drained, in this order.
    Tuples(&'a [OutboxPartition<'a>]),
}

/// A transaction under the project's lock, in which the caller holds `P`.
pub(in crate::vault) struct ProjectTx<P: ProjectPermission> {
    pub tx: QueuedTx,
    /// The proof of the permission, as checked under the lock.
    pub by: Authorized<P>,
    /// Whether the caller also has permission to administer the project.
    pub administers: bool,
    /// The project's status.
    pub status: ProjectStatus,
    parts: Option<(ProjectKeys, OpenProject)>,
}

impl<P: ProjectPermission> ProjectTx<P> {
    /// The transaction, the data keys and the project's row, for a change that
    /// [`Needs::DataKeys`].
    ///
    /// # Errors
    /// INTERNAL for any other change.
    pub(in crate::vault) fn parts(&mut self) -> Result<(&mut QueuedTx, &mut ProjectKeys, &mut OpenProject)> {
        let (keys, open) = self.parts.as_mut().ok_or_else(|| Error::internal("a change did not ask for data keys"))?;
        Ok((&mut self.tx, keys, open))
    }

    /// Writes the project's row with the listing of its entries as they are now, after a change of
    /// entries. Gives the transaction, to be committed.
    ///
    /// # Errors
    /// UNAVAILABLE when the database cannot be reached.
    pub(in crate::vault) async fn save_listing(mut self) -> Result<QueuedTx> {
        if let Some((_, open)) = self.parts.take() {
            open.save(&mut self.tx).await?;
        }
        Ok(self.tx)
    }
}

impl<P: ProjectPermission> Granted<'_, P> {
    /// Waits for other changes of the project, begins the transaction, takes the project's lock,
    /// and authorizes again under it. If the caller has lost the permission meanwhile, the denial
    /// is the same as before the transaction.
    ///
    /// # Errors
    /// As [`Access::authorize`](super::Access::authorize); also UNAVAILABLE when other changes take
    /// too long.
    pub(in crate::vault) async fn open(self, needs: Needs<'_>) -> Result<ProjectTx<P>> {
        let access = self.access;
        let project = self.by.project().clone();
        for _ in 0..MAX_ATTEMPTS {
            let mut keys = match needs {
                Needs::DataKeys => Some(access.installation.open_project_keys(&project).await?),
                Needs::Lock | Needs::Tuples(_) => None,
            };
            let mut tx = match needs {
                Needs::Lock | Needs::DataKeys => access.tuples.begin_without_tuples(&project).await?,
                Needs::Tuples(partitions) => access.tuples.begin(partitions).await?,
            };
            if let Needs::Tuples(partitions) = needs {
                for partition in partitions {
                    access.tuples.drain(&mut tx, *partition).await?;
                }
            }
            let status = tx.lock_project(&project).await?.ok_or(Error::NotFound(self.request.not_found))?;
            let ask = |permission| Question::on_project(&self.request.caller.principal, permission, Some(&project));
            let questions = [ask(P::PERMISSION), ask(Permission::CanAdminister)];
            let decisions = access.authorizer.decide_in(&mut tx, &questions).await?;
            let administers = decisions.get(1).is_some_and(Decision::is_allowed);
            let Some(by) = decisions.first().and_then(Decision::authorize::<P>) else {
                tx.rollback().await?;
                let denied = access.grant::<P>(self.request, Some(&project)).await.err();
                return Err(
                    denied.unwrap_or_else(|| Error::Conflict("Your role has just changed; try again.".to_owned()))
                );
            };
            if let Some(keys) = &mut keys
                && !keys.accept(tx.data_keys_of(&project).await?)
            {
                tx.rollback().await?;
                continue;
            }
            let parts = match keys {
                Some(keys) => Some((keys, access.installation.open_project(&mut tx, &project).await?)),
                None => None,
            };
            return Ok(ProjectTx { tx, by, administers, status, parts });
        }
        Err(Error::unavailable("The project's data keys are being replaced; nothing was changed. Try again."))
    }
}
