//! The background jobs of a server: they apply pending tuple changes, record repeated denials, sign
//! audit heads, erase entries and events past their retention, remove erased data from the database's
//! files, and measure.

use crate::domain::Result;
use crate::measures::{Kind, declare};
use crate::trace::ExportedSpan;
use crate::vault::Vault;
use crate::webhook::Webhook;
use futures::future::BoxFuture;
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

const OUTBOX_INTERVAL: Duration = Duration::from_secs(1);
const DENIALS_INTERVAL: Duration = Duration::from_secs(5);
const TRUNCATE_INTERVAL: Duration = Duration::from_secs(5);
const SWEEP_INTERVAL: Duration = Duration::from_secs(5 * 60);
const HEAD_INTERVAL: Duration = Duration::from_secs(60);
const MEASURE_INTERVAL: Duration = Duration::from_secs(15);
const COUNT_INTERVAL: Duration = Duration::from_secs(60);
const NOTICES_INTERVAL: Duration = Duration::from_secs(10 * 60);
const REFUSALS_INTERVAL: Duration = Duration::from_secs(60);
const DELIVERY_INTERVAL: Duration = Duration::from_secs(5);
const EVENT_SWEEP_INTERVAL: Duration = Duration::from_secs(60 * 60);

/// Counts runs of a job that failed, by `task`: Prometheus itself has a label `job`.
const FAILURES: &str = "vault_job_failures_total";

type Job = Box<dyn Fn(Vault) -> BoxFuture<'static, Result<()>> + Send + Sync>;

/// Runs until `stop` is cancelled, then records the remaining denials and signs a last head. Events
/// older than `audit_retention` are erased; without it none are.
pub async fn run(vault: Vault, audit_retention: Option<Duration>, notices: Option<Webhook>, stop: CancellationToken) {
    let every = |period, what, job: Job| {
        let vault = vault.clone();
        repeat(&stop, period, what, move || job(vault.clone()))
    };
    let sweep_events: Job = Box::new(move |vault| {
        Box::pin(async move {
            match audit_retention {
                Some(retention) => vault.audit().sweep(retention).await.map(drop),
                None => Ok(()),
            }
        })
    });
    let noticing = async {
        let Some(webhook) = notices else { return };
        tokio::join!(
            every(
                NOTICES_INTERVAL,
                "finding entries to give notice of",
                Box::new(|vault| Box::pin(async move { vault.notices().find_due_entries().await }))
            ),
            every(
                REFUSALS_INTERVAL,
                "finding refusals in bulk",
                Box::new(|vault| Box::pin(async move { vault.notices().find_bulk_refusals().await }))
            ),
            every(
                DELIVERY_INTERVAL,
                "delivering notices",
                Box::new(move |vault| {
                    let webhook = webhook.clone();
                    Box::pin(async move { vault.notices().deliver(&webhook).await })
                })
            ),
        );
    };
    tokio::join!(
        noticing,
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
        every(
            MEASURE_INTERVAL,
            "measuring",
            Box::new(|vault| {
                Box::pin(async move {
                    vault.gauges().measure_readiness().await;
                    vault.gauges().measure_outbox().await
                })
            })
        ),
        every(
            COUNT_INTERVAL,
            "counting entries and keys",
            Box::new(|vault| Box::pin(async move { vault.gauges().measure_contents().await }))
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
async fn repeat(
    stop: &CancellationToken,
    period: Duration,
    what: &'static str,
    job: impl Fn() -> BoxFuture<'static, Result<()>>,
) {
    let help = "Runs of a background job that failed, by task; each is tried again.";
    declare(Kind::Counter, FAILURES, help, &[("task", &[what])]);
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        // In a task of its own, so that a panic ends this run alone.
        let span = ExportedSpan::job(what);
        match tokio::spawn(span.around_result(job(), |error| error.code().as_str())).await {
            Ok(Ok(())) => continue,
            Ok(Err(error)) => tracing::warn!(%error, job = what, "a background job failed; it is tried again"),
            Err(_) => tracing::error!(job = what, "a background job ended by a defect; it is tried again"),
        }
        metrics::counter!(FAILURES, "task" => what).increment(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[tokio::test]
    async fn a_job_that_panics_is_run_again() {
        let (runs, stop) = (Arc::new(AtomicU32::new(0)), CancellationToken::new());
        let job = || -> BoxFuture<'static, Result<()>> {
            let runs = runs.clone();
            Box::pin(async move {
                assert!(runs.fetch_add(1, Ordering::Relaxed) > 0, "a defect, which this test is about");
                Ok(())
            })
        };
        let stopping = async {
            while runs.load(Ordering::Relaxed) < 3 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            stop.cancel();
        };
        tokio::join!(repeat(&stop, Duration::from_millis(5), "a test", job), stopping);
    }
}
