//! Gauges of what the database holds. Background jobs set them, since a scrape must neither wait for
//! the database nor burden it. Every server reports the same numbers.

use super::health::Health;
use super::keys::Installation;
use crate::domain::Result;
use crate::measures::{Kind, declare, number};
use std::time::Duration;

const READY: &str = "vault_ready";
const OUTBOX: &str = "vault_outbox_rows";
const OUTBOX_AGE: &str = "vault_outbox_oldest_age_seconds";
const EXPIRING: &str = "vault_entries_expiring";
const EXPIRED: &str = "vault_entries_expired";
const DATA_KEYS: &str = "vault_data_keys";

/// How soon an entry expires that counts as expiring.
const SOON: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// Maximum number of rows of each table that are counted.
const MAX_COUNTED: i64 = 100_000;

const PARTS: [&str; 3] = ["authorizer", "database", "keyring"];
const KEY_STATES: [&str; 3] = ["encrypting", "older", "outgoing"];

/// Declares the gauges.
pub(super) fn declare_metrics() {
    declare(
        Kind::Gauge,
        READY,
        "Whether a part that /readyz asks answers, 1 or 0, as of at most 15 seconds ago.",
        &[("part", &PARTS)],
    );
    declare(Kind::Gauge, OUTBOX, "Changes of permissions that are saved and not applied yet.", &[]);
    declare(Kind::Gauge, OUTBOX_AGE, "Age of the oldest of them; 0 if there is none.", &[]);
    declare(
        Kind::Gauge,
        EXPIRING,
        "Entries that expire within 7 days, apart from those that are deleted or disabled; at most 100,000.",
        &[],
    );
    declare(
        Kind::Gauge,
        EXPIRED,
        "Entries that have expired, apart from those that are deleted or disabled; at most 100,000.",
        &[],
    );
    declare(
        Kind::Gauge,
        DATA_KEYS,
        "Data keys by state: encrypting what is written next, older, and outgoing, whose entries are being moved; of at most 100,000.",
        &[("state", &KEY_STATES)],
    );
}

/// Sets the gauges. Cheap to clone.
#[derive(Clone)]
pub struct Gauges {
    installation: Installation,
    health: Health,
}

impl Gauges {
    pub(super) const fn new(installation: Installation, health: Health) -> Self {
        Self { installation, health }
    }

    /// Sets the gauges of the connection pools. Asks the database nothing.
    pub fn measure_pools(&self) {
        self.installation.store().measure_pools();
    }

    /// Asks the parts that `/readyz` asks, and sets their gauges.
    pub async fn measure_readiness(&self) {
        for (part, is_ready) in self.health.ready().await {
            metrics::gauge!(READY, "part" => part).set(f64::from(u8::from(is_ready)));
        }
    }

    /// Sets the gauges of the outbox.
    ///
    /// # Errors
    /// UNAVAILABLE when the database cannot be reached.
    pub async fn measure_outbox(&self) -> Result<()> {
        let (rows, oldest) = self.installation.store().conn().await?.outbox_backlog(MAX_COUNTED).await?;
        metrics::gauge!(OUTBOX).set(number(rows));
        let now = self.installation.now();
        let age = oldest.map_or(0, |oldest| (now.millis() - oldest.millis()).max(0));
        metrics::gauge!(OUTBOX_AGE).set(number(age / 1_000));
        Ok(())
    }

    /// Sets the gauges of entries and keys.
    ///
    /// # Errors
    /// UNAVAILABLE when the database cannot be reached.
    pub async fn measure_contents(&self) -> Result<()> {
        let now = self.installation.now();
        let mut conn = self.installation.store().conn().await?;
        metrics::gauge!(EXPIRED).set(number(conn.count_expiring(None, now, MAX_COUNTED).await?));
        metrics::gauge!(EXPIRING).set(number(conn.count_expiring(Some(now), now.plus(SOON), MAX_COUNTED).await?));
        let mut counts = [0; 3];
        for (encrypting, outgoing, count) in conn.data_keys_by_state(MAX_COUNTED).await? {
            counts[if encrypting { 0 } else { 1 + usize::from(outgoing) }] += count;
        }
        for (state, count) in KEY_STATES.into_iter().zip(counts) {
            metrics::gauge!(DATA_KEYS, "state" => state).set(number(count));
        }
        Ok(())
    }
}
