//! The background jobs of a server: they apply pending tuple changes, record repeated denials, sign
//! audit heads, erase entries and events past their retention, and remove erased data from the
//! database's files.

use crate::domain::Result;
use crate::vault::Vault;
use futures::future::BoxFuture;
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

const OUTBOX_INTERVAL: Duration = Duration::from_secs(1);
const DENIALS_INTERVAL: Duration = Duration::from_secs(5);
const TRUNCATE_INTERVAL: Duration = Duration::from_secs(5);
const SWEEP_INTERVAL: Duration = Duration::from_secs(5 * 60);
const HEAD_INTERVAL: Duration = Duration::from_secs(60);
const EVENT_SWEEP_INTERVAL: Duration = Duration::from_secs(60 * 60);

type Job = Box<dyn Fn(Vault) -> BoxFuture<'static, Result<()>> + Send + Sync>;

/// Runs until `stop` is cancelled, then records the remaining denials and signs a last head. Events
/// older than `audit_retention` are erased; without it none are.
pub async fn run(vault: Vault, audit_retention: Option<Duration>, stop: CancellationToken) {
    let every = |period, what, job: Job| repeat(&vault, &stop, period, what, job);
    let sweep_events: Job = Box::new(move |vault| {
        Box::pin(async move {
            match audit_retention {
                Some(retention) => vault.audit().sweep(retention).await.map(drop),
                None => Ok(()),
            }
        })
    });
    tokio::join!(
        every(
            OUTBOX_INTERVAL,
            "applying tuple changes",
            Box::new(|vault| Box::pin(async move { vault.tuples().apply_outbox().await }))
        ),
        every(
            DENIALS_INTERVAL,
            "recording repeated denials",
            Box::new(|vault| Box::pin(async move { vault.audit().record_repeated_denials(false).await }))
        ),
        every(
            TRUNCATE_INTERVAL,
            "truncating the write-ahead log after erasure",
            Box::new(|vault| Box::pin(async move { vault.wal().truncate_if_pending().await }))
        ),
        every(
            SWEEP_INTERVAL,
            "erasing entries past their retention",
            Box::new(|vault| Box::pin(async move { vault.sweeper().sweep().await.map(drop) }))
        ),
        every(
            HEAD_INTERVAL,
            "signing the audit head",
            Box::new(|vault| Box::pin(async move { vault.audit().sign_head().await.map(drop) }))
        ),
        every(EVENT_SWEEP_INTERVAL, "erasing events past their retention", sweep_events),
    );
    if let Err(error) = vault.audit().record_repeated_denials(true).await {
        tracing::warn!(%error, "the counts of repeated denials are lost");
    }
    if let Err(error) = vault.audit().end_records().await {
        tracing::warn!(%error, "the last audit head could not be signed");
    }
}

/// Repeats a job until `stop` is cancelled; a running job finishes first.
async fn repeat(vault: &Vault, stop: &CancellationToken, period: Duration, what: &'static str, job: Job) {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        if let Err(error) = job(vault.clone()).await {
            tracing::warn!(%error, job = what, "a background job failed; it is tried again");
        }
    }
}
