//! Verifies the rows of projects and milestones, and compares the rows of entries with what their
//! project lists.

use super::Verifier;
use super::breaks::{Break, Verification};
use super::readable::readable;
use crate::crypto::{AuditKey, Listing};
use crate::domain::{AuditAction, AuditOutcome, EntryId, Error, ProjectId, Result};
use crate::store::records::{LiveEntryRow, MilestoneRow, ProjectState};
use crate::vault::audit::verify_event;
use crate::vault::keys::{ForgedProject, verify_milestone, verify_project};
use std::collections::{HashMap, HashSet};

/// Maximum number of projects read at once. Each may have a listing of 40 KB.
const BATCH: i64 = 100;
/// Maximum number of projects looked up at once.
const LOOKED_UP: usize = 1_000;
/// Maximum number of attempts to read a project between two of its changes.
const MAX_ATTEMPTS: usize = 20;

/// What is stored of a project.
struct Stored {
    state: ProjectState,
    milestones: Vec<MilestoneRow>,
    entries: Vec<LiveEntryRow>,
}

impl Verifier {
    /// Finds projects that were registered, and not deleted, but have no row.
    pub(super) async fn verify_registered(
        &self,
        audit: &AuditKey,
        registered: Vec<ProjectId>,
        deleted: &[ProjectId],
        found: &mut Verification,
    ) -> Result<()> {
        let deleted: HashSet<&ProjectId> = deleted.iter().collect();
        let left: Vec<ProjectId> = registered.into_iter().filter(|project| !deleted.contains(project)).collect();
        for projects in left.chunks(LOOKED_UP) {
            let existing: HashSet<ProjectId> = self.existing_projects(projects).await?.into_iter().collect();
            for project in projects.iter().filter(|project| !existing.contains(project)) {
                // It may have been deleted since the events were read.
                let kinds = [AuditAction::ProjectDeleted];
                let events = self.store.conn().await?.events_of_kind(project, &kinds).await?;
                let is_deletion = |event| verify_event(audit, event).is_ok();
                let mut allowed = events.iter().filter(|one| one.event.outcome == AuditOutcome::Allowed);
                if !allowed.any(is_deletion) {
                    found.breaks.push(Break::ProjectGone { project: project.clone() });
                }
            }
        }
        Ok(())
    }

    /// Verifies every project. What was found of an entry by its events is not named again.
    pub(super) async fn verify_projects(&self, audit: &AuditKey, found: &mut Verification) -> Result<()> {
        let named: HashSet<EntryId> = found.breaks.iter().filter_map(Break::entry).collect();
        let mut after = String::new();
        loop {
            let (states, last) = self.stored_projects(&after, BATCH, found).await?;
            let Some(last) = last else { return Ok(()) };
            after = last;
            for state in states {
                let Some(stored) = self.stored(state, found).await? else { continue };
                let mut forged = Vec::new();
                compare(audit, &stored, &mut forged);
                let is_new = |forged: &ForgedProject| forged.entry().is_none_or(|entry| !named.contains(&entry));
                found.breaks.extend(forged.into_iter().filter(is_new).map(Break::Project));
            }
        }
    }

    /// Reads a project as it is between two of its changes, each of which raises its revision;
    /// `None` once it is deleted.
    async fn stored(&self, mut state: ProjectState, found: &mut Verification) -> Result<Option<Stored>> {
        for _ in 0..MAX_ATTEMPTS {
            let mut conn = self.store.conn().await?;
            let milestones = readable(conn.milestones_of(std::slice::from_ref(&state.id)).await)?;
            let entries = readable(conn.live_entries(&state.id).await)?;
            let (Some(milestones), Some(entries)) = (milestones, entries) else {
                let id = format!("of project {}", state.id);
                found.breaks.push(Break::Unreadable { table: "milestones or entries", id });
                return Ok(None);
            };
            match conn.project_state(&state.id).await? {
                Some(now) if now == state => return Ok(Some(Stored { state, milestones, entries })),
                Some(now) => state = now,
                None => return Ok(None),
            }
        }
        Err(Error::unavailable("A project kept changing while it was verified; run it again."))
    }
}

/// Everything of a project that is not as the vault wrote it.
fn compare(audit: &AuditKey, stored: &Stored, forged: &mut Vec<ForgedProject>) {
    let Stored { state, milestones, entries } = stored;
    let listing = match verify_project(audit, state) {
        Ok(listing) => listing,
        Err(error) => {
            forged.push(error);
            // Without it, the milestones can still be checked.
            forged.extend(milestones.iter().filter_map(|row| verify_milestone(audit, row).err()));
            return;
        }
    };
    let revisions: HashMap<_, _> = milestones.iter().map(|row| (&row.id, row.revision)).collect();
    for row in milestones {
        forged.extend(verify_milestone(audit, row).err());
        if listing.milestone_revision(&row.id).is_none() {
            forged.push(ForgedProject::OtherMilestone(row.id.clone()));
        }
    }
    for milestone in listing.milestones() {
        if revisions.get(milestone).copied() != listing.milestone_revision(milestone) {
            forged.push(ForgedProject::OtherMilestone(milestone.clone()));
        }
    }
    compare_entries(&state.id, &listing, entries, forged);
}

fn compare_entries(project: &ProjectId, listing: &Listing, entries: &[LiveEntryRow], forged: &mut Vec<ForgedProject>) {
    let mut listed: HashMap<_, _> =
        listing.iter().map(|(milestone, name, listed)| ((milestone, name), listed)).collect();
    for row in entries {
        let found = listed.get(&(row.milestone.as_ref(), row.name.as_str()));
        if found.is_some_and(|listed| (listed.entry, listed.revision) == (row.id, row.revision)) {
            listed.remove(&(row.milestone.as_ref(), row.name.as_str()));
        } else {
            forged.push(ForgedProject::Unlisted { project: project.clone(), entry: row.id });
        }
    }
    let unlisted: HashSet<EntryId> = forged.iter().filter_map(ForgedProject::entry).collect();
    let missing = listed.into_iter().filter(|(_, listed)| !unlisted.contains(&listed.entry));
    forged.extend(missing.map(|((_, name), listed)| ForgedProject::Missing {
        project: project.clone(),
        entry: listed.entry,
        name: name.to_owned(),
    }));
}
