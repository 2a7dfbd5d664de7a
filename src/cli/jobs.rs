//! What a server does besides answering: finishes changes of tuples, records repeated denials,
//! erases what is past its retention, and has the database's files forget it.

use crate::domain::Result;
use crate::vault::Vault;
use futures::future::BoxFuture;
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

const OUTBOX: Duration = Duration::from_secs(1);
const DENIALS: Duration = Duration::from_secs(5);
const FORGET: Duration = Duration::from_secs(5);
const SWEEP: Duration = Duration::from_secs(5 * 60);
const HEAD: Duration = Duration::from_secs(60);
const RETENTION: Duration = Duration::from_secs(60 * 60);

type Job = Box<dyn Fn(Vault) -> BoxFuture<'static, Result<()>> + Send + Sync>;

/// Runs until it is told to stop, then records what is left of the denials and signs where the
/// chains stand. Events are erased once they are older than `audit_retention`, where there is one.
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
            OUTBOX,
            "applying changes of tuples",
            Box::new(|vault| Box::pin(async move { vault.tuples().apply_outbox().await }))
        ),
        every(
            DENIALS,
            "recording repeated denials",
            Box::new(|vault| Box::pin(async move { vault.audit().record_repeated_denials(false).await }))
        ),
        every(
            FORGET,
            "cutting what was erased off the database's log",
            Box::new(|vault| Box::pin(async move { vault.wal().truncate_if_pending().await }))
        ),
        every(
            SWEEP,
            "erasing entries past their retention",
            Box::new(|vault| Box::pin(async move { vault.sweeper().sweep().await.map(drop) }))
        ),
        every(
            HEAD,
            "signing where the chains of events stand",
            Box::new(|vault| Box::pin(async move { vault.audit().sign_head().await.map(drop) }))
        ),
        every(RETENTION, "erasing events past their retention", sweep_events),
    );
    if let Err(error) = vault.audit().record_repeated_denials(true).await {
        tracing::warn!(%error, "the counts of repeated denials are lost");
    }
    if let Err(error) = vault.audit().end_records().await {
        tracing::warn!(%error, "where the chains of events stand could not be signed");
    }
}

/// A job that is under way finishes before this returns.
async fn repeat(vault: &Vault, stop: &CancellationToken, period: Duration, what: &'static str, job: Job) {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        if let Err(error) = job(vault.clone()).await {
            tracing::warn!(%error, job = what, "a background job failed; it is tried again");
        }
    }
}
