//! The authorizer. It decides questions about permissions by one model, `model/model.fga`, which
//! OpenFGA evaluates over its own tuples, or this process over tuples in the database (`embedded`);
//! both give the same answers. Only this module turns an answer into an
//! [`Authorized`](crate::permission::Authorized).
//!
//! Callers build a [`Question`], ask [`Authorizer::decide`], or [`Authorizer::decide_in`] under a
//! lock, and take the proof from the [`Decision`]. Tuples are read and changed with [`TupleFilter`]
//! and [`TupleChange`]; in the vault, every change of tuples goes through the outbox.

mod embedded;
mod model;
mod openfga;
mod question;
mod tuple;

pub use model::NotAllowed;
pub use openfga::{OpenFgaConfig, PinnedModel, SetupError};
pub use question::{Decision, Question};
pub use tuple::{Member, Object, Tuple, TupleChange, TupleFilter};

use crate::domain::{Clock, Error, Result, Timestamp};
use crate::permission::Permission;
use crate::store::{Conn, Store};
use embedded::Embedded;
use moka::sync::Cache;
use openfga::OpenFga;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Maximum number of allowing decisions that are cached, if caching is on.
const MAX_REMEMBERED: u64 = 100_000;

/// Decides questions about permissions, and stores their tuples. Cheap to clone.
#[derive(Clone)]
pub struct Authorizer {
    engine: Arc<Engine>,
    asked: Arc<AtomicU64>,
    remembered: Option<Arc<Remembered>>,
}

enum Engine {
    Embedded(Box<Embedded>),
    OpenFga(Box<OpenFga>),
    /// Answers no question, and changes no tuple.
    Closed,
}

const CLOSED: Error = Error::unavailable("This command does not ask the authorizer; nothing was done.");

/// A cache of allowing decisions, each with the instant of its question. Denials are never cached.
struct Remembered {
    max_age: Duration,
    clock: Arc<dyn Clock>,
    yes: Cache<Question, Timestamp>,
}

impl Authorizer {
    /// An authorizer that evaluates the model in this process, over tuples in the vault's database.
    ///
    /// # Errors
    /// When the built-in model cannot be read.
    pub fn embedded(store: Store) -> Result<Self> {
        Ok(Self::new(Engine::Embedded(Box::new(Embedded::new(store)?))))
    }

    /// An authorizer that asks OpenFGA, with the store and model that [`Self::set_up_openfga`]
    /// gave. The caller must have verified that `pinned` is authentic.
    ///
    /// # Errors
    /// When OpenFGA was not set up for this version, it has another store or model, or the
    /// configuration is not valid. An OpenFGA that does not answer is no error, but nothing is
    /// decided until it does.
    pub async fn openfga(config: &OpenFgaConfig, pinned: PinnedModel) -> Result<Self, SetupError> {
        Ok(Self::new(Engine::OpenFga(Box::new(OpenFga::open(config, pinned).await?))))
    }

    /// An authorizer that answers nothing, for commands that ask no questions, so that they work
    /// while OpenFGA is down.
    #[must_use]
    pub fn closed() -> Self {
        Self::new(Engine::Closed)
    }

    /// The store and model in use at OpenFGA; `None` for other authorizers.
    #[must_use]
    pub fn pinned(&self) -> Option<&PinnedModel> {
        match &*self.engine {
            Engine::OpenFga(openfga) => Some(openfga.pinned()),
            Engine::Embedded(_) | Engine::Closed => None,
        }
    }

    fn new(engine: Engine) -> Self {
        Self { engine: Arc::new(engine), asked: Arc::default(), remembered: None }
    }

    /// Caches allowing decisions for `max_age`, from the instant of the question. Zero caches none.
    #[must_use]
    pub fn with_max_age(self, max_age: Duration, clock: Arc<dyn Clock>) -> Self {
        let yes = || Cache::builder().max_capacity(MAX_REMEMBERED).time_to_live(max_age).build();
        let remembered = (!max_age.is_zero()).then(|| Arc::new(Remembered { max_age, clock, yes: yes() }));
        Self { remembered, ..self }
    }

    /// Writes the store, the model, and the stand-in for missing projects to OpenFGA, and gives the
    /// ids to pin. Safe to repeat.
    ///
    /// `known` are the ids pinned before, verified by the caller. Without them, the store is looked
    /// up by its name; if there is none, it is created if `may_create`.
    ///
    /// # Errors
    /// When OpenFGA cannot be reached, or lacks the store of `known` or of the configured name.
    pub async fn set_up_openfga(
        config: &OpenFgaConfig,
        known: Option<PinnedModel>,
        may_create: bool,
    ) -> Result<PinnedModel, SetupError> {
        openfga::set_up(config, known, may_create).await
    }

    /// Writes the stand-in for missing projects to the database, for the embedded authorizer. Safe
    /// to repeat.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn set_up_embedded(store: &Store) -> Result<()> {
        let authorizer = Self::embedded(store.clone())?;
        let mut tx = store.begin_set_up().await?;
        let change = TupleChange { write: Tuple::of_nowhere(), delete: vec![] };
        authorizer.apply(&mut tx, &change).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Whether [`Self::set_up_embedded`] has run.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn is_embedded_set_up(store: &Store) -> Result<bool> {
        let filter = TupleFilter::of_object(tuple::NOWHERE);
        let held = Embedded::read(&mut store.conn().await?, &filter).await?;
        Ok(Tuple::of_nowhere().iter().all(|tuple| held.contains(tuple)))
    }

    /// Decides questions, in their order. Equal questions are asked once, except those about the
    /// stand-in for missing projects: these are all asked, so that missing projects cost the same
    /// work as others.
    ///
    /// # Errors
    /// UNAVAILABLE when any question cannot be answered; the caller must not go on then.
    pub async fn decide(&self, questions: &[Question]) -> Result<Vec<Decision>> {
        let asked_at = self.remembered.as_ref().map(|remembered| remembered.clock.now());
        let mut answers: HashMap<&Question, bool> = HashMap::new();
        let mut open: Vec<Question> = Vec::new();
        for question in questions {
            if answers.contains_key(question) && !question.is_of_nowhere() {
                continue;
            }
            let remembered = self.remembered.as_ref().is_some_and(|remembered| remembered.holds(question));
            if !remembered {
                open.push(question.clone());
            }
            answers.insert(question, remembered);
        }
        let found = if open.is_empty() { Vec::new() } else { self.check(&open).await? };
        for (question, allowed) in open.iter().zip(found) {
            if let Some(answer) = answers.get_mut(question) {
                *answer = allowed;
            }
            if let (true, Some(remembered), Some(at)) = (allowed, &self.remembered, asked_at) {
                remembered.yes.insert(question.clone(), at);
            }
        }
        Ok(questions
            .iter()
            .map(|question| Decision::new(question.clone(), answers.get(question).copied().unwrap_or(false)))
            .collect())
    }

    /// As [`Self::decide`], in the transaction of `conn` and never from the cache: for a decision
    /// that must not be older than a lock.
    ///
    /// # Errors
    /// As [`Self::decide`].
    pub async fn decide_in(&self, conn: &mut Conn, questions: &[Question]) -> Result<Vec<Decision>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let answers = match &*self.engine {
            Engine::Embedded(embedded) => embedded.check_in(conn, questions).await?,
            Engine::OpenFga(openfga) => openfga.check(questions).await?,
            Engine::Closed => return Err(CLOSED),
        };
        let decisions = questions.iter().zip(answers);
        Ok(decisions.map(|(question, allowed)| Decision::new(question.clone(), allowed)).collect())
    }

    async fn check(&self, questions: &[Question]) -> Result<Vec<bool>> {
        let batches = questions.len().div_ceil(openfga::BATCH) as u64;
        self.asked.fetch_add(batches, Ordering::Relaxed);
        match &*self.engine {
            Engine::Embedded(embedded) => embedded.check(questions).await,
            Engine::OpenFga(openfga) => openfga.check(questions).await,
            Engine::Closed => Err(CLOSED),
        }
    }

    /// Writes and deletes tuples: in the transaction of `conn` if the database keeps them, else in
    /// OpenFGA at once. Ignores tuples to write that exist, and tuples to delete that do not.
    ///
    /// # Errors
    /// UNAVAILABLE when the change may not have been made. INTERNAL for a tuple that the model does
    /// not allow.
    pub async fn apply(&self, conn: &mut Conn, change: &TupleChange) -> Result<()> {
        if change.write.is_empty() && change.delete.is_empty() {
            return Ok(());
        }
        match &*self.engine {
            Engine::Embedded(embedded) => embedded.apply(conn, change).await?,
            Engine::OpenFga(openfga) => openfga.apply(change).await?,
            Engine::Closed => return Err(CLOSED),
        }
        if let Some(remembered) = &self.remembered {
            remembered.yes.invalidate_all();
        }
        Ok(())
    }

    /// Reads tuples. If the database keeps them, reads them in the transaction of `conn`.
    ///
    /// # Errors
    /// UNAVAILABLE when they cannot be read.
    pub async fn read(&self, conn: &mut Conn, filter: &TupleFilter) -> Result<Vec<Tuple>> {
        match &*self.engine {
            Engine::Embedded(_) => Embedded::read(conn, filter).await,
            Engine::OpenFga(openfga) => openfga.read(filter).await,
            Engine::Closed => Err(CLOSED),
        }
    }

    /// Checks that the authorizer answers, and that OpenFGA still has the store and the model in
    /// use; the latter is asked at most once a minute.
    ///
    /// # Errors
    /// UNAVAILABLE otherwise.
    pub async fn ready(&self) -> Result<()> {
        if let Engine::OpenFga(openfga) = &*self.engine {
            openfga.confirm().await?;
        }
        self.check(&[Question::of_relation("user:%", Permission::CanAudit, tuple::VAULT)]).await.map(drop)
    }

    /// Number of batches asked so far, of at most 50 questions each.
    #[must_use]
    pub fn batches(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }
}

impl Remembered {
    fn holds(&self, question: &Question) -> bool {
        self.yes.get(question).is_some_and(|at| self.clock.now() < at.plus(self.max_age))
    }
}
