//! Shows what an import would change, line by line, and writes no entry.
//!
//! It opens no value, so it is no way to guess one. Of an entry that exists it compares what people see
//! anyway: its masked value with that of the line.

use super::Entries;
use super::import::{DOTENV, EXPIRED_ENTRY, Import, MAX_LINES, OnConflict, too_many_lines};
use super::insert::milestone_row;
use super::reading::{Entry, ReadKeys};
use super::values;
use crate::domain::dotenv::{DotenvError, Line};
use crate::domain::{AuditAction, Category, EntryId, EntryStatus, MilestoneId, ProjectId, Result, Timestamp, dotenv};
use crate::permission::CanWrite;
use crate::store::Conn;
use crate::vault::Caller;
use crate::vault::input::id;
use secrecy::ExposeSecret as _;
use std::collections::{HashMap, HashSet};

/// What an import would do with a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImportChange {
    /// Create an entry.
    Create,
    /// Give the entry of this name another value.
    Rotate,
    /// Give the entry of this name a value with the same mask, which is probably the one it has.
    SameMask,
    /// Leave the line out.
    Skip,
    /// Refuse the line, and with it the import.
    Refused,
}

/// A line of a text to import.
pub struct ImportLine {
    /// The physical line on which it begins, from 1.
    pub line: usize,
    /// The name it assigns; `None` where it cannot be read.
    pub name: Option<String>,
    /// What an import would do with it.
    pub change: ImportChange,
    /// The entry of this name in this scope, if there is one.
    pub entry: Option<Entry>,
    /// Why it is refused.
    pub message: Option<String>,
}

impl ImportLine {
    fn refused(line: usize, name: Option<String>, entry: Option<Entry>, message: &str) -> Self {
        Self { line, name, change: ImportChange::Refused, entry, message: Some(sentence(message)) }
    }
}

/// A message as a sentence of its own.
fn sentence(message: &str) -> String {
    let mut characters = message.chars();
    let first = characters.next().map(char::to_uppercase).into_iter().flatten();
    let text: String = first.chain(characters).collect();
    if text.ends_with('.') { text } else { text + "." }
}

impl Entries {
    /// What [`Self::import`] would do with each line. Records one event.
    ///
    /// # Errors
    /// As [`Self::import`], but for those of single lines.
    pub async fn preview_import(&self, caller: &Caller, import: Import) -> Result<Vec<ImportLine>> {
        let project = id(ProjectId::parse(import.project), &["input", "projectId"])?;
        let now = self.now();
        let event = caller.event(AuditAction::ImportPreviewed, now).in_project(&project);
        self.access.authorize::<CanWrite>(caller, event.clone(), &project).await?;
        let parsed: Vec<_> = dotenv::parse_each(import.dotenv.expose_secret()).take(MAX_LINES + 1).collect();
        if parsed.len() > MAX_LINES {
            return Err(too_many_lines());
        }
        let mut conn = self.store.conn().await?;
        let milestone = milestone_row(&mut conn, &project, import.milestone).await?.map(|row| row.id);
        let taken = taken(&mut conn, &project, milestone.as_ref(), &parsed, now).await?;
        let is_new = |line: &Line| !taken.contains_key(line.name.as_str());
        let new = parsed.iter().flatten().filter(|line| is_new(line)).count();
        if conn.count_live(&project).await? + i64::try_from(new).unwrap_or(i64::MAX) > values::MAX_ENTRIES {
            return Err(values::no_room());
        }
        drop(conn);
        let same = match import.on_conflict {
            OnConflict::Rotate => self.same_masks(&project, &parsed, &taken).await?,
            OnConflict::Fail | OnConflict::Skip => HashSet::new(),
        };
        self.audit.record(&[event.on_milestone(milestone.as_ref())]).await?;
        let preview = |parsed: Result<Line, DotenvError>| match parsed {
            Err(error) => ImportLine::refused(error.line, None, None, &error.message),
            Ok(line) => {
                let entry = taken.get(line.name.as_str()).cloned();
                let change = match &entry {
                    None => new_entry(&line, import.category, now),
                    Some(entry) => match import.on_conflict {
                        OnConflict::Fail => Err("An entry of this name exists in this scope.".to_owned()),
                        OnConflict::Skip => Ok(ImportChange::Skip),
                        OnConflict::Rotate => rotation(&line, entry, &same, now),
                    },
                };
                let name = Some(line.name.as_str().to_owned());
                match change {
                    Ok(change) => ImportLine { line: line.line, name, change, entry, message: None },
                    Err(message) => ImportLine::refused(line.line, name, entry, &message),
                }
            }
        };
        Ok(parsed.into_iter().map(preview).collect())
    }

    /// The entries whose masked values the lines have, where the mask shows anything.
    async fn same_masks(
        &self,
        project: &ProjectId,
        parsed: &[Result<Line, DotenvError>],
        taken: &HashMap<String, Entry>,
    ) -> Result<HashSet<EntryId>> {
        let mut same = HashSet::new();
        for line in parsed.iter().flatten() {
            if let Some(entry) = taken.get(line.name.as_str())
                && self.has_shown_mask(project, entry, &line.value).await?
            {
                same.insert(entry.id);
            }
        }
        Ok(same)
    }
}

/// The entries that bear names of the lines in this scope, by name.
async fn taken(
    conn: &mut Conn,
    project: &ProjectId,
    milestone: Option<&MilestoneId>,
    parsed: &[Result<Line, DotenvError>],
    now: Timestamp,
) -> Result<HashMap<String, Entry>> {
    let names: Vec<&str> = parsed.iter().flatten().map(|line| line.name.as_str()).collect();
    let rows = conn.entries_named(project, milestone, &names).await?;
    let ids: Vec<EntryId> = rows.iter().map(|row| row.id).collect();
    let mut keys = ReadKeys::default();
    let views = conn.entries_by_id(&ids).await?.into_iter();
    // One may have been deleted or renamed since its name was found.
    let is_asked = |entry: &Entry| entry.status != EntryStatus::Deleted && names.contains(&entry.name.as_str());
    let entries = views.map(|view| Entry::from_view(view, &mut keys, now)).filter(is_asked);
    Ok(entries.map(|entry| (entry.name.clone(), entry)).collect())
}

fn new_entry(line: &Line, category: Category, now: Timestamp) -> Result<ImportChange, String> {
    values::value(&line.value, category, now, DOTENV).map_err(|error| error.to_string())?;
    Ok(ImportChange::Create)
}

fn rotation(line: &Line, entry: &Entry, same: &HashSet<EntryId>, now: Timestamp) -> Result<ImportChange, String> {
    if entry.status == EntryStatus::Expired {
        return Err(EXPIRED_ENTRY.to_owned());
    }
    values::value(&line.value, entry.category, now, DOTENV).map_err(|error| error.to_string())?;
    Ok(if same.contains(&entry.id) { ImportChange::SameMask } else { ImportChange::Rotate })
}
