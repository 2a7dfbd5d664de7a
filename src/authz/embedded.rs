//! The embedded authorizer: evaluates the model over tuples in the database, with at most three SQL
//! statements per batch.

use super::model::{Model, Rewrite};
use super::tuple::{NOWHERE, PROJECT_PREFIX};
use super::{InvalidChange, Question, Tuple, TupleChange, TupleFilter};
use crate::domain::{Error, Result};
use crate::permission::Permission;
use crate::store::records::TupleRow;
use crate::store::{Conn, Store};
use moka::sync::Cache;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::Duration;

/// Maximum number of objects on the path of a decision: milestone, project, then organization, team
/// or vault.
const LEVELS: usize = 3;

/// Maximum number of allowed questions that are remembered, about 20 MB.
const REMEMBERED: u64 = 20_000;
/// How long an allowed question is remembered.
const TTL: Duration = Duration::from_secs(60);

pub(super) struct Embedded {
    store: Store,
    model: Model,
    /// What was allowed, with the database's count of changes at that time.
    allowed: Cache<Question, i64>,
}

impl Embedded {
    pub(super) fn new(store: Store) -> Result<Self> {
        let allowed = Cache::builder().max_capacity(REMEMBERED).time_to_live(TTL).build();
        Ok(Self { store, model: Model::load().map_err(Error::internal)?, allowed })
    }

    /// Answers from memory what was allowed at the present count of changes. Only what is allowed
    /// is remembered: a denial takes the same work however often it is asked for, so that its time
    /// does not tell whether the object exists.
    pub(super) async fn check(&self, questions: &[Question]) -> Result<Vec<bool>> {
        let mut conn = self.store.reader().await?;
        let Some(changes) = conn.changes().await? else { return self.check_in(&mut conn, questions).await };
        // All or none: the number of questions that are left would tell what others are allowed.
        if questions.iter().all(|question| self.allowed.get(question) == Some(changes)) {
            return Ok(vec![true; questions.len()]);
        }
        let answers = self.check_in(&mut conn, questions).await?;
        for (question, _) in questions.iter().zip(&answers).filter(|(_, allowed)| **allowed) {
            self.allowed.insert(question.clone(), changes);
        }
        Ok(answers)
    }

    /// As [`Self::check`], in the transaction of `conn`.
    pub(super) async fn check_in(&self, conn: &mut Conn, questions: &[Question]) -> Result<Vec<bool>> {
        let subjects: BTreeSet<String> = questions.iter().map(|question| question.subject.clone()).collect();
        let subjects: Vec<String> = subjects.into_iter().collect();
        let mut facts = Facts::default();
        let mut objects: BTreeSet<String> = questions.iter().map(|question| question.object.clone()).collect();
        for _ in 0..LEVELS {
            if objects.is_empty() {
                break;
            }
            let level: Vec<String> = objects.iter().cloned().collect();
            facts.known.extend(std::mem::take(&mut objects));
            for row in conn.tuples_about(&level, &subjects, self.model.links()).await? {
                // The object of a userset, or the linked object.
                let next = row.subject.split('#').next().unwrap_or_default();
                if self.model.has_relations(next) && !facts.known.contains(next) {
                    objects.insert(next.to_owned());
                }
                facts.add(row);
            }
        }
        Ok(questions
            .iter()
            .map(|question| self.holds(&facts, &question.subject, question.permission.relation(), &question.object, 0))
            .collect())
    }

    /// The projects on which a subject holds a permission; `None` when more than `limit` can be
    /// reached from it. Follows tuples from the subject to projects, through what it belongs to, and
    /// asks for the permission on those.
    pub(super) async fn projects(
        &self,
        subject: &str,
        permission: Permission,
        limit: usize,
    ) -> Result<Option<Vec<String>>> {
        let mut conn = self.store.conn().await?;
        let (mut reached, mut passed) = (BTreeSet::new(), BTreeSet::new());
        let mut subjects = vec![subject.to_owned()];
        for _ in 0..LEVELS {
            if subjects.is_empty() {
                break;
            }
            // More than the limit on any level, one of them for the stand-in, is too many.
            let rows = conn.objects_of(&subjects, i64::try_from(limit + 2).unwrap_or(i64::MAX)).await?;
            if rows.len() > limit + 1 {
                return Ok(None);
            }
            subjects.clear();
            for (object, relation) in rows {
                if object.starts_with(PROJECT_PREFIX) {
                    reached.insert(object);
                } else if passed.insert(format!("{object}#{relation}")) {
                    // It may lead on as a userset, or as an object that others are linked to.
                    subjects.extend([format!("{object}#{relation}"), object]);
                }
            }
        }
        reached.remove(NOWHERE);
        if reached.len() > limit {
            return Ok(None);
        }
        let questions: Vec<Question> =
            reached.iter().map(|object| Question::of_relation(subject, permission, object)).collect();
        let answers = if questions.is_empty() { Vec::new() } else { self.check_in(&mut conn, &questions).await? };
        Ok(Some(reached.into_iter().zip(answers).filter(|(_, allowed)| *allowed).map(|(object, _)| object).collect()))
    }

    /// Whether a subject has a relation to an object. A path longer than [`LEVELS`] is denied,
    /// since its tuples were not read.
    fn holds(&self, facts: &Facts, subject: &str, relation: &str, object: &str, level: usize) -> bool {
        level < LEVELS
            && self
                .model
                .rewrite(object, relation)
                .is_some_and(|rewrite| self.follows(rewrite, facts, subject, relation, object, level))
    }

    fn follows(
        &self,
        rewrite: &Rewrite,
        facts: &Facts,
        subject: &str,
        relation: &str,
        object: &str,
        level: usize,
    ) -> bool {
        match rewrite {
            Rewrite::This {} => facts.of(object, relation).any(|by| {
                by == subject
                    || by.split_once('#').is_some_and(|(group, of)| self.holds(facts, subject, of, group, level + 1))
            }),
            Rewrite::ComputedUserset(other) => self.holds(facts, subject, &other.relation, object, level),
            Rewrite::TupleToUserset { tupleset, computed_userset } => facts
                .of(object, &tupleset.relation)
                .any(|next| self.holds(facts, subject, &computed_userset.relation, next, level + 1)),
            Rewrite::Union(of) => {
                of.child.iter().any(|child| self.follows(child, facts, subject, relation, object, level))
            }
            Rewrite::Intersection(of) => {
                of.child.iter().all(|child| self.follows(child, facts, subject, relation, object, level))
            }
        }
    }

    /// Applies a change in the transaction of `conn`. Like OpenFGA, ignores tuples to write that
    /// exist, and tuples to delete that do not.
    pub(super) async fn apply(&self, conn: &mut Conn, change: &TupleChange) -> Result<Result<(), InvalidChange>> {
        for tuple in &change.write {
            if let Err(error) = self.model.check(tuple) {
                tracing::warn!(%error, "a tuple is refused");
                return Ok(Err(InvalidChange));
            }
        }
        conn.delete_tuples(&change.delete.iter().map(TupleRow::from).collect::<Vec<_>>()).await?;
        conn.insert_tuples(&change.write.iter().map(TupleRow::from).collect::<Vec<_>>()).await?;
        Ok(Ok(()))
    }

    pub(super) async fn read(conn: &mut Conn, filter: &TupleFilter) -> Result<Vec<Tuple>> {
        let rows = conn.read_tuples(&filter.object, filter.relation, filter.subject.as_deref()).await?;
        Ok(rows.into_iter().map(Tuple::from).collect())
    }
}

/// The tuples read for a batch of questions, and the objects they were read for.
#[derive(Default)]
struct Facts {
    known: HashSet<String>,
    tuples: HashMap<(String, String), Vec<String>>,
}

impl Facts {
    fn add(&mut self, row: TupleRow) {
        self.tuples.entry((row.object, row.relation)).or_default().push(row.subject);
    }

    fn of(&self, object: &str, relation: &str) -> impl Iterator<Item = &str> {
        self.tuples
            .get(&(object.to_owned(), relation.to_owned()))
            .map(Vec::as_slice)
            .unwrap_or_default()
            .iter()
            .map(String::as_str)
    }
}
