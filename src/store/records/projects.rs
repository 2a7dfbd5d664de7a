//! Projects and milestones.

use crate::domain::{EntryId, EnvironmentNames, MilestoneId, Phase, ProjectId, ProjectStatus, Timestamp};
use crate::store::Generation;
use diesel::Queryable;

/// A project that has a vault.
#[derive(Debug, Clone, Queryable)]
pub struct ProjectRow {
    /// Its id.
    pub id: ProjectId,
    /// Its state.
    pub status: ProjectStatus,
    /// The rule for the names that reach its sessions.
    pub environment_names: EnvironmentNames,
    /// Number of changes of what its MAC covers.
    pub revision: i64,
    /// The generation of its rows.
    pub generation: Generation,
}

/// Everything of a project that its MAC covers, with the MAC.
#[derive(Debug, Clone, PartialEq, Eq, Queryable)]
pub struct ProjectState {
    /// Its id.
    pub id: ProjectId,
    /// Its state.
    pub status: ProjectStatus,
    /// When it was registered.
    pub registered_at: Timestamp,
    /// The rule for the names that reach its sessions.
    pub environment_names: EnvironmentNames,
    /// The names it approves for them, in the form of `ApprovedNames`. Not parsed: what was changed
    /// by hand must still be read, to be refused.
    pub approved_names: String,
    /// Number of changes of this row.
    pub revision: i64,
    /// Authenticates all of it; `None` in a row of a release before these MACs.
    pub mac: Option<Vec<u8>>,
    /// The encoded listing of the entries that are not deleted; `None` as with the MAC.
    pub listing: Option<Vec<u8>>,
}

/// A milestone of a project.
#[derive(Debug, Clone, PartialEq, Eq, Queryable)]
pub struct MilestoneRow {
    /// Its id.
    pub id: MilestoneId,
    /// The project it belongs to.
    pub project: ProjectId,
    /// The first instant of its phase.
    pub opens_at: Option<Timestamp>,
    /// The first instant after its phase.
    pub closes_at: Option<Timestamp>,
    /// Whether a person closed it.
    pub closed: bool,
    /// The revision of the project's row after the milestone's newest change.
    pub revision: i64,
    /// Authenticates the row; `None` in one of a release before these MACs.
    pub mac: Option<Vec<u8>>,
}

impl MilestoneRow {
    /// Whether agents see its entries. If a person closed it, a clock that is behind does not
    /// reopen it.
    #[must_use]
    pub fn is_open(&self, now: Timestamp) -> bool {
        !self.closed && self.phase().is_open(now)
    }

    /// Its phase.
    #[must_use]
    pub const fn phase(&self) -> Phase {
        Phase { opens_at: self.opens_at, closes_at: self.closes_at }
    }
}

/// What a project's listing says of an entry, as the entry's row says it.
#[derive(Debug, Clone, PartialEq, Eq, Queryable)]
pub struct LiveEntryRow {
    /// Its id.
    pub id: EntryId,
    /// The milestone it belongs to; `None` for the whole project.
    pub milestone: Option<MilestoneId>,
    /// Its name.
    pub name: String,
    /// Number of its changes.
    pub revision: i32,
}
