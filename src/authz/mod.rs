//! Decides whether a caller holds a permission. One model, `model/model.fga`, is evaluated by
//! OpenFGA or in this process, and both give the same answers. Only this module turns an answer
//! into an [`Authorized`](crate::permission::Authorized).

mod embedded;
mod measures;
mod model;
mod openfga;
mod question;
mod tuple;

pub use measures::declare_metrics;
pub use model::NotAllowed;
pub use openfga::{OpenFgaConfig, PinnedModel, SetupError};
pub use question::{Decision, Question};
pub use tuple::{Member, Object, Tuple, TupleChange, TupleFilter};

use crate::domain::{Clock, Error, Principal, ProjectId, Result, Timestamp};
use crate::permission::Permission;
use crate::store::{Conn, Store};
use crate::trace::ExportedSpan;
use embedded::Embedded;
use moka::sync::Cache;
use openfga::OpenFga;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Maximum number of allowing decisions that are remembered, where that is allowed at all.
const REMEMBERED: u64 = 100_000;

/// Answers every question about permissions. Cheap to clone.
#[derive(Clone)]
pub struct Authorizer {
    engine: Arc<Engine>,
    asked: Arc<AtomicU64>,
    remembered: Option<Arc<Remembered>>,
}

enum Engine {
    Embedded(Box<Embedded>),
    OpenFga(Box<OpenFga>),
    /// Answers nothing.
    Closed,
}

/// Maximum number of projects that [`Authorizer::projects`] finds.
const MAX_PROJECTS: usize = 1_000;

/// The projects on which a caller holds a permission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeldProjects {
    /// All of them.
    All(Vec<ProjectId>),
    /// More than 1,000.
    TooMany,
}

/// A change that the authorizer refuses whenever it is asked, because of what it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the authorizer refuses a tuple as invalid")]
pub struct InvalidChange;

const CLOSED: Error = Error::unavailable("This command does not ask the authorizer; nothing was done.");

/// Allowing decisions, each with the instant it was asked for; denials are never kept.
struct Remembered {
    max_age: Duration,
    clock: Arc<dyn Clock>,
    yes: Cache<Question, Timestamp>,
}

impl Authorizer {
    /// Evaluates the model in this process, over tuples in the vault's own database.
    ///
    /// # Errors
    /// When the built-in model cannot be read.
    pub fn embedded(store: Store) -> Result<Self> {
        Ok(Self::new(Engine::Embedded(Box::new(Embedded::new(store)?))))
    }

    /// Asks OpenFGA, with the store and model that [`Self::set_up_openfga`] gave. The caller
    /// vouches for `pinned`.
    ///
    /// # Errors
    /// When it was not set up for this version, the store or the model at OpenFGA is another one,
    /// or the configuration is no use. An OpenFGA that does not answer is no error: nothing is
    /// decided until it does.
    pub async fn openfga(config: &OpenFgaConfig, pinned: PinnedModel) -> Result<Self, SetupError> {
        Ok(Self::new(Engine::OpenFga(Box::new(OpenFga::open(config, pinned).await?))))
    }

    /// Asks OpenFGA for its stores, to find out whether it can be reached with these settings.
    ///
    /// # Errors
    /// When it does not answer as it should.
    pub async fn reach_openfga(config: &OpenFgaConfig) -> Result<(), SetupError> {
        openfga::reach(config).await
    }

    /// Answers nothing: for commands that ask no authorizer, so that they work where it is out of
    /// order.
    #[must_use]
    pub fn closed() -> Self {
        Self::new(Engine::Closed)
    }

    /// The store and model it uses, where it asks OpenFGA.
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

    /// Reuses an allowing decision for `max_age` from the moment it was asked for. Zero reuses
    /// none.
    #[must_use]
    pub fn with_max_age(self, max_age: Duration, clock: Arc<dyn Clock>) -> Self {
        let yes = || Cache::builder().max_capacity(REMEMBERED).time_to_live(max_age).build();
        let remembered = (!max_age.is_zero()).then(|| Arc::new(Remembered { max_age, clock, yes: yes() }));
        Self { remembered, ..self }
    }

    /// Writes store, model and the stand-in for projects that are not there to OpenFGA; gives what
    /// is to be pinned. Safe to repeat.
    ///
    /// `known` is what was pinned before, where the caller has verified it. Without it, the store
    /// is looked up by its name, and made where there is none and `may_create`.
    ///
    /// # Errors
    /// When OpenFGA cannot be reached, or does not have what `known` or the name says.
    pub async fn set_up_openfga(
        config: &OpenFgaConfig,
        known: Option<PinnedModel>,
        may_create: bool,
    ) -> Result<PinnedModel, SetupError> {
        openfga::set_up(config, known, may_create).await
    }

    /// Writes the stand-in for projects that are not there to the database, for the embedded
    /// authorizer. Safe to repeat.
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

    /// Answers questions in their order, asking about the same thing once; about nowhere as often
    /// as it stands for something, so that as much is asked about projects that are not there as
    /// about others.
    ///
    /// # Errors
    /// UNAVAILABLE when not all of them can be answered: nobody may do anything then.
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

    /// The projects on which a caller holds a permission, in no order and as the tuples say: some
    /// may not exist in the database.
    ///
    /// # Errors
    /// UNAVAILABLE when not all of them can be found.
    pub async fn projects(&self, principal: &Principal, permission: Permission) -> Result<HeldProjects> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let began = Instant::now();
        let subject = question::subject(principal);
        let objects = match &*self.engine {
            Engine::Embedded(embedded) => embedded.projects(&subject, permission, MAX_PROJECTS).await,
            Engine::OpenFga(openfga) => openfga.projects(&subject, permission, MAX_PROJECTS).await,
            Engine::Closed => return Err(CLOSED),
        };
        measures::record(began, &objects);
        Ok(match objects? {
            // The stand-in for projects that are not there is none.
            Some(objects) => {
                HeldProjects::All(objects.iter().filter_map(|object| Object::project_of(object)).collect())
            }
            None => HeldProjects::TooMany,
        })
    }

    /// As [`Self::decide`], within a transaction and never from memory: for a decision that must
    /// not be older than a lock.
    ///
    /// # Errors
    /// As [`Self::decide`].
    pub async fn decide_in(&self, conn: &mut Conn, questions: &[Question]) -> Result<Vec<Decision>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let began = Instant::now();
        let asking = async {
            match &*self.engine {
                Engine::Embedded(embedded) => embedded.check_in(conn, questions).await,
                Engine::OpenFga(openfga) => openfga.check(questions).await,
                Engine::Closed => Err(CLOSED),
            }
        };
        let answers = ExportedSpan::authorize(questions.len()).around_result(asking, code).await;
        measures::record(began, &answers);
        let decisions = questions.iter().zip(answers?);
        Ok(decisions.map(|(question, allowed)| Decision::new(question.clone(), allowed)).collect())
    }

    async fn check(&self, questions: &[Question]) -> Result<Vec<bool>> {
        let batches = questions.len().div_ceil(openfga::BATCH) as u64;
        self.asked.fetch_add(batches, Ordering::Relaxed);
        let began = Instant::now();
        let asking = async {
            match &*self.engine {
                Engine::Embedded(embedded) => embedded.check(questions).await,
                Engine::OpenFga(openfga) => openfga.check(questions).await,
                Engine::Closed => Err(CLOSED),
            }
        };
        let answers = ExportedSpan::authorize(questions.len()).around_result(asking, code).await;
        measures::record(began, &answers);
        answers
    }

    /// Writes and removes tuples: in the transaction of `conn` where the database keeps them, else
    /// in OpenFGA, at once. What is there, or gone, already is passed over.
    ///
    /// # Errors
    /// UNAVAILABLE when it cannot be known to be done. INTERNAL for a tuple that the model does not
    /// allow.
    pub async fn apply(&self, conn: &mut Conn, change: &TupleChange) -> Result<()> {
        self.try_apply(conn, change).await?.map_err(Error::internal)
    }

    /// As [`Self::apply`]; tells a change that can never be applied from one that can be tried
    /// again.
    ///
    /// # Errors
    /// UNAVAILABLE when it cannot be known to be done; trying again is safe.
    pub async fn try_apply(&self, conn: &mut Conn, change: &TupleChange) -> Result<Result<(), InvalidChange>> {
        if change.write.is_empty() && change.delete.is_empty() {
            return Ok(Ok(()));
        }
        let applied = match &*self.engine {
            Engine::Embedded(embedded) => embedded.apply(conn, change).await?,
            Engine::OpenFga(openfga) => openfga.apply(change).await?,
            Engine::Closed => return Err(CLOSED),
        };
        if let Some(remembered) = &self.remembered {
            remembered.yes.invalidate_all();
        }
        Ok(applied)
    }

    /// Reads tuples; where the database keeps them, as the transaction of `conn` sees them.
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

    /// Whether it answers, and at OpenFGA still has the store and the model that it began with.
    /// That is asked once a minute.
    ///
    /// # Errors
    /// UNAVAILABLE when it does not.
    pub async fn ready(&self) -> Result<()> {
        let probe = [Question::of_relation("user:%", Permission::CanAudit, tuple::VAULT)];
        match &*self.engine {
            Engine::OpenFga(openfga) => {
                openfga.confirm().await?;
                openfga.check_at_once(&probe).await.map(drop)
            }
            Engine::Embedded(_) | Engine::Closed => self.check(&probe).await.map(drop),
        }
    }

    /// How many batches were asked so far, of 50 questions at most.
    #[must_use]
    pub fn batches(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }
}

fn code(error: &Error) -> &'static str {
    error.code().as_str()
}

impl Remembered {
    fn holds(&self, question: &Question) -> bool {
        self.yes.get(question).is_some_and(|at| self.clock.now() < at.plus(self.max_age))
    }
}
