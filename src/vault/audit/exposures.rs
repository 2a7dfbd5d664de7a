//! The agents that received an entry's current value: those a leak may come from, and whose copy a
//! rotation makes worthless. The database keeps them in a table of their own as access records are
//! inserted, so that reading them takes no longer the more often a value was used, and they outlive
//! the records' retention.

use super::Audit;
use crate::domain::{EntryId, Result, Timestamp};
use crate::store::records::ExposureRow;
use std::collections::HashMap;

/// Maximum number of agents that are named for an entry.
const MAX_EXPOSURES: usize = 100;

/// An agent that received the current version of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exposure {
    /// The agent's id.
    pub agent: String,
    /// When it first received the value.
    pub since: Timestamp,
    /// When it last received the value.
    pub last: Timestamp,
}

impl Audit {
    /// The agents that received the current version of these entries, of each entry the 100 that
    /// received it last; an entry that no agent received is absent. Takes one SQL query.
    ///
    /// # Errors
    /// UNAVAILABLE when the database cannot be reached.
    pub async fn exposures_of(&self, entries: &[EntryId]) -> Result<HashMap<EntryId, Vec<Exposure>>> {
        let mut exposures = HashMap::<EntryId, Vec<Exposure>>::new();
        for row in self.0.store.conn().await?.exposures_of(entries).await? {
            let ExposureRow { entry, agent, since: Some(since), last: Some(last) } = row else { continue };
            let of_entry = exposures.entry(entry).or_default();
            if of_entry.len() < MAX_EXPOSURES {
                of_entry.push(Exposure { agent, since, last });
            }
        }
        Ok(exposures)
    }
}
