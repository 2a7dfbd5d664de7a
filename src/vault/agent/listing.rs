//! Checks that no candidate is missing. A MAC authenticates the rows that a statement finds, not
//! those it misses; so the project's row lists every entry that is not deleted, under its MAC, and
//! what was read of a scope has to be exactly what is listed of it.

use super::AgentSecrets;
use super::candidates::of_version;
use super::question::Lookup;
use crate::crypto::{ListedEntries, Listing};
use crate::domain::{AuditOutcome, Error, EventId, MilestoneId, ProjectId};
use crate::store::records::{Candidates, EntryRow, EventRow};
use crate::vault::keys::{ForgedProject, verify_milestone, verify_project};
use crate::vault::measures;
use std::collections::HashMap;

/// Why what was read is not what is listed.
pub(super) enum ListingError {
    /// Rows are not as the vault wrote them.
    Forged(ForgedProject),
    /// It could not be checked.
    NotChecked(Error),
}

impl From<ForgedProject> for ListingError {
    fn from(forged: ForgedProject) -> Self {
        Self::Forged(forged)
    }
}

impl AgentSecrets {
    /// Verifies the rows of the project and the milestone, and that the candidates are those that
    /// the project lists. The listing is dropped then. Gives the number of entries that it lists in
    /// the project's scope and the milestone's.
    pub(super) async fn check_listed(&self, lookup: &Lookup, found: &mut Candidates) -> Result<usize, ListingError> {
        let Some(project) = &found.project else { return Ok(0) };
        let key = self.installation.open_audit_key().await.map_err(ListingError::NotChecked)?;
        let state = found.state.take().ok_or_else(|| ForgedProject::PutBack(project.id.clone()))?;
        let listing = verify_project(&key, &state)?;
        // Both were made from rows of the same statement.
        let of_state = (&state.id, state.status, state.environment_names, state.revision);
        if (&project.id, project.status, project.environment_names, project.revision) != of_state {
            return Err(ForgedProject::Changed(project.id.clone()).into());
        }
        if let Some(milestone) = &found.milestone {
            verify_milestone(&key, milestone)?;
        }
        check_phase(lookup, &listing, found)?;
        check_entries(lookup, &listing, found)?;
        self.installation.remember_project_revision(&state.id, state.revision);
        let listed = |scope| listing.entries(scope).map_or(0, ListedEntries::len);
        Ok(listed(None) + lookup.milestone.as_ref().map_or(0, |milestone| listed(Some(milestone))))
    }

    /// Records that a call failed because rows of its project are not as the vault wrote them.
    /// Gives the call's error, or UNAVAILABLE when that could not be recorded.
    pub(super) async fn record_forged(&self, event: &EventRow, found: &Candidates, forged: ForgedProject) -> Error {
        measures::count_unauthentic();
        let rows = found.entries.iter().map(|row| &row.entry).chain(&found.incomplete);
        let entry = forged.entry();
        let event = match (rows.into_iter().find(|row| Some(row.id) == entry), &forged) {
            (Some(row), _) => of_version(event, row),
            (None, ForgedProject::Missing { entry, name, .. }) => {
                EventRow { entry: Some(*entry), entry_name: Some(name.clone()), ..event.clone() }
            }
            (None, _) => event.clone(),
        };
        let error = Error::from(forged);
        let reason = Some(error.code().to_string());
        let event = EventRow { id: EventId::new(), outcome: AuditOutcome::Failed, reason, ..event };
        match self.audit.record(&[event]).await {
            Ok(()) => error,
            Err(unavailable) => unavailable,
        }
    }
}

/// The milestone's row has to be the one that the listing names.
fn check_phase(lookup: &Lookup, listing: &Listing, found: &Candidates) -> Result<(), ForgedProject> {
    let Some(asked) = &lookup.milestone else { return Ok(()) };
    if listing.milestone_revision(asked) == found.milestone.as_ref().map(|milestone| milestone.revision) {
        Ok(())
    } else {
        Err(ForgedProject::OtherMilestone(asked.clone()))
    }
}

/// The entries of a question, by scope and name.
type ByName<'a> = HashMap<(Option<&'a MilestoneId>, &'a str), &'a EntryRow>;

/// Each entry that was read has to be listed as it is, and each listed one that the question asks
/// for has to be read.
fn check_entries(lookup: &Lookup, listing: &Listing, found: &Candidates) -> Result<(), ForgedProject> {
    let project = &lookup.project;
    let mut rows = ByName::new();
    for row in found.entries.iter().map(|row| &row.entry).chain(&found.incomplete) {
        let listed = listing.entries(row.milestone.as_ref()).and_then(|entries| entries.get(&row.name));
        if listed.is_none_or(|listed| (listed.entry, listed.revision) != (row.id, row.revision)) {
            return Err(ForgedProject::Unlisted { project: project.clone(), entry: row.id });
        }
        rows.insert((row.milestone.as_ref(), &row.name), row);
    }
    let scopes = std::iter::once(None).chain(lookup.milestone.as_ref().map(Some));
    for scope in scopes {
        let Some(entries) = listing.entries(scope) else { continue };
        match &lookup.names {
            Some(names) => {
                let listed = names.iter().filter_map(|name| entries.get_key_value(name));
                check_read(project, scope, listed, &rows)?;
            }
            None => check_read(project, scope, entries, &rows)?,
        }
    }
    Ok(())
}

/// Each of these listed entries has to be among the rows.
fn check_read<'a>(
    project: &ProjectId,
    scope: Option<&MilestoneId>,
    listed: impl IntoIterator<Item = (&'a String, &'a crate::crypto::Listed)>,
    rows: &ByName<'_>,
) -> Result<(), ForgedProject> {
    for (name, listed) in listed {
        if !rows.contains_key(&(scope, name.as_str())) {
            let (project, name) = (project.clone(), name.clone());
            return Err(ForgedProject::Missing { project, entry: listed.entry, name });
        }
    }
    Ok(())
}
