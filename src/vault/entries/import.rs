//! Imports .env text: one entry per line, in one transaction.

use super::Entries;
use super::change::Changing;
use super::input::Change;
use super::insert::{Draft, insert_entry, require_room, scope};
use super::reading::{Entry, ReadKeys, status};
use super::values;
use crate::domain::{AuditAction, Category, EntryId, EntryStatus, Error, ProjectId, Result, dotenv};
use crate::permission::CanWrite;
use crate::vault::Caller;
use crate::vault::access::Needs;
use crate::vault::input::id;
use secrecy::{ExposeSecret as _, SecretString};
use std::collections::HashMap;

/// Maximum number of lines in one import, which is also the maximum number of entries of a project.
pub(super) const MAX_LINES: usize = 1_000;
pub(super) const DOTENV: &[&str] = &["input", "dotenv"];

pub(super) const EXPIRED_ENTRY: &str = "this entry has expired; rotate it separately, with expiresAt.";

pub(super) fn too_many_lines() -> Error {
    Error::limit(DOTENV, format!("Import at most {MAX_LINES} lines at once."))
}

/// What an import does when an entry with a line's name exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnConflict {
    /// Imports nothing.
    #[default]
    Fail,
    /// Leaves that line out.
    Skip,
    /// Rotates that entry to the line's value.
    Rotate,
}

/// A .env text to import.
pub struct Import {
    /// The id of the project to import into.
    pub project: String,
    /// The id of the milestone that the entries are scoped to; `None` for the whole project.
    pub milestone: Option<String>,
    /// The .env text.
    pub dotenv: SecretString,
    /// The category of the created entries.
    pub category: Category,
    /// What to do with names that exist.
    pub on_conflict: OnConflict,
}

/// The result of an import, in the order of the lines.
#[derive(Default)]
pub struct Imported {
    /// The created entries.
    pub created: Vec<Entry>,
    /// The rotated entries.
    pub rotated: Vec<Entry>,
    /// The names of the lines left out.
    pub skipped: Vec<String>,
}

impl Entries {
    /// Creates or rotates one entry per line, in one transaction.
    ///
    /// # Errors
    /// The errors of `product.md`, sections 2, 3 and 7; INVALID_INPUT names the line.
    pub async fn import(&self, caller: &Caller, import: Import) -> Result<Imported> {
        let project = id(ProjectId::parse(import.project), &["input", "projectId"])?;
        let event = caller.event(AuditAction::EntryCreated, self.now()).in_project(&project);
        let granted = self.access.authorize::<CanWrite>(caller, event, &project).await?;
        let lines = dotenv::parse(import.dotenv.expose_secret())
            .map_err(|error| Error::invalid(DOTENV, format!("Line {}: {}", error.line, error.message)))?;
        if lines.len() > MAX_LINES {
            return Err(too_many_lines());
        }
        let now = self.now();
        let author = caller.person()?;

        let mut change = granted.open(Needs::DataKeys).await?;
        let by = change.by.clone();
        let (tx, _, open) = change.parts()?;
        let milestone = scope(tx, open, &project, import.milestone).await?;
        let names: Vec<&str> = lines.iter().map(|line| line.name.as_str()).collect();
        let mut taken: HashMap<String, _> = change
            .tx
            .entries_named(&project, milestone.as_ref(), &names)
            .await?
            .into_iter()
            .map(|row| (row.name.clone(), row))
            .collect();
        if import.on_conflict == OnConflict::Fail
            && let Some(line) = lines.iter().find(|line| taken.contains_key(line.name.as_str()))
        {
            return Err(Error::Conflict(format!(
                "Line {}: an entry of this name exists in this scope; nothing was imported.",
                line.line
            )));
        }
        let new = lines.len() - taken.len();
        let new = i64::try_from(new).unwrap_or(i64::MAX);
        require_room(&mut change.tx, &project, new).await?;
        let (tx, keys, _) = change.parts()?;
        let (data_key, key) = self.installation.key_for_sealing(tx, keys, new).await?;

        let mut done = Done::default();
        let mut events = Vec::with_capacity(lines.len());
        for line in lines {
            let at_line = |error| in_line(line.line, error);
            match taken.remove(line.name.as_str()) {
                Some(_) if import.on_conflict == OnConflict::Skip => {
                    done.skipped.push(line.name.as_str().to_owned());
                }
                Some(row) => {
                    let (tx, keys, open) = change.parts()?;
                    let key = self.open_for_change(tx, keys, &row).await?;
                    open.take_entry(&row)?;
                    if status(&row, now) == EntryStatus::Expired {
                        return Err(at_line(Error::invalid(DOTENV, EXPIRED_ENTRY)));
                    }
                    let value = values::value(&line.value, row.category, now, DOTENV).map_err(at_line)?;
                    let action = AuditAction::EntryRotated;
                    let mut changing = Changing { change, row, key, caller, action, now };
                    changing.rotate(self, &value, Change::Keep, DOTENV).await.map_err(at_line)?;
                    events.push(changing.write().await?);
                    done.rotated.push(changing.row.id);
                    change = changing.change;
                }
                None => {
                    let value = values::value(&line.value, import.category, now, DOTENV).map_err(at_line)?;
                    let draft = Draft {
                        milestone: milestone.clone(),
                        name: line.name,
                        description: None,
                        category: import.category,
                        expires_at: value.not_after(),
                        rotation_interval_days: None,
                    };
                    let row = insert_entry(&mut change.tx, &by, draft, &value, (&data_key, &key), author, now).await?;
                    change.parts()?.2.put_entry(&row)?;
                    events.push(caller.event(AuditAction::EntryCreated, now).of_change(&row));
                    done.created.push(row.id);
                }
            }
        }
        let mut tx = change.save_listing().await?;
        self.audit.append(&mut tx, &events).await?;
        let ids: Vec<EntryId> = done.created.iter().chain(&done.rotated).copied().collect();
        let views = tx.entries_by_id(&ids).await?;
        tx.commit().await?;
        let mut read_keys = ReadKeys::default();
        let mut entries: HashMap<EntryId, Entry> =
            views.into_iter().map(|view| (view.entry.id, Entry::from_view(view, &mut read_keys, now))).collect();
        let mut take = |ids: &[EntryId]| ids.iter().filter_map(|id| entries.remove(id)).collect();
        Ok(Imported { created: take(&done.created), rotated: take(&done.rotated), skipped: done.skipped })
    }
}

#[derive(Default)]
struct Done {
    created: Vec<EntryId>,
    rotated: Vec<EntryId>,
    skipped: Vec<String>,
}

/// Adds the line number to the message of an error.
fn in_line(line: usize, error: Error) -> Error {
    match error {
        Error::InvalidInput { field, message } => {
            Error::InvalidInput { field, message: format!("Line {line}: {message}") }
        }
        Error::LimitExceeded { field, message } => {
            Error::LimitExceeded { field, message: format!("Line {line}: {message}") }
        }
        error => error,
    }
}
