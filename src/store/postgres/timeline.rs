//! Which primary is the present one. After a failover, a former primary that was suspended or cut
//! off may answer for some seconds as if it still were one, with rows of before the failover. Each
//! promotion begins a timeline with a higher number, which tells them apart.

use super::backend::Connection;
use diesel::QueryableByName;
use diesel::sql_types::Text;
use diesel_async::RunQueryDsl as _;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Instant;

/// The newest primary that this process met. Clones share it.
#[derive(Clone, Default)]
pub struct PrimaryTimeline(Arc<Mutex<Newest>>);

#[derive(Default)]
struct Newest {
    primary: Option<Primary>,
    /// When it was met first, if another one was known before.
    since: Option<Instant>,
}

#[derive(QueryableByName, PartialEq, Eq)]
struct Primary {
    /// The cluster's identifier. A cluster that was made anew has timelines of its own.
    #[diesel(sql_type = Text)]
    system: String,
    /// In hexadecimal, of one length; empty for a standby.
    #[diesel(sql_type = Text)]
    timeline: String,
}

impl PrimaryTimeline {
    /// Whether the server of a new connection is no former primary. A server that does not tell its
    /// timeline is taken as it is.
    pub async fn admits(&self, conn: &mut Connection) -> bool {
        let asked = diesel::sql_query(
            "SELECT system_identifier::text AS system, CASE WHEN pg_is_in_recovery() THEN '' \
             ELSE substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) END AS timeline FROM pg_control_system()",
        );
        match asked.get_result::<Primary>(conn).await {
            Ok(primary) if !primary.timeline.is_empty() => self.admits_primary(primary),
            _ => true,
        }
    }

    fn admits_primary(&self, primary: Primary) -> bool {
        let mut newest = self.0.lock();
        let Newest { primary: known, since } = &mut *newest;
        match known {
            Some(known) if known.system == primary.system && primary.timeline < known.timeline => return false,
            Some(known) if *known == primary => return true,
            Some(_) => *since = Some(Instant::now()),
            None => {}
        }
        *known = Some(primary);
        true
    }

    /// Whether a connection of this age leads to the newest primary.
    pub fn reaches_newest(&self, created: Instant) -> bool {
        self.0.lock().since.is_none_or(|since| created >= since)
    }
}

#[cfg(test)]
mod tests {
    use super::{Instant, Primary, PrimaryTimeline};

    fn primary(system: &str, timeline: &str) -> Primary {
        Primary { system: system.to_owned(), timeline: timeline.to_owned() }
    }

    #[test]
    fn a_former_primary_and_connections_to_it_are_left() {
        let known = PrimaryTimeline::default();
        assert!(known.admits_primary(primary("1", "00000001")));
        let first = Instant::now();
        assert!(known.admits_primary(primary("1", "00000001")) && known.reaches_newest(first));
        assert!(known.admits_primary(primary("1", "0000000A")));
        assert!(!known.reaches_newest(first) && known.reaches_newest(Instant::now()));
        assert!(!known.admits_primary(primary("1", "00000009")));
        let second = Instant::now();
        assert!(known.admits_primary(primary("2", "00000001")), "a cluster made anew");
        assert!(!known.reaches_newest(second));
    }
}
