//! The rows of projects and milestones, authenticated with a MAC under the installation's AUDIT
//! key. A project's row states who may receive anything of it, and lists every entry that is not
//! deleted; a milestone's row states when its entries exist for agents.
//!
//! Everything here changes under the project's lock. Each change of a project's row raises its
//! revision, and so does each change of one of its milestones or entries. The database can be put
//! back to an earlier state, a process cannot: a row older than one seen before is refused.

use super::installation::Installation;
use crate::crypto::{AuditKey, Listed, Listing, MacContext};
use crate::domain::{
    ApprovedNames, EntryId, EnvironmentNames, Error, MilestoneId, Phase, ProjectId, ProjectStatus, Result, Timestamp,
};
use crate::store::records::{EntryRow, MilestoneRow, ProjectState};
use crate::store::{End, Tx};
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use std::sync::Arc;

/// Maximum number of projects whose revision is remembered, about 20 MB. The least recently used
/// are forgotten first.
const MAX_PROJECTS: u64 = 100_000;

/// A row of a project or milestone, or what it lists, that is not as the vault wrote it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ForgedProject {
    /// The MAC of a project's row is missing or does not match its fields.
    #[error("the row of project {0} was changed by hand: it has no valid MAC")]
    Changed(ProjectId),
    /// This process has seen a newer row of the project.
    #[error("the row of project {0} is older than one that this process has seen; an old one was put back")]
    PutBack(ProjectId),
    /// The MAC of a milestone's row is missing or does not match its fields.
    #[error("the row of milestone {0} was changed by hand: it has no valid MAC")]
    Milestone(MilestoneId),
    /// The milestone's row is missing, or older than its project's listing says.
    #[error(
        "the row of milestone {0} is not the one that its project's listing names; it was removed, or an old one was put back"
    )]
    OtherMilestone(MilestoneId),
    /// An entry that is not deleted has no row under the name and scope it is listed with.
    #[error(
        "entry {entry} ({name:?} of project {project}) is listed as not deleted, but has no such row; it was removed, renamed, moved or deleted by hand"
    )]
    Missing {
        /// The project.
        project: ProjectId,
        /// The entry.
        entry: EntryId,
        /// The name it is listed with.
        name: String,
    },
    /// The row of an entry is not the one that the listing names.
    #[error(
        "entry {entry} of project {project}: its row is not the one that the project's listing names; it was added, changed or put back by hand"
    )]
    Unlisted {
        /// The project.
        project: ProjectId,
        /// The entry.
        entry: EntryId,
    },
}

impl ForgedProject {
    /// The entry that is wrong, if it is one.
    #[must_use]
    pub const fn entry(&self) -> Option<EntryId> {
        match self {
            Self::Missing { entry, .. } | Self::Unlisted { entry, .. } => Some(*entry),
            Self::Changed(_) | Self::PutBack(_) | Self::Milestone(_) | Self::OtherMilestone(_) => None,
        }
    }
}

impl From<ForgedProject> for Error {
    fn from(forged: ForgedProject) -> Self {
        tracing::error!(error = %forged, "a project or milestone is not used; run `project-vault audit verify`");
        Self::internal(forged)
    }
}

/// The highest revisions of projects that this process has seen.
pub(super) struct ProjectRevisions(Cache<ProjectId, i64>);

impl Default for ProjectRevisions {
    fn default() -> Self {
        Self(Cache::builder().max_capacity(MAX_PROJECTS).eviction_policy(EvictionPolicy::lru()).build())
    }
}

impl ProjectRevisions {
    fn raise(&self, project: &ProjectId, revision: i64) {
        if self.0.get(project).is_none_or(|highest| highest < revision) {
            self.0
                .entry_by_ref(project)
                .and_upsert_with(|known| known.map_or(revision, |known| known.into_value().max(revision)));
        }
    }
}

fn with_project_fields<T>(row: &ProjectState, run: impl FnOnce([Option<&str>; 7]) -> T) -> T {
    let (registered_at, revision) = (row.registered_at.millis().to_string(), row.revision.to_string());
    let digest = row.listing.as_deref().map(Listing::digest);
    run([
        Some(row.id.as_str()),
        Some(row.status.as_str()),
        Some(&registered_at),
        Some(row.environment_names.as_str()),
        Some(&row.approved_names),
        Some(&revision),
        digest.as_deref(),
    ])
}

/// Verifies the MAC of a project's row, and gives its listing.
pub(in crate::vault) fn verify_project(key: &AuditKey, row: &ProjectState) -> Result<Listing, ForgedProject> {
    let forged = || ForgedProject::Changed(row.id.clone());
    let mac = row.mac.as_deref().unwrap_or_default();
    with_project_fields(row, |fields| key.verify(MacContext::Project, fields, mac)).map_err(|_| forged())?;
    row.listing.as_deref().and_then(Listing::decode).ok_or_else(forged)
}

/// Sets the listing of a project's row, and its MAC.
pub(super) fn sign_project(key: &AuditKey, row: &mut ProjectState, listing: &Listing) {
    row.listing = Some(listing.encode());
    row.mac = Some(with_project_fields(row, |fields| key.mac(MacContext::Project, fields)).to_vec());
}

fn with_milestone_fields<T>(row: &MilestoneRow, run: impl FnOnce([Option<&str>; 6]) -> T) -> T {
    let instant = |at: Option<Timestamp>| at.map(|at| at.millis().to_string());
    let (opens_at, closes_at) = (instant(row.opens_at), instant(row.closes_at));
    let revision = row.revision.to_string();
    run([
        Some(row.id.as_str()),
        Some(row.project.as_str()),
        opens_at.as_deref(),
        closes_at.as_deref(),
        Some(if row.closed { "true" } else { "false" }),
        Some(&revision),
    ])
}

/// Verifies the MAC of a milestone's row.
pub(in crate::vault) fn verify_milestone(key: &AuditKey, row: &MilestoneRow) -> Result<(), ForgedProject> {
    let mac = row.mac.as_deref().unwrap_or_default();
    with_milestone_fields(row, |fields| key.verify(MacContext::Milestone, fields, mac))
        .map_err(|_| ForgedProject::Milestone(row.id.clone()))
}

/// Sets the MAC of a milestone's row.
pub(super) fn sign_milestone(key: &AuditKey, row: &mut MilestoneRow) {
    row.mac = Some(with_milestone_fields(row, |fields| key.mac(MacContext::Milestone, fields)).to_vec());
}

/// A project's row, authentic, in a transaction that holds the project's lock. What is changed of
/// it is written by [`Self::save`].
pub(in crate::vault) struct OpenProject {
    installation: Installation,
    key: Arc<AuditKey>,
    row: ProjectState,
    listing: Listing,
}

impl Installation {
    /// Reads and verifies the row of a project whose lock the transaction holds.
    ///
    /// # Errors
    /// INTERNAL for a row that is not as the vault wrote it.
    pub(in crate::vault) async fn open_project(&self, tx: &mut Tx, project: &ProjectId) -> Result<OpenProject> {
        let key = self.audit_key(tx).await?;
        let row = tx.project_state(project).await?;
        let row = row.ok_or_else(|| Error::internal("a project's row is gone while its lock is held"))?;
        let listing = verify_project(&key, &row)?;
        if self.highest_project_revision(project).is_some_and(|highest| row.revision < highest) {
            return Err(ForgedProject::PutBack(project.clone()).into());
        }
        Ok(OpenProject { installation: self.clone(), key, row, listing })
    }

    /// Adds a project, which has no entries.
    ///
    /// # Errors
    /// UNAVAILABLE when the database cannot be reached.
    pub(in crate::vault) async fn add_project(
        &self,
        tx: &mut Tx,
        project: &ProjectId,
        status: ProjectStatus,
        now: Timestamp,
    ) -> Result<()> {
        let key = self.audit_key(tx).await?;
        let mut row = ProjectState {
            id: project.clone(),
            status,
            registered_at: now,
            environment_names: EnvironmentNames::Any,
            approved_names: ApprovedNames::default().as_str().to_owned(),
            revision: 1,
            mac: None,
            listing: None,
        };
        sign_project(&key, &mut row, &Listing::default());
        tx.insert_project(&row).await?;
        self.remember_after_commit(tx, &row);
        Ok(())
    }

    /// Makes and adds projects with a data key, for tests that need many.
    ///
    /// # Errors
    /// UNAVAILABLE when the database or the provider of the master keys cannot be reached.
    #[doc(hidden)]
    pub async fn add_empty_project(&self, tx: &mut Tx, project: &ProjectId) -> Result<()> {
        self.add_project(tx, project, ProjectStatus::Active, self.now()).await?;
        let made = self.make_data_key(project).await?;
        self.add_data_key(tx, made).await.map(drop)
    }

    /// The highest revision of a project's row that this process has seen and still remembers.
    pub(in crate::vault) fn highest_project_revision(&self, project: &ProjectId) -> Option<i64> {
        self.0.project_revisions.0.get(project)
    }

    /// Remembers the revision of a row that is committed and authentic.
    pub(in crate::vault) fn remember_project_revision(&self, project: &ProjectId, revision: i64) {
        self.0.project_revisions.raise(project, revision);
    }

    fn remember_after_commit(&self, tx: &mut Tx, row: &ProjectState) {
        let (installation, project, revision) = (self.clone(), row.id.clone(), row.revision);
        tx.at_end(move |end| {
            if end == End::Committed {
                installation.remember_project_revision(&project, revision);
            }
        });
    }
}

impl OpenProject {
    /// The project's status.
    pub(in crate::vault) const fn status(&self) -> ProjectStatus {
        self.row.status
    }

    /// Sets the project's status.
    pub(in crate::vault) const fn set_status(&mut self, status: ProjectStatus) {
        self.row.status = status;
    }

    /// Which names reach the project's sessions, and the approved ones.
    ///
    /// # Errors
    /// INTERNAL for approved names that are not in the stored form.
    pub(in crate::vault) fn environment_names(&self) -> Result<(EnvironmentNames, ApprovedNames)> {
        let approved = ApprovedNames::parse(&self.row.approved_names);
        let approved = approved.ok_or_else(|| Error::internal("a project's approved names are not in their form"))?;
        Ok((self.row.environment_names, approved))
    }

    /// Sets which names reach the project's sessions.
    pub(in crate::vault) fn set_environment_names(&mut self, names: EnvironmentNames, approved: &ApprovedNames) {
        self.row.environment_names = names;
        approved.as_str().clone_into(&mut self.row.approved_names);
    }

    /// Verifies the row of a milestone of the project, that it is the one that the listing names.
    ///
    /// # Errors
    /// INTERNAL when it is not.
    pub(in crate::vault) fn verify_milestone(&self, row: &MilestoneRow) -> Result<()> {
        verify_milestone(&self.key, row)?;
        if self.listing.milestone_revision(&row.id) == Some(row.revision) {
            Ok(())
        } else {
            Err(ForgedProject::OtherMilestone(row.id.clone()).into())
        }
    }

    /// Signs a milestone's row as it is after this change of the project.
    fn sign_milestone(&mut self, row: &mut MilestoneRow) {
        row.revision = self.row.revision + 1;
        sign_milestone(&self.key, row);
        self.listing.set_milestone_revision(&row.id, row.revision);
    }

    /// Adds a milestone, and saves.
    ///
    /// # Errors
    /// UNAVAILABLE when the database cannot be reached.
    pub(in crate::vault) async fn add_milestone(mut self, tx: &mut Tx, id: &MilestoneId, phase: Phase) -> Result<()> {
        let Phase { opens_at, closes_at } = phase;
        let (id, project) = (id.clone(), self.row.id.clone());
        let mut row = MilestoneRow { id, project, opens_at, closes_at, closed: false, revision: 0, mac: None };
        self.sign_milestone(&mut row);
        tx.insert_milestone(&row).await?;
        self.save(tx).await
    }

    /// Verifies the row of a milestone, sets its phase and whether a person closed it, and saves.
    ///
    /// # Errors
    /// INTERNAL for a row that is not as the vault wrote it.
    pub(in crate::vault) async fn set_phase(
        mut self,
        tx: &mut Tx,
        mut row: MilestoneRow,
        phase: Phase,
        closed: bool,
    ) -> Result<()> {
        self.verify_milestone(&row)?;
        (row.opens_at, row.closes_at, row.closed) = (phase.opens_at, phase.closes_at, closed);
        self.sign_milestone(&mut row);
        tx.save_milestone(&row).await?;
        self.save(tx).await
    }

    /// Removes a milestone with its entries from the listing.
    pub(in crate::vault) fn remove_milestone(&mut self, milestone: &MilestoneId) {
        self.listing.remove_milestone(milestone);
    }

    /// Takes an entry that is about to change out of the listing, where it has to be exactly as its
    /// row says.
    ///
    /// # Errors
    /// INTERNAL when the row is not the one that is listed.
    pub(in crate::vault) fn take_entry(&mut self, row: &EntryRow) -> Result<()> {
        let is_as_listed = match row.deleted_at {
            None => self.listing.remove(row.milestone.as_ref(), &row.name, of_row(row)),
            // One that is deleted must not be listed.
            Some(_) => self.listing.iter().all(|(_, _, listed)| listed.entry != row.id),
        };
        if is_as_listed { Ok(()) } else { Err(self.unlisted(row)) }
    }

    /// Puts an entry into the listing as it is after its change, unless that deleted it.
    ///
    /// # Errors
    /// INTERNAL when the listing has another entry of that name, whose row is therefore missing.
    pub(in crate::vault) fn put_entry(&mut self, row: &EntryRow) -> Result<()> {
        if row.deleted_at.is_some() || self.listing.insert(row.milestone.as_ref(), &row.name, of_row(row)) {
            Ok(())
        } else {
            Err(self.unlisted(row))
        }
    }

    fn unlisted(&self, row: &EntryRow) -> Error {
        ForgedProject::Unlisted { project: self.row.id.clone(), entry: row.id }.into()
    }

    /// Writes the project's row with the next revision.
    ///
    /// # Errors
    /// UNAVAILABLE when the database cannot be reached.
    pub(in crate::vault) async fn save(mut self, tx: &mut Tx) -> Result<()> {
        self.row.revision += 1;
        sign_project(&self.key, &mut self.row, &self.listing);
        tx.save_project(&self.row).await?;
        self.installation.remember_after_commit(tx, &self.row);
        Ok(())
    }
}

/// What the listing says of an entry's row.
const fn of_row(row: &EntryRow) -> Listed {
    Listed { entry: row.id, revision: row.revision }
}
