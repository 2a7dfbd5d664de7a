//! The setting for which names of entries reach the sessions of a project (`product.md`, section
//! 3). An Accountable person sets it, a resolve without names follows it, and lists show which
//! names it leaves out.

use super::{Entries, values};
use crate::domain::{ApprovedNames, AuditAction, EntryId, EnvironmentNames, Error, LeftOutReason, ProjectId, Result};
use crate::permission::CanAdminister;
use crate::store::Conn;
use crate::vault::Caller;
use crate::vault::access::{Needs, Project, ProjectTx};
use crate::vault::input::id;
use std::collections::HashMap;

/// Path of the input field for approved names.
const APPROVED: &[&str] = &["input", "approvedNames"];

/// A name that a session does not receive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// The name of an entry.
    pub name: String,
    /// Why the session does not receive it.
    pub reason: LeftOutReason,
}

/// A change of the names that reach a project's sessions.
#[derive(Debug, Clone)]
pub struct EnvironmentChange {
    /// The project's id.
    pub project: String,
    /// The new rule for the names that reach its sessions.
    pub names: EnvironmentNames,
    /// The new approved names; `None` keeps the present ones.
    pub approved: Option<Vec<String>>,
}

impl Entries {
    /// Sets which names reach a project's sessions. Setting what is set already records no event.
    ///
    /// # Errors
    /// The errors of `product.md`, sections 2 and 7; LIMIT_EXCEEDED for more than
    /// [`ApprovedNames::MAX`] approved names.
    pub async fn set_environment_names(&self, caller: &Caller, change: EnvironmentChange) -> Result<Project> {
        let action = AuditAction::ProjectEnvironmentChanged;
        let project = id(ProjectId::parse(change.project), &["input", "projectId"])?;
        let names = change.names;
        let event =
            caller.event(action, self.now()).in_project(&project).about(format_args!("environmentNames:{names}"));
        let granted = self.access.authorize::<CanAdminister>(caller, event.clone(), &project).await?;
        let approved = change.approved.map(|approved| self.approved(approved)).transpose()?;

        let ProjectTx { mut tx, status, .. } = granted.open(Needs::Lock).await?;
        let mut open = self.installation.open_project(&mut tx, &project).await?;
        let present = open.environment_names()?;
        let approved = approved.unwrap_or_else(|| present.1.clone());
        if present != (names, approved.clone()) {
            open.set_environment_names(names, &approved);
            open.save(&mut tx).await?;
            self.audit.append(&mut tx, &[event]).await?;
        }
        tx.commit().await?;
        Ok(Project { id: project, status })
    }

    fn approved(&self, names: Vec<String>) -> Result<ApprovedNames> {
        let names: Result<Vec<_>> = names.into_iter().map(|name| values::name(name, self.reserved, APPROVED)).collect();
        ApprovedNames::new(names?)
            .ok_or_else(|| Error::limit(APPROVED, format!("A project approves at most {} names.", ApprovedNames::MAX)))
    }

    /// The names that these projects approve. Checks no permission: the caller must show them only
    /// with permission to list the projects' entries.
    ///
    /// # Errors
    /// UNAVAILABLE when the database cannot be reached.
    pub async fn approved_names(&self, projects: &[ProjectId]) -> Result<HashMap<ProjectId, ApprovedNames>> {
        Ok(self.store.reader().await?.approved_names(projects).await?.into_iter().collect())
    }

    /// Why the sessions of a project with this setting do not receive a name; `None` when they do.
    #[must_use]
    pub fn left_out(&self, names: EnvironmentNames, approved: &ApprovedNames, name: &str) -> Option<LeftOutReason> {
        names.left_out(name, approved.contains(name), self.reserved)
    }

    /// The entries of these projects, by project, whose names the projects' sessions leave out, or
    /// those whose names they receive.
    pub(super) async fn entries_by_session(
        &self,
        conn: &mut Conn,
        projects: &[ProjectId],
        left_out: bool,
    ) -> Result<HashMap<ProjectId, Vec<EntryId>>> {
        let rows = conn.projects_by_id(projects).await?.into_iter();
        let rules: HashMap<_, _> = rows.map(|row| (row.id, row.environment_names)).collect();
        let approved: HashMap<_, _> = conn.approved_names(projects).await?.into_iter().collect();
        let mut found: HashMap<ProjectId, Vec<EntryId>> = HashMap::new();
        for (project, id, name) in conn.entry_names(projects).await? {
            let (Some(rule), Some(approved)) = (rules.get(&project), approved.get(&project)) else { continue };
            if self.left_out(*rule, approved, &name).is_some() == left_out {
                found.entry(project).or_default().push(id);
            }
        }
        Ok(found)
    }
}
