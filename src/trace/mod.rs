//! The distributed trace of a request (W3C Trace Context): continued from `traceparent` or started
//! here, written to the log, propagated to the calls of other servers, and exported if the operator
//! wants it. `spans` are the spans that are exported, and `otlp` exports them.

mod config;
#[cfg_attr(not(feature = "otlp"), path = "no_otlp.rs")]
mod otlp;
mod spans;

pub use config::{CollectorUrl, OtlpConfig, Sampling};
pub use otlp::Exporter;
pub use spans::{ExportedSpan, TARGET};

use crate::measures::{Kind, declare};
use futures::future::Either;
use std::fmt;
use std::sync::Arc;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;
use tracing::{Instrument as _, Span};
use tracing_subscriber::{Layer, Registry};
use uuid::Uuid;

/// The flag that the caller records the trace; the only one of version 00.
const SAMPLED: u8 = 1;
/// Maximum length of a `tracestate` that is propagated, in bytes; the specification requires at
/// least this.
const MAX_STATE: usize = 512;

const DROPPED: &str = "vault_trace_spans_dropped_total";
/// Values of the label `reason`: too many spans waited, or the collector did not take them.
const QUEUE_FULL: &str = "queue_full";
const NOT_TAKEN: &str = "not_taken";

/// What takes the exported spans from the log's subscriber.
pub type TraceLayer = Box<dyn Layer<Registry> + Send + Sync>;

tokio::task_local! {
    static CURRENT: Current;
}

/// The request that a task belongs to.
#[derive(Clone)]
struct Current {
    trace: TraceContext,
    /// The span of its log lines.
    log: Span,
}

/// Why no traces can be exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The program was built without it.
    #[error("OTEL_EXPORTER_OTLP_ENDPOINT: this program is built without the feature otlp; leave the setting out")]
    NotBuiltIn,
    /// The client of the collector cannot be built.
    #[error("OTEL_EXPORTER_OTLP_ENDPOINT: traces cannot be sent: {0}")]
    Client(String),
    /// The collector cannot be reached in time.
    #[error("OTEL_EXPORTER_OTLP_ENDPOINT: the collector cannot be reached: {0}")]
    Unreachable(String),
    /// The collector answers another status than 2xx.
    #[error("OTEL_EXPORTER_OTLP_ENDPOINT: the collector answers {0}; check the address and OTEL_EXPORTER_OTLP_HEADERS")]
    Status(u16),
}

/// Declares the metric of exported spans.
pub fn declare_metrics() {
    let help = "Spans that were not exported: too many waited (queue_full), or the collector did not take them.";
    declare(Kind::Counter, DROPPED, help, &[("reason", &[QUEUE_FULL, NOT_TAKEN])]);
}

#[cfg(feature = "otlp")]
fn dropped(reason: &'static str, count: u64) {
    metrics::counter!(DROPPED, "reason" => reason).increment(count);
}

/// A request's trace, its own span and its caller's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceContext {
    trace: u128,
    parent: Option<u64>,
    span: u64,
    flags: u8,
    state: Option<Arc<str>>,
}

impl TraceContext {
    /// Continues the trace of these headers, or starts one when they name none.
    #[must_use]
    pub fn of(traceparent: Option<&str>, tracestate: Option<&str>) -> Self {
        let span = random().1;
        match traceparent.and_then(parse) {
            Some((trace, parent, flags)) => {
                let fits = |state: &&str| {
                    !state.is_empty() && state.len() <= MAX_STATE && state.bytes().all(|b| (b' '..=b'~').contains(&b))
                };
                let state = tracestate.filter(fits).map(Into::into);
                Self { trace, parent: Some(parent), span, flags: flags & SAMPLED, state }
            }
            // Nothing records this trace, so no server is asked to.
            None => Self { trace: random().0, parent: None, span, flags: 0, state: None },
        }
    }

    /// The trace's id: 32 hex digits.
    #[must_use]
    pub fn trace_id(&self) -> String {
        format!("{:032x}", self.trace)
    }

    /// The id of the caller's span, if there is one: 16 hex digits.
    #[must_use]
    pub fn parent_id(&self) -> Option<String> {
        self.parent.map(|parent| format!("{parent:016x}"))
    }

    /// The `tracestate` to propagate.
    #[must_use]
    pub fn state(&self) -> Option<&str> {
        self.state.as_deref()
    }

    /// The trace of the current task.
    #[must_use]
    pub fn current() -> Option<Self> {
        CURRENT.try_with(|current| current.trace.clone()).ok()
    }

    /// The trace to propagate to another server: of the exported span that is entered, else of the
    /// current task.
    #[must_use]
    pub fn propagated() -> Option<Self> {
        let current = Self::current();
        let Some((trace, span, flags)) = otlp::ids(ExportedSpan::entered().span()) else { return current };
        Some(Self { trace, parent: None, span, flags, state: current.and_then(|current| current.state) })
    }

    /// The headers that propagate the trace.
    pub fn headers(&self) -> impl Iterator<Item = (&'static str, String)> {
        let state = self.state().map(|state| ("tracestate", state.to_owned()));
        std::iter::once(("traceparent", self.to_string())).chain(state)
    }

    /// Begins `span` as the trace's own span; gives the trace with the id and the flags that are
    /// exported, if it is.
    #[must_use]
    pub fn exported_as(self, span: &ExportedSpan) -> Self {
        match otlp::begin(span.span(), &self) {
            Some((trace, span, flags)) => Self { trace, span, flags, ..self },
            None => self,
        }
    }

    /// Runs `work` as part of the trace, and with the log lines of `log`.
    pub fn within<F: Future>(self, log: Span, work: F) -> impl Future<Output = F::Output> {
        CURRENT.scope(Current { trace: self, log: log.clone() }, work.instrument(log))
    }

    #[cfg(feature = "otlp")]
    fn scope<T>(&self, work: impl FnOnce() -> T) -> T {
        CURRENT.sync_scope(Current { trace: self.clone(), log: Span::none() }, work)
    }
}

/// The value of `traceparent` for calls made in this span.
impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace, self.span, self.flags)
    }
}

/// A trace id and a span id. Neither is ever zero, because a UUID's version and variant are not. The
/// last 8 bytes of the trace id are random, as sampling by the id assumes.
fn random() -> (u128, u64) {
    let (id, span) = (Uuid::now_v7().as_u128(), Uuid::now_v7().as_u64_pair().1);
    let random = getrandom::u64().unwrap_or(span);
    (id & !u128::from(u64::MAX) | u128::from(random), span)
}

/// Parses `traceparent` into trace, parent and flags. Of a later version, only the same four parts
/// are read.
fn parse(text: &str) -> Option<(u128, u64, u8)> {
    let mut parts = text.trim().splitn(5, '-');
    let mut hex = |digits: usize| {
        let part = parts.next()?;
        let lower = |digit: u8| digit.is_ascii_digit() || (b'a'..=b'f').contains(&digit);
        (part.len() == digits && part.bytes().all(lower)).then_some(part)
    };
    let (version, trace, parent, flags) = (hex(2)?, hex(32)?, hex(16)?, hex(2)?);
    if version == "ff" || (version == "00" && parts.next().is_some()) {
        return None;
    }
    let trace = u128::from_str_radix(trace, 16).ok().filter(|trace| *trace != 0)?;
    let parent = u64::from_str_radix(parent, 16).ok().filter(|parent| *parent != 0)?;
    Some((trace, parent, u8::from_str_radix(flags, 16).ok()?))
}

/// Runs work of the current request in other tasks: its log lines carry the request's ids, its calls
/// the trace, and its spans belong to the one that is entered now.
pub struct InRequest {
    current: Option<Current>,
    entered: Span,
}

impl InRequest {
    /// Takes the request being handled, and the span that is entered.
    #[must_use]
    pub fn current() -> Self {
        Self { current: CURRENT.try_with(Clone::clone).ok(), entered: Span::current() }
    }

    /// Runs `work` as part of the request.
    pub fn within<F: Future>(self, work: F) -> impl Future<Output = F::Output> {
        let Self { current, entered } = self;
        match current {
            Some(Current { trace, log }) => {
                let entered = if entered == log { Span::none() } else { entered };
                Either::Left(trace.within(log, work.instrument(entered)))
            }
            None => Either::Right(work.instrument(entered)),
        }
    }

    /// As [`Self::within`], for work that blocks.
    pub fn run<T>(self, work: impl FnOnce() -> T) -> T {
        let _log = self.current.map(|current| current.log.entered());
        self.entered.in_scope(work)
    }

    /// Spawns `work`, counted by `tracker`.
    ///
    /// # Panics
    /// Outside of a Tokio runtime.
    pub fn spawn<F>(self, tracker: &TaskTracker, work: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        tracker.spawn_on(self.within(work), &Handle::current())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_trace_is_continued_under_a_span_of_its_own() {
        let context = TraceContext::of(Some(PARENT), Some("congo=t61rcWkgMzE"));
        assert_eq!(context.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(context.parent_id().as_deref(), Some("00f067aa0ba902b7"));
        assert_eq!(context.state(), Some("congo=t61rcWkgMzE"));
        let passed_on = context.to_string();
        assert!(passed_on.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-") && passed_on.ends_with("-01"));
        assert!(!passed_on.contains("00f067aa0ba902b7"), "{passed_on}");
        assert_ne!(passed_on, TraceContext::of(Some(PARENT), None).to_string(), "each request is a span of its own");
        let later = TraceContext::of(Some(&format!("cc{}-what-comes", &PARENT[2..])), None);
        assert_eq!(later.trace_id(), context.trace_id());
    }

    #[test]
    fn a_trace_is_begun_where_the_header_names_none() {
        for bad in [
            "",
            "00",
            "nonsense",
            &PARENT.to_uppercase(),
            &PARENT[..54],
            &format!("{PARENT}-more"),
            &format!("ff{}", &PARENT[2..]),
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0g",
            "00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            let context = TraceContext::of(Some(bad), Some("congo=t61rcWkgMzE"));
            assert!(context.parent_id().is_none() && context.state().is_none(), "{bad}");
            assert_ne!(context.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736", "{bad}");
            assert!(parse(&context.to_string()).is_some(), "{context}");
        }
    }

    #[test]
    fn a_state_that_is_too_long_or_no_header_is_left_out() {
        for state in ["", "a=\u{7f}", &"x".repeat(MAX_STATE + 1)] {
            assert_eq!(TraceContext::of(Some(PARENT), Some(state)).state(), None);
        }
        let longest = "x".repeat(MAX_STATE);
        assert_eq!(TraceContext::of(Some(PARENT), Some(&longest)).state(), Some(&*longest));
    }

    #[tokio::test]
    async fn what_a_request_spawns_belongs_to_its_trace() {
        let context = TraceContext::of(Some(PARENT), None);
        let tracker = TaskTracker::new();
        let mut spawned = None;
        let work = async { spawned = Some(InRequest::current().spawn(&tracker, async { TraceContext::current() })) };
        context.clone().within(Span::none(), work).await;
        assert_eq!(spawned.unwrap().await.unwrap(), Some(context));
        assert_eq!(TraceContext::current(), None);
    }
}
