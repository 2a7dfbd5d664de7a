//! Limits how many denials become events. A caller that is denied the same thing repeatedly, or
//! many things, must not fill the database: repetitions are only counted, and so is every denial
//! beyond a rate. One later event carries each count.
//!
//! Two denials are the same when the caller named the same objects; what the vault found plays no
//! part, so hidden and missing objects count alike. All of this state is in memory and bounded; a
//! crash loses the counts and nothing else.

use crate::domain::{Actor, AuditAction, EntryId, EventId, Timestamp};
use crate::store::records::EventRow;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long repetitions of a denial are counted into one event, and likewise the denials beyond a
/// rate.
const WINDOW: Duration = Duration::from_secs(60);

/// Rate at which distinct denials of one principal are recorded singly: 60 at once, then one every
/// 10 s. A caller that selects a page of 50 entries and is denied each one stays within it; a
/// runtime needs one a minute for each agent and project. One day at this rate makes fewer than
/// 20,000 events.
const PRINCIPAL_RATE: Rate = Rate { burst: 60, every: Duration::from_secs(10) };

/// The same rate for all principals together, so that many principals cannot fill the database
/// either: 1,200 at once, then two a second. It also bounds the memory used.
const PROCESS_RATE: Rate = Rate { burst: 1_200, every: Duration::from_millis(500) };

/// Rate at which calls of one runtime, for one agent and project, are recorded singly as having
/// asked for names that do not exist.
const MISS_RATE: Rate = Rate { burst: 60, every: Duration::from_secs(10) };

/// A rate limit: `burst` times at once, then once per `every`.
struct Rate {
    burst: u32,
    every: Duration,
}

/// What is left of a [`Rate`], by the generic cell rate algorithm: the instant at which the whole
/// burst is available again.
#[derive(Default)]
struct Allowance {
    full_at: Option<Timestamp>,
}

impl Allowance {
    /// Takes one, or gives how long to wait until one is available.
    fn take(&mut self, rate: &Rate, now: Timestamp) -> Result<(), Duration> {
        let full_at = self.next(rate, now)?;
        self.full_at = Some(full_at);
        Ok(())
    }

    /// The instant at which the allowance would be full again if one were taken now; when none is
    /// available, how long to wait for one.
    fn next(&mut self, rate: &Rate, now: Timestamp) -> Result<Timestamp, Duration> {
        let latest = now.plus(rate.every * rate.burst);
        // After the clock was set back, no caller waits longer than for an empty allowance.
        self.full_at = self.full_at.map(|at| at.min(latest));
        let full_at = self.full_at.map_or(now, |at| at.max(now)).plus(rate.every);
        let excess = full_at.millis() - latest.millis();
        u64::try_from(excess).ok().filter(|excess| *excess > 0).map_or(Ok(full_at), |ms| Err(Duration::from_millis(ms)))
    }

    fn is_full(&self, now: Timestamp) -> bool {
        self.full_at.is_none_or(|at| at <= now)
    }
}

/// The objects that a denied caller named, whether they exist or not.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(in crate::vault) struct Named {
    pub project: Option<String>,
    pub agent: Option<String>,
    pub entry: Option<EntryId>,
    pub milestone: Option<String>,
}

impl Named {
    /// The objects that an event names, for use where the caller named the same ones. The milestone
    /// is left out: it does not distinguish denials.
    pub(in crate::vault) fn by(event: &EventRow) -> Self {
        Self { project: event.project.clone(), agent: event.agent.clone(), entry: event.entry, milestone: None }
    }
}

/// One denial.
#[derive(Clone)]
pub(in crate::vault) struct Denial {
    /// The objects that the caller named.
    pub named: Named,
    /// The event to record.
    pub event: EventRow,
    /// The object does not exist: the denial counts, but a decoy row is written instead of an
    /// event.
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

/// How a denial is handled.
pub(super) enum Outcome {
    /// Record these before answering the caller.
    Record(Vec<Denial>),
    /// The same denial was recorded less than [`WINDOW`] ago; this one was counted.
    Repetition,
    /// The denial exceeds a rate and was counted. The caller may try again after this time.
    Limited(Duration),
}

/// A denial that was recorded, and the number of repetitions since.
struct Repeated {
    since: Timestamp,
    count: i64,
    last: Denial,
}

impl Repeated {
    /// The denial whose event carries the count of repetitions; `None` when there were none.
    fn denial(self) -> Option<Denial> {
        let event = EventRow { id: EventId::new(), count: self.count, ..self.last.event };
        (self.count > 0).then_some(Denial { event, ..self.last })
    }
}

/// The events beyond a rate that were counted since an instant.
struct Overflow {
    since: Timestamp,
    count: i64,
    last: EventRow,
}

impl Overflow {
    /// Counts another event. The combined event names only what all of them have in common, and
    /// holds no text that the caller chose.
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

/// What is left of a rate, and the events beyond it.
#[derive(Default)]
struct RateState {
    allowance: Allowance,
    rest: Option<Overflow>,
}

/// Distinguishes the misses of one runtime: calls for one agent and project that asked for names
/// that do not exist.
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
    principals: HashMap<String, RateState>,
    process: Allowance,
    /// The denials of all other principals, beyond the process's rate.
    others: Option<Overflow>,
    /// Only authorized runtimes get here, so the number of agents on projects bounds the map.
    misses: HashMap<MissKey, RateState>,
}

impl State {
    /// Takes one from the principal's allowance and one from the process's; when either is empty,
    /// counts the event.
    fn admit(&mut self, event: &EventRow) -> Result<(), Duration> {
        let now = event.occurred_at;
        let limited = || EventRow { reason: Some(RATE_LIMITED.to_owned()), ..event.clone() };
        let mut known = self.principals.get_mut(&event.actor);
        let own = known.as_mut().map_or(Ok(()), |principal| principal.allowance.next(&PRINCIPAL_RATE, now).map(drop));
        match (own.and_then(|()| self.process.take(&PROCESS_RATE, now)), known) {
            (Ok(()), Some(principal)) => principal.allowance.take(&PRINCIPAL_RATE, now),
            (Ok(()), None) => {
                self.principals.entry(event.actor.clone()).or_default().allowance.take(&PRINCIPAL_RATE, now)
            }
            (Err(wait), Some(principal)) => {
                Overflow::add(&mut principal.rest, &limited());
                Err(wait)
            }
            (Err(wait), None) => {
                Overflow::add(&mut self.others, &EventRow { actor: Actor::RateLimiter.to_string(), ..limited() });
                Err(wait)
            }
        }
    }
}

/// The reason in an event that carries the count beyond a rate: the code of the caller's answer.
const RATE_LIMITED: &str = "RATE_LIMITED";

/// The denials of the last minute.
#[derive(Default)]
pub(super) struct Denials(Mutex<State>);

impl Denials {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Decides whether a denial is recorded or counted. The first of its kind within [`WINDOW`] is
    /// recorded, together with the repetitions counted in the window before it.
    pub(super) fn count(&self, denial: Denial) -> Outcome {
        let (key, now) = (denial.key(), denial.event.occurred_at);
        let mut state = self.state();
        if let Some(repeated) = state.repeated.get_mut(&key).filter(|repeated| now < repeated.since.plus(WINDOW)) {
            repeated.count += 1;
            repeated.last = denial;
            return Outcome::Repetition;
        }
        if let Err(wait) = state.admit(&denial.event) {
            return Outcome::Limited(wait);
        }
        let begun = Repeated { since: now, count: 0, last: denial.clone() };
        let ended = state.repeated.insert(key, begun).and_then(Repeated::denial);
        Outcome::Record(ended.into_iter().chain([denial]).collect())
    }

    /// Whether an event that reports names that were not found is to be recorded at once; otherwise
    /// it is counted.
    pub(super) fn records_miss(&self, event: &EventRow) -> bool {
        let mut state = self.state();
        let misses = state.misses.entry(MissKey::of(event)).or_default();
        let records = misses.allowance.take(&MISS_RATE, event.occurred_at).is_ok();
        if !records {
            Overflow::add(&mut misses.rest, event);
        }
        records
    }

    /// Adds what could not be recorded to what was counted meanwhile. Repetitions are due at once,
    /// and the next denial of that kind is not counted as a repetition.
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
                    Overflow::add(&mut state.principals.entry(event.actor.clone()).or_default().rest, &event);
                }
                Pending::Others(event) => Overflow::add(&mut state.others, &event),
                Pending::Misses(event) => {
                    Overflow::add(&mut state.misses.entry(MissKey::of(&event)).or_default().rest, &event);
                }
            }
        }
    }

    /// Takes the counts whose [`WINDOW`] has ended, or all of them if `all`.
    pub(super) fn ended(&self, now: Timestamp, all: bool) -> Vec<Pending> {
        let has_ended = |since: Timestamp| all || now >= since.plus(WINDOW);
        let rest = |rest: &mut Option<Overflow>| rest.take_if(|rest| has_ended(rest.since)).map(Overflow::event);
        let mut state = self.state();
        let State { repeated, principals, others, misses, .. } = &mut *state;
        let mut ended: Vec<Pending> = repeated
            .extract_if(|_, repeated| has_ended(repeated.since))
            .filter_map(|(_, repeated)| repeated.denial())
            .filter(|denial| !denial.is_decoy)
            .map(Pending::Repeated)
            .collect();
        ended.extend(principals.values_mut().filter_map(|principal| rest(&mut principal.rest)).map(Pending::Rest));
        ended.extend(rest(others).map(Pending::Others));
        ended.extend(misses.values_mut().filter_map(|misses| rest(&mut misses.rest)).map(Pending::Misses));
        let is_idle = |of: &RateState| of.rest.is_none() && of.allowance.is_full(now);
        principals.retain(|_, principal| !is_idle(principal));
        misses.retain(|_, misses| !is_idle(misses));
        ended
    }
}

/// An event that carries a count.
#[derive(Clone)]
pub(super) enum Pending {
    /// Repetitions of one denial.
    Repeated(Denial),
    /// Denials of one principal beyond its rate.
    Rest(EventRow),
    /// Denials beyond the process's rate, of principals that had none recorded.
    Others(EventRow),
    /// Calls of a runtime for names that do not exist, beyond their rate.
    Misses(EventRow),
}

impl Pending {
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
    use crate::domain::{AuditOutcome, Error};

    const START: Timestamp = Timestamp::from_millis(1_900_000_000_000);

    fn denial(actor: &str, project: usize, now: Timestamp) -> Denial {
        let actor = Actor::Principal(crate::domain::Principal::User(crate::domain::UserId::parse(actor).unwrap()));
        let event = crate::vault::audit::event(&actor, "r-1", AuditAction::EntryCreated, now);
        let event = EventRow {
            project: Some(format!("p-{project}")),
            outcome: AuditOutcome::Denied,
            reason: Some(Error::NotFound("no").code().to_owned()),
            ..event
        };
        Denial { named: Named::by(&event), event, is_decoy: false }
    }

    fn is_limited(outcome: &Outcome) -> bool {
        matches!(outcome, Outcome::Limited(_))
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
        assert_eq!(ended[0].event().reason.as_deref(), Some(RATE_LIMITED));
    }
}
