//! Counts the entries of projects by what needs attention.

use super::Entries;
use crate::domain::{ProjectId, Result};
use crate::store::records::EntryCounts;
use std::collections::HashMap;
use std::time::Duration;

/// How soon an entry expires that counts as expiring.
const EXPIRING_WITHIN: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// Maximum number of projects that one statement counts.
const PROJECTS_PER_STATEMENT: usize = 100;

/// Numbers of entries of a project. Callers need permission to list its entries; `deleted` needs
/// permission to administer it, and `never_used` permission to see masked values.
pub type Summary = EntryCounts;

impl Entries {
    /// The summaries of projects, of 100 in one statement. Checks no permission.
    ///
    /// # Errors
    /// UNAVAILABLE when the database cannot be reached.
    pub async fn summaries(&self, projects: &[ProjectId]) -> Result<HashMap<ProjectId, Summary>> {
        let now = self.now();
        let mut conn = self.store.conn().await?;
        let mut found: HashMap<ProjectId, Summary> =
            projects.iter().map(|project| (project.clone(), Summary::default())).collect();
        for some in projects.chunks(PROJECTS_PER_STATEMENT) {
            found.extend(conn.entry_counts(some, now, now.plus(EXPIRING_WITHIN)).await?);
        }
        Ok(found)
    }

    /// The number of entries of each project, deleted ones excluded, whose names its sessions do not
    /// receive; read in three statements. Checks no permission.
    ///
    /// # Errors
    /// UNAVAILABLE when the database cannot be reached.
    pub async fn left_out_counts(&self, projects: &[ProjectId]) -> Result<HashMap<ProjectId, i64>> {
        let mut conn = self.store.conn().await?;
        let left_out = self.entries_by_session(&mut conn, projects, true).await?;
        Ok(left_out.into_iter().map(|(project, ids)| (project, i64::try_from(ids.len()).unwrap_or(i64::MAX))).collect())
    }
}
