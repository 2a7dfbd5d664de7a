//! What an operator does about changes that were set aside.

use super::Tuples;
use super::outbox::partition_kind;
use crate::domain::{Actor, AuditAction, Error, ProjectId, RequestId, Result, Timestamp};
use crate::store::Tx;
use crate::store::records::{EventRow, OutboxRow};
use crate::vault::audit::event;

/// A change that was set aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetAside {
    /// Its number.
    pub seq: i64,
    /// The part of the outbox that it is in, such as `project:demo`.
    pub partition: String,
    /// What it changes, as JSON; not what the vault wrote, if the reason says so.
    pub change: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was set aside.
    pub set_aside_at: Timestamp,
    /// Why it cannot be applied.
    pub reason: String,
}

/// Maximum number of changes that are listed.
const LISTED: i64 = 1_000;

const NOT_SET_ASIDE: Error =
    Error::NotFound("No change of this number is set aside; `project-vault outbox list` shows those that are.");

impl Tuples {
    /// Number of changes that are set aside.
    ///
    /// # Errors
    /// UNAVAILABLE when the database cannot be reached.
    pub async fn count_set_aside(&self) -> Result<i64> {
        Ok(self.store.reader().await?.count_set_aside().await?)
    }

    /// The changes that are set aside, oldest first; at most 1,000.
    ///
    /// # Errors
    /// UNAVAILABLE when the database cannot be reached.
    pub async fn list_set_aside(&self) -> Result<Vec<SetAside>> {
        let rows = self.store.conn().await?.outbox_set_aside(LISTED).await?;
        let read = |row: OutboxRow| {
            let OutboxRow { seq, partition, change, created_at, set_aside_at, reason, .. } = row;
            let reason = reason.unwrap_or_default();
            Some(SetAside { seq, partition, change, created_at, set_aside_at: set_aside_at?, reason })
        };
        Ok(rows.into_iter().filter_map(read).collect())
    }

    /// Tries a change again that is set aside, and those that wait for it. Gives whether it took
    /// effect; it stays set aside if not. Either way it is recorded that an operator tried.
    ///
    /// # Errors
    /// NOT_FOUND when no such change is set aside; UNAVAILABLE when the database or the authorizer
    /// does not answer.
    pub async fn retry(&self, seq: i64) -> Result<bool> {
        let partition = self.partition_of(seq).await?;
        let mut tx = self.begin_partition(&partition).await?;
        tx.lock_name(&partition).await?;
        still_set_aside(&mut tx, &partition, seq).await?;
        let drained = self.apply_pending(&mut tx, &partition, Some(seq)).await?;
        let done = !drained.left.contains(seq);
        let event = self.repaired(AuditAction::AccessChangeRetried, &partition, seq);
        self.audit.append(&mut tx, &[event]).await?;
        tx.commit().await?;
        Ok(done)
    }

    /// Removes a change that is set aside: it never takes effect, and what waits for it does.
    ///
    /// # Errors
    /// NOT_FOUND when no such change is set aside; UNAVAILABLE when the database does not answer.
    pub async fn discard(&self, seq: i64) -> Result<()> {
        let partition = self.partition_of(seq).await?;
        let mut tx = self.begin_partition(&partition).await?;
        tx.lock_name(&partition).await?;
        still_set_aside(&mut tx, &partition, seq).await?;
        tx.delete_outbox(seq).await?;
        let event = self.repaired(AuditAction::AccessChangeDiscarded, &partition, seq);
        self.audit.append(&mut tx, &[event]).await?;
        tx.commit().await
    }

    async fn partition_of(&self, seq: i64) -> Result<String> {
        self.store.conn().await?.partition_of_set_aside(seq).await?.ok_or(NOT_SET_ASIDE)
    }

    fn repaired(&self, action: AuditAction, partition: &str, seq: i64) -> EventRow {
        let event = event(&Actor::Operator, RequestId::new().as_str(), action, self.installation.now())
            .about(format_args!("outbox:{seq} of {partition}"));
        match partition.strip_prefix("project:").map(ProjectId::parse) {
            Some(Ok(project)) if partition_kind(partition) == "project" => event.in_project(&project),
            _ => event,
        }
    }
}

async fn still_set_aside(tx: &mut Tx, partition: &str, seq: i64) -> Result<()> {
    let rows = tx.outbox_of(partition).await?;
    let is_there = rows.iter().any(|row| row.seq == seq && row.set_aside_at.is_some());
    if is_there { Ok(()) } else { Err(NOT_SET_ASIDE) }
}
