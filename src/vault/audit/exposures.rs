//! The agents that received an entry's current value, by the access records: those a leak may come
//! from, and whose copy a rotation makes worthless.

use super::Audit;
use crate::domain::{EntryId, Error, Result, Timestamp};
use std::collections::HashMap;

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
    /// The agents that received the current version of these entries; an entry that no agent
    /// received is absent. Takes one SQL query.
    ///
    /// # Errors
    /// UNAVAILABLE when the database cannot be reached.
    pub async fn exposures_of(&self, entries: &[EntryId]) -> Result<HashMap<EntryId, Vec<Exposure>>> {
        let mut exposures = HashMap::<EntryId, Vec<Exposure>>::new();
        for row in self.0.store.conn().await?.exposures_of(entries).await? {
            let (Some(entry), Some(agent), Some(since), Some(last)) = (row.entry, row.agent, row.since, row.last)
            else {
                return Err(Error::internal("an access record names no entry or agent"));
            };
            exposures.entry(entry).or_default().push(Exposure { agent, since, last });
        }
        Ok(exposures)
    }
}
