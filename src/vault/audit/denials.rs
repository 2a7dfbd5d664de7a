//! Decides which denials become events. A caller that is denied the same thing again, or very many
//! things, must not fill the database: repetitions are counted, and beyond a rate so is everything
//! else.
//!
//! Denials are told apart by the object the caller named, never by what exists, so that hidden and
//! missing objects count alike. Everything here is in memory and bounded; a crash loses the
//! counts, and nothing else.

use crate::domain::{Actor, AuditAction, EntryId, ErrorCode, EventId, Timestamp};
use crate::store::records::EventRow;
use parking_lot::{Mutex, MutexGuard};
use std::collections::HashMap;
use std::time::Duration;

/// The window of counting: repetitions of a denial within it become one more event, and so do the
/// denials beyond a rate.
const WINDOW: Duration = Duration::from_secs(60);

/// The rate of distinct denials of one principal that are recorded one by one: 60 at once, then one
/// every 10 s. A person who selects a page of 50 entries and is denied each of them stays within
/// it; a runtime needs one a minute for each agent and project. At this rate, a day leaves less
/// than 20,000 events.
const OF_PRINCIPAL: Rate = Rate { burst: 60, every: Duration::from_secs(10) };

/// The same for all principals together, so that an issuer with any number of tokens cannot fill
/// the database either: 1,200 at once, then two a second. It also bounds the memory used here.
const OF_PROCESS: Rate = Rate { burst: 1_200, every: Duration::from_millis(500) };

/// The rate of calls of one runtime, for one agent and project, that are recorded one by one
/// because they ask for names that do not exist.
const OF_MISSES: Rate = Rate { burst: 60, every: Duration::from_secs(10) };

/// A rate: `burst` times at once, and once more after each `every`.
#[derive(Debug)]
pub(in crate::vault) struct Rate {
    pub burst: u32,
    pub every: Duration,
}

/// How much of a [`Rate`] is left, by the generic cell rate algorithm: stored as the instant at
/// which all of it is available again.
#[derive(Default)]
pub(in crate::vault) struct Allowance {
    full_at: Option<Timestamp>,
}

impl Allowance {
    /// Takes one; the error is the time until one is available.
    pub(in crate::vault) fn take(&mut self, rate: &Rate, now: Timestamp) -> Result<(), Duration> {
        let full_at = self.next(rate, now)?;
        self.full_at = Some(full_at);
        Ok(())
    }

    /// When it would be full again after one is taken; the error is the time until one can be
    /// taken.
    fn next(&mut self, rate: &Rate, now: Timestamp) -> Result<Timestamp, Duration> {
        let latest = now.plus(rate.every * rate.burst);
        // A clock that was set back makes nobody wait longer than an empty allowance does.
        self.full_at = self.full_at.map(|at| at.min(latest));
        let full_at = self.full_at.map_or(now, |at| at.max(now)).plus(rate.every);
        let excess = full_at.millis() - latest.millis();
        u64::try_from(excess).ok().filter(|excess| *excess > 0).map_or(Ok(full_at), |ms| Err(Duration::from_millis(ms)))
    }

    pub(in crate::vault) fn is_full(&self, now: Timestamp) -> bool {
        self.full_at.is_none_or(|at| at <= now)
    }
}

/// The object a refused caller named, whether it exists or not.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(in crate::vault) struct Named {
    pub project: Option<String>,
    pub agent: Option<String>,
    pub entry: Option<EntryId>,
    pub milestone: Option<String>,
}

impl Named {
    /// The object that an event names, except its milestone, which does not tell denials apart.
    pub(in crate::vault) fn by(event: &EventRow) -> Self {
        Self { project: event.project.clone(), agent: event.agent.clone(), entry: event.entry, milestone: None }
    }
}

/// One denial.
#[derive(Clone)]
pub(in crate::vault) struct Denial {
    /// The object the caller named.
    pub named: Named,
    /// The event that records it.
    pub event: EventRow,
    /// The object does not exist: the denial counts, and a decoy is written instead of the event.
    pub is_decoy: bool,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct DenialKey {
    actor: String,
    action: AuditAction,
    reason: Option<String>,
    named: Named,
}

impl Denial {
    fn key(&self) -> DenialKey {
        let EventRow { actor, action, reason, .. } = &self.event;
        DenialKey { actor: actor.clone(), action: *action, reason: reason.clone(), named: self.named.clone() }
    }
}

/// How a denial is recorded.
pub(super) enum Decision {
    /// These events are recorded before the caller is answered.
    Record(Vec<Denial>),
    /// The same denial was recorded within the minute, so this one is only counted.
    Repetition,
    /// The denial is beyond a rate and only counted. The caller may try again after this time.
    Limited(Duration),
}

/// A denial that was recorded, and the number of repetitions since.
struct Repeated {
    since: Timestamp,
    count: i64,
    last: Denial,
}

impl Repeated {
    /// The one event for all repetitions, if there were any.
    fn denial(self) -> Option<Denial> {
        let event = EventRow { id: EventId::new(), count: self.count, ..self.last.event };
        (self.count > 0).then_some(Denial { event, ..self.last })
    }
}

/// The denials beyond a rate since an instant.
struct Rest {
    since: Timestamp,
    count: i64,
    last: EventRow,
}

impl Rest {
    /// Counts another one. The event names only what all of them have in common, and no text that
    /// the caller chose.
    fn add(rest: &mut Option<Self>, event: &EventRow) {
        let plain = EventRow {
            subject: None,
            role: None,
            entry: None,
            entry_name: None,
            entry_version: None,
            milestone: None,
            purpose: None,
            session: None,
            tool: None,
            ..event.clone()
        };
        let Some(rest) = rest else {
            *rest = Some(Self { since: event.occurred_at, count: event.count, last: plain });
            return;
        };
        rest.count = rest.count.saturating_add(event.count);
        let common = |ours: &mut Option<String>, theirs: &Option<String>| {
            if ours != theirs {
                *ours = None;
            }
        };
        let (mut project, mut agent) = (rest.last.project.take(), rest.last.agent.take());
        common(&mut project, &plain.project);
        common(&mut agent, &plain.agent);
        rest.last = EventRow { project, agent, ..plain };
    }

    fn event(self) -> EventRow {
        EventRow { id: EventId::new(), count: self.count, ..self.last }
    }
}

/// One principal's allowance, and its denials beyond it.
#[derive(Default)]
struct OfPrincipal {
    allowance: Allowance,
    rest: Option<Rest>,
}

/// The same for one runtime's questions about names that do not exist, for one agent and project.
#[derive(PartialEq, Eq, Hash)]
struct MissKey {
    actor: String,
    project: Option<String>,
    agent: Option<String>,
    reason: Option<String>,
}

impl MissKey {
    fn of(event: &EventRow) -> Self {
        let EventRow { actor, project, agent, reason, .. } = event;
        Self { actor: actor.clone(), project: project.clone(), agent: agent.clone(), reason: reason.clone() }
    }
}

#[derive(Default)]
struct State {
    repeated: HashMap<DenialKey, Repeated>,
    /// The principals that had a denial recorded, until their allowance is full again.
    principals: HashMap<String, OfPrincipal>,
    process: Allowance,
    /// The denials of all other principals once the process's allowance is used up.
    others: Option<Rest>,
    /// Bounded: one for each runtime, agent, project and reason, and only for callers who may
    /// resolve.
    misses: HashMap<MissKey, OfPrincipal>,
}

impl State {
    /// Takes one from the principal's allowance and the process's, or counts the event as one
    /// beyond the rate.
    fn take_allowance(&mut self, event: &EventRow) -> Result<(), Duration> {
        let now = event.occurred_at;
        let limited = || EventRow { reason: Some(ErrorCode::RateLimited.to_string()), ..event.clone() };
        let mut known = self.principals.get_mut(&event.actor);
        let own = known.as_mut().map_or(Ok(()), |principal| principal.allowance.next(&OF_PRINCIPAL, now).map(drop));
        match (own.and_then(|()| self.process.take(&OF_PROCESS, now)), known) {
            (Ok(()), Some(principal)) => principal.allowance.take(&OF_PRINCIPAL, now),
            (Ok(()), None) => {
                self.principals.entry(event.actor.clone()).or_default().allowance.take(&OF_PRINCIPAL, now)
            }
            (Err(wait), Some(principal)) => {
                Rest::add(&mut principal.rest, &limited());
                Err(wait)
            }
            (Err(wait), None) => {
                Rest::add(&mut self.others, &EventRow { actor: Actor::RateLimiter.to_string(), ..limited() });
                Err(wait)
            }
        }
    }
}

/// The denials of the last minute.
#[derive(Default)]
pub(super) struct Denials(Mutex<State>);

impl Denials {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock()
    }

    /// Decides how a denial is recorded. The first one of its kind within the minute is recorded,
    /// after the repetitions of the previous minute.
    pub(super) fn count(&self, denial: Denial) -> Decision {
        let (key, now) = (denial.key(), denial.event.occurred_at);
        let mut state = self.state();
        if let Some(repeated) = state.repeated.get_mut(&key).filter(|repeated| now < repeated.since.plus(WINDOW)) {
            repeated.count += 1;
            repeated.last = denial;
            return Decision::Repetition;
        }
        if let Err(wait) = state.take_allowance(&denial.event) {
            return Decision::Limited(wait);
        }
        let begun = Repeated { since: now, count: 0, last: denial.clone() };
        let ended = state.repeated.insert(key, begun).and_then(Repeated::denial);
        Decision::Record(ended.into_iter().chain([denial]).collect())
    }

    /// Decides whether an event about names that do not exist is recorded by itself, and counts it
    /// if not.
    pub(super) fn count_miss(&self, event: &EventRow) -> bool {
        let mut state = self.state();
        let misses = state.misses.entry(MissKey::of(event)).or_default();
        let records = misses.allowance.take(&OF_MISSES, event.occurred_at).is_ok();
        if !records {
            Rest::add(&mut misses.rest, event);
        }
        records
    }

    /// Puts back events that could not be recorded, with the counts since. They are due at once,
    /// and the next denial is no repetition.
    pub(super) fn put_back(&self, pending: Vec<Pending>) {
        let mut state = self.state();
        for pending in pending {
            match pending {
                Pending::Repeated(last) => {
                    let (since, count) = (Timestamp::from_millis(0), last.event.count);
                    let repeated = state.repeated.entry(last.key()).or_insert(Repeated { since, count: 0, last });
                    repeated.since = since;
                    repeated.count += count;
                }
                Pending::Rest(event) => {
                    Rest::add(&mut state.principals.entry(event.actor.clone()).or_default().rest, &event);
                }
                Pending::Others(event) => Rest::add(&mut state.others, &event),
                Pending::Misses(event) => {
                    Rest::add(&mut state.misses.entry(MissKey::of(&event)).or_default().rest, &event);
                }
            }
        }
    }

    /// Takes the counts of minutes that have ended, or all counts, and forgets principals whose
    /// allowance is full again.
    pub(super) fn ended(&self, now: Timestamp, all: bool) -> Vec<Pending> {
        let has_ended = |since: Timestamp| all || now >= since.plus(WINDOW);
        let rest = |rest: &mut Option<Rest>| rest.take_if(|rest| has_ended(rest.since)).map(Rest::event);
        let mut state = self.state();
        let State { repeated, principals, others, misses, .. } = &mut *state;
        let mut ended: Vec<Pending> = repeated
            .extract_if(|_, repeated| has_ended(repeated.since))
            .filter_map(|(_, repeated)| repeated.denial())
            .map(Pending::Repeated)
            .collect();
        ended.extend(principals.values_mut().filter_map(|principal| rest(&mut principal.rest)).map(Pending::Rest));
        ended.extend(rest(others).map(Pending::Others));
        ended.extend(misses.values_mut().filter_map(|misses| rest(&mut misses.rest)).map(Pending::Misses));
        let is_idle = |of: &OfPrincipal| of.rest.is_none() && of.allowance.is_full(now);
        principals.retain(|_, principal| !is_idle(principal));
        misses.retain(|_, misses| !is_idle(misses));
        ended
    }
}

/// An event that stands for counted denials.
#[derive(Clone)]
pub(super) enum Pending {
    /// Repetitions of one denial.
    Repeated(Denial),
    /// One principal's refusals beyond its rate.
    Rest(EventRow),
    /// Refusals beyond the process's rate of principals that had nothing recorded.
    Others(EventRow),
    /// Questions about names that do not exist, beyond their rate.
    Misses(EventRow),
}

impl Pending {
    /// Whether a decoy is recorded instead of an event.
    pub(super) fn is_decoy(&self) -> bool {
        matches!(self, Self::Repeated(denial) if denial.is_decoy)
    }

    /// The event to record.
    pub(super) fn event(&self) -> &EventRow {
        match self {
            Self::Repeated(denial) => &denial.event,
            Self::Rest(event) | Self::Others(event) | Self::Misses(event) => event,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::AuditOutcome;

    const START: Timestamp = Timestamp::from_millis(1_900_000_000_000);

    fn denial(actor: &str, project: usize, now: Timestamp) -> Denial {
        let actor = Actor::Principal(crate::domain::Principal::User(crate::domain::UserId::parse(actor).unwrap()));
        let event = crate::vault::audit::event(&actor, "r-1", AuditAction::EntryCreated, now);
        let event = EventRow {
            project: Some(format!("p-{project}")),
            outcome: AuditOutcome::Denied,
            reason: Some(ErrorCode::NotFound.to_string()),
            ..event
        };
        Denial { named: Named::by(&event), event, is_decoy: false }
    }

    fn is_limited(outcome: &Decision) -> bool {
        matches!(outcome, Decision::Limited(_))
    }

    #[test]
    fn a_rate_lets_its_burst_through_and_then_one_at_a_time() {
        let (rate, mut allowance) = (Rate { burst: 3, every: Duration::from_secs(10) }, Allowance::default());
        let at = |seconds| START.plus(Duration::from_secs(seconds));
        for _ in 0..3 {
            assert_eq!(allowance.take(&rate, at(0)), Ok(()));
        }
        assert_eq!(allowance.take(&rate, at(0)), Err(Duration::from_secs(10)));
        assert_eq!(allowance.take(&rate, at(4)), Err(Duration::from_secs(6)));
        assert_eq!(allowance.take(&rate, at(10)), Ok(()));
        assert_eq!(allowance.take(&rate, at(10)), Err(Duration::from_secs(10)));
        assert!(!allowance.is_full(at(39)) && allowance.is_full(at(40)));
        for _ in 0..3 {
            assert_eq!(allowance.take(&rate, at(1_000)), Ok(()));
        }
        assert!(allowance.take(&rate, at(1_000)).is_err());
    }

    #[test]
    fn a_clock_that_is_set_back_limits_nobody_for_longer() {
        let (rate, mut allowance) = (Rate { burst: 3, every: Duration::from_secs(10) }, Allowance::default());
        allowance.take(&rate, START).unwrap();
        let earlier = START.minus(Duration::from_secs(24 * 60 * 60));
        assert_eq!(allowance.take(&rate, earlier), Err(Duration::from_secs(10)));
        assert_eq!(allowance.take(&rate, earlier.plus(Duration::from_secs(10))), Ok(()));
    }

    #[test]
    fn however_many_are_refused_memory_is_bounded_and_given_back() {
        let denials = Denials::default();
        let mut limited = 0;
        for n in 0..10_000 {
            limited += usize::from(is_limited(&denials.count(denial(&format!("u-{n}"), n, START))));
        }
        assert_eq!(limited, 10_000 - 1_200);
        let sizes = || {
            let state = denials.state();
            (state.repeated.len(), state.principals.len(), state.others.is_some())
        };
        assert_eq!(sizes(), (1_200, 1_200, true));
        let ended = denials.ended(START.plus(WINDOW), false);
        assert_eq!(ended.len(), 1, "one event of all the others");
        assert_eq!(ended[0].event().count, 8_800);
        assert_eq!(sizes(), (0, 0, false));
    }

    #[test]
    fn what_could_not_be_recorded_is_counted_on() {
        let denials = Denials::default();
        for n in 0..62 {
            denials.count(denial("mallory", n, START));
        }
        let limited = denials.ended(START, true);
        assert_eq!(limited.iter().map(|pending| pending.event().count).collect::<Vec<_>>(), [2]);
        denials.put_back(limited);
        assert!(is_limited(&denials.count(denial("mallory", 100, START))));
        let ended = denials.ended(START.plus(WINDOW), false);
        assert_eq!(ended.iter().map(|pending| pending.event().count).collect::<Vec<_>>(), [3]);
        assert_eq!(ended[0].event().project, None, "of several projects it names none");
        assert_eq!(ended[0].event().reason.as_deref(), Some(ErrorCode::RateLimited.as_str()));
    }
}
