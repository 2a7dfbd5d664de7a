//! Rows that were read and authenticated, kept while nothing changes. They hold ciphertext.
//!
//! The database changes the generation of a project's rows with everything that decides a resolve,
//! whichever process changes it. Rows that were read at another generation are not used.

use super::question::ParsedQuestion;
use crate::domain::{MilestoneId, ProjectId};
use crate::store::Generation;
use crate::store::records::{CandidateRow, Candidates, MilestoneRow, ProjectRow};
use moka::sync::Cache;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Maximum memory of all kept rows, in bytes.
const MAX_BYTES: u64 = 64 * 1024 * 1024;
/// Maximum memory of the rows of one question, in bytes: larger ones are read each time.
const MAX_BYTES_EACH: usize = 8 * 1024 * 1024;
/// How long rows are kept.
const TTL: Duration = Duration::from_secs(60);
/// Maximum number of scopes that are read as a whole at the same time: each may be as large as all
/// values of a project, and only then shows whether it is small enough to keep.
const READ_AT_ONCE: usize = 2;
/// What a row takes beside its value and its description, in bytes.
const ROW_BYTES: usize = 2 * 1024;
/// Maximum number of questions whose last generation is kept.
const MAX_ASKED: u64 = 10_000;

/// A question without its names: the rows of all names are kept together.
type Scope = (ProjectId, Option<MilestoneId>);

/// The rows of one scope, all authentic.
struct Rows {
    generation: Generation,
    project: Option<ProjectRow>,
    milestone: Option<MilestoneRow>,
    entries: Vec<Arc<CandidateRow>>,
    by_name: HashMap<String, Vec<usize>>,
}

/// What was read of the scopes that runtimes ask about.
pub(super) struct RememberedRows {
    rows: Cache<Scope, Arc<Rows>>,
    /// What happened to the scopes that were asked about. A scope is read as a whole when it is
    /// asked about twice at the same generation: while changes go on, each question reads only its
    /// own rows.
    asked: Cache<Scope, Asked>,
    reading: Arc<Semaphore>,
}

/// What happened to a scope that was asked about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asked {
    /// It was asked about at this generation.
    Once(Generation),
    /// One caller reads, or read, all of it at this generation.
    Read(Generation),
    /// It is too large to keep.
    TooLarge,
}

/// What is known of a question.
pub(super) enum Known {
    /// All rows, which were authenticated.
    Rows(Candidates),
    /// Nothing, but the scope is worth reading as a whole; its generation, and the permit to do so.
    ReadAll(Generation, OwnedSemaphorePermit),
    /// Nothing.
    Nothing,
}

impl Default for RememberedRows {
    fn default() -> Self {
        let weigher = |_: &Scope, rows: &Arc<Rows>| u32::try_from(rows.bytes()).unwrap_or(u32::MAX);
        Self {
            rows: Cache::builder().max_capacity(MAX_BYTES).weigher(weigher).time_to_live(TTL).build(),
            asked: Cache::builder().max_capacity(MAX_ASKED).time_to_live(TTL).build(),
            reading: Arc::new(Semaphore::new(READ_AT_ONCE)),
        }
    }
}

impl RememberedRows {
    pub(super) fn get(&self, question: &ParsedQuestion, generation: Generation) -> Known {
        let scope = scope(question);
        match self.rows.get(&scope) {
            Some(rows) if rows.generation == generation => return Known::Rows(rows.of(question)),
            Some(_) => self.rows.invalidate(&scope),
            None => {}
        }
        match self.asked.get(&scope) {
            Some(Asked::Once(at)) if at == generation => match self.reading.clone().try_acquire_owned() {
                Ok(permit) => {
                    self.asked.insert(scope, Asked::Read(generation));
                    Known::ReadAll(generation, permit)
                }
                Err(_) => Known::Nothing,
            },
            Some(Asked::Read(at)) if at == generation => Known::Nothing,
            Some(Asked::TooLarge) => Known::Nothing,
            _ => {
                self.asked.insert(scope, Asked::Once(generation));
                Known::Nothing
            }
        }
    }

    /// Keeps authentic rows that were read after this was their generation; gives those of the
    /// question.
    pub(super) fn keep(&self, question: &ParsedQuestion, generation: Generation, found: Candidates) -> Candidates {
        let mut by_name: HashMap<String, Vec<usize>> = HashMap::new();
        for (index, row) in found.entries.iter().enumerate() {
            by_name.entry(row.entry.name.clone()).or_default().push(index);
        }
        let Candidates { project, milestone, entries, .. } = found;
        let rows = Rows { generation, project, milestone, entries, by_name };
        let of_question = rows.of(question);
        if rows.bytes() > MAX_BYTES_EACH {
            self.asked.insert(scope(question), Asked::TooLarge);
        } else if question.milestone.is_none() || rows.milestone.is_some() {
            self.rows.insert(scope(question), Arc::new(rows));
        }
        of_question
    }
}

impl Rows {
    fn bytes(&self) -> usize {
        let value = |row: &CandidateRow| row.value.as_ref().map_or(0, Vec::len);
        let description = |row: &CandidateRow| row.entry.description.as_ref().map_or(0, String::len);
        self.entries.iter().map(|row| ROW_BYTES + value(row) + description(row)).sum::<usize>() + ROW_BYTES
    }

    /// The rows that a question reads: all, or those of its names.
    fn of(&self, question: &ParsedQuestion) -> Candidates {
        let entries = match question.wanted() {
            None => self.entries.clone(),
            Some(mut names) => {
                names.sort_unstable();
                names.dedup();
                let indexes = names.iter().filter_map(|name| self.by_name.get(name)).flatten();
                indexes.map(|index| self.entries[*index].clone()).collect()
            }
        };
        let (project, milestone) = (self.project.clone(), self.milestone.clone());
        Candidates { project, state: None, milestone, entries, incomplete: Vec::new() }
    }
}

fn scope(question: &ParsedQuestion) -> Scope {
    (question.project.clone(), question.milestone.clone())
}
