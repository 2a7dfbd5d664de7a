//! Generations: what shows that rows which were read before are still current.

use super::{Error, Kind, Result, Store};
use crate::domain::ProjectId;
use crate::groups::{Groups, Leader};
use crate::trace::ExportedSpan;
use std::collections::HashMap;
use std::time::Duration;
use uuid::Uuid;

/// The generation of a project's rows. It changes with every change of what decides a resolve, by
/// whichever process, so rows that were read at the same generation are still current.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Generation {
    /// SQLite: the number of changes of the whole database.
    OfDatabase(i64),
    /// PostgreSQL: an id that was made for the newest change of the project.
    OfProject(Uuid),
}

/// Maximum number of statements under way that read generations, and of projects in each.
const STATEMENTS: usize = 2;
const PROJECTS: usize = 500;

/// Maximum time of one statement, with the wait for a connection.
const MAX_WAIT: Duration = Duration::from_secs(10);

fn no_answer() -> Error {
    Error::Unavailable("it did not say in time which generation a project has".to_owned())
}

/// Requests for the generations of projects.
pub(super) type Generations = Groups<ProjectId, Result<Option<Generation>>>;

pub(super) fn generations() -> Generations {
    Groups::new(STATEMENTS, PROJECTS)
}

impl Store {
    /// The generation of a project's rows; on PostgreSQL `None` if there is no such project. There,
    /// one statement reads those of all callers that wait, and begins after each of them has asked.
    ///
    /// # Errors
    /// When the database cannot answer.
    pub async fn generation(&self, project: &ProjectId) -> Result<Option<Generation>> {
        match self.kind() {
            Kind::Sqlite => Ok(self.reader().await?.changes().await?.map(Generation::OfDatabase)),
            Kind::Postgres => {
                let lead = |leader| drop(tokio::spawn(self.clone().answer(leader)));
                let answer = self.generations.ask(project.clone(), 1, lead).await;
                answer.unwrap_or_else(|| Err(no_answer()))
            }
        }
    }

    async fn answer(self, mut leader: Leader<ProjectId, Result<Option<Generation>>>) {
        while let Some(group) = leader.next_group() {
            let projects: Vec<_> = group.iter().map(|one| one.question.clone()).collect();
            let read = async { self.conn().await?.projects_by_id(&projects).await };
            let read = group.first().map_or_else(ExportedSpan::entered, |first| first.asked_in.clone()).around(read);
            // Others wait for their turn, so a connection that hangs must not keep it.
            let found = tokio::time::timeout(MAX_WAIT, read).await.unwrap_or_else(|_| Err(no_answer()));
            let found: Result<HashMap<_, _>> =
                found.map(|rows| rows.into_iter().map(|row| (row.id, row.generation)).collect());
            for one in group {
                let answer = match &found {
                    Ok(generations) => Ok(generations.get(&one.question).copied()),
                    Err(error) => Err(error.for_another()),
                };
                one.answer(answer);
            }
        }
    }
}
