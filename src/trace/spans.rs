//! The spans that are exported as traces, by OpenTelemetry's semantic conventions. Their names and
//! attributes are chosen here, one by one, and every text in them is a constant of the program: nothing
//! that a caller sends, or that the vault keeps, can get into one.

use crate::domain::ErrorCode;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use tracing::field::{Empty, display};
use tracing::instrument::Instrumented;
use tracing::{Instrument as _, Span};

/// The target of exported spans. The log leaves it out.
pub const TARGET: &str = "exported_traces";

/// Whether this process exports spans.
static ARE_EXPORTED: AtomicBool = AtomicBool::new(false);

/// Says that this process exports spans from now on.
#[cfg(feature = "otlp")]
pub(super) fn are_exported_now() {
    ARE_EXPORTED.store(true, Ordering::Relaxed);
}

/// The codes of gRPC, by their numbers.
const GRPC_CODES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// A span that is exported if traces are; else it costs next to nothing. It ends when it is dropped.
#[derive(Clone)]
pub struct ExportedSpan(Span);

/// A span of this name and kind. Its parent is the span that is entered, unless another is given.
macro_rules! span {
    ($(parent: $parent:expr,)? $name:literal, $kind:literal $(, $field:literal = $value:expr)* $(,)?) => {
        ExportedSpan(tracing::info_span!(
            target: TARGET,
            $(parent: $parent,)?
            $name,
            "otel.kind" = $kind,
            "otel.status_code" = Empty,
            "error.type" = Empty
            $(, $field = $value)*
        ))
    };
}

/// The name of a span of HTTP: a method, and what is known of the path.
struct Name(&'static str, Option<&'static str>);

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(method, path) = *self;
        f.write_str(method)?;
        path.map_or(Ok(()), |path| write!(f, " {path}"))
    }
}

impl ExportedSpan {
    /// Handling an HTTP request; `log` is the span of its log lines. `method` is `_OTHER` for one that
    /// the specification of HTTP does not have, and `route` is none for paths that do not exist.
    #[must_use]
    pub fn server(log: &Span, method: &'static str, route: Option<&'static str>) -> Self {
        span!(
            parent: log, "request", "server",
            "otel.name" = display(Name(method, route)),
            "http.request.method" = method,
            "http.route" = route,
            "http.response.status_code" = Empty,
        )
    }

    /// Executing a GraphQL operation: its type, and those of its root fields that the schema has.
    #[must_use]
    pub fn operation(kind: &'static str, fields: impl Iterator<Item = &'static str>) -> Self {
        if !Self::are_exported() {
            return Self::none();
        }
        let mut fields: Vec<&str> = fields.collect();
        // As many as the schema has, however often the operation selects them.
        fields.sort_unstable();
        fields.dedup();
        let name = match *fields {
            [field] => format!("{kind} {field}"),
            _ => kind.to_owned(),
        };
        span!(
            "operation",
            "internal",
            "otel.name" = name,
            "graphql.operation.type" = kind,
            "vault.graphql.root_fields" = fields.join(","),
        )
    }

    /// Releasing values to an agent's runtime.
    #[must_use]
    pub fn resolve() -> Self {
        span!("resolve", "internal")
    }

    /// Waiting until audit events are durable.
    #[must_use]
    pub fn record_events() -> Self {
        span!("record events", "internal")
    }

    /// Asking the authorizer this many questions.
    #[must_use]
    pub fn authorize(questions: usize) -> Self {
        span!("authorize", "internal", "vault.authorizer.questions" = i64::try_from(questions).unwrap_or(i64::MAX))
    }

    /// Wrapping or unwrapping a key.
    #[must_use]
    pub fn key_provider(operation: &'static str) -> Self {
        span!(
            "key provider",
            "internal",
            "otel.name" = display(format_args!("{operation} key")),
            "vault.key_provider.operation" = operation,
        )
    }

    /// A run of a background job.
    #[must_use]
    pub fn job(job: &'static str) -> Self {
        span!(parent: None, "job", "internal", "otel.name" = job, "vault.job" = job)
    }

    /// Delivering a notice of this kind.
    #[must_use]
    pub fn notice(kind: &'static str) -> Self {
        span!("deliver notice", "internal", "vault.notice.kind" = kind, "vault.notice.result" = Empty)
    }

    /// A statement of the database, by the vault's name for it.
    #[must_use]
    pub fn statement(system: &'static str, operation: &'static str) -> Self {
        span!(
            "statement",
            "client",
            "otel.name" = operation,
            "db.system.name" = system,
            "db.operation.name" = operation,
        )
    }

    /// A call of OpenFGA, such as `openfga.v1.OpenFGAService/Write`.
    #[must_use]
    pub fn grpc_call(method: &'static str) -> Self {
        span!(
            "call",
            "client",
            "otel.name" = method,
            "rpc.system.name" = "grpc",
            "rpc.method" = method,
            "rpc.response.status_code" = Empty,
        )
    }

    /// A request to another server over HTTP; `template` is what is constant of its path.
    #[must_use]
    pub fn http_call(method: &'static str, template: Option<&'static str>) -> Self {
        span!(
            "call",
            "client",
            "otel.name" = display(Name(method, template)),
            "http.request.method" = method,
            "url.template" = template,
            "http.response.status_code" = Empty,
        )
    }

    /// The exported span that is entered; one that is not exported if there is none.
    #[must_use]
    pub fn entered() -> Self {
        if !Self::are_exported() {
            return Self::none();
        }
        let span = Span::current();
        let is_exported = span.metadata().is_some_and(|metadata| metadata.target() == TARGET);
        if is_exported { Self(span) } else { Self::none() }
    }

    const fn none() -> Self {
        Self(Span::none())
    }

    // Not by `span_enabled!`, which asks the filters of single layers though no event follows: their
    // answers stay with the thread, and lines were missing in the log of a busy server.
    fn are_exported() -> bool {
        ARE_EXPORTED.load(Ordering::Relaxed)
    }

    pub(super) const fn span(&self) -> &Span {
        &self.0
    }

    /// Runs `work` in the span: what happens in it belongs to the span.
    pub fn around<F: Future>(&self, work: F) -> Instrumented<F> {
        work.instrument(self.0.clone())
    }

    /// As [`Self::around`], for what may fail; `code` gives the code of an error.
    ///
    /// # Errors
    /// That of `work`.
    pub fn around_result<T, E>(
        self,
        work: impl Future<Output = Result<T, E>>,
        code: impl FnOnce(&E) -> &'static str,
    ) -> impl Future<Output = Result<T, E>> {
        // On the heap, since the future that awaits it would hold it twice.
        let work = self.around(Box::pin(work));
        async move {
            let result = work.await;
            if let Err(error) = &result {
                self.failed(code(error));
            }
            result
        }
    }

    /// Notes how the work of the span failed. Where the caller is at fault, by a code of the API, the
    /// span has no error status.
    pub fn failed(&self, code: &'static str) {
        let is_refusal =
            ErrorCode::parse(code).is_some_and(|code| !matches!(code, ErrorCode::Internal | ErrorCode::Unavailable));
        self.0.record("error.type", code);
        if !is_refusal {
            self.0.record("otel.status_code", "ERROR");
        }
    }

    /// Notes the status that a request is answered with, and the code of its error if it has one.
    pub fn answers(&self, status: u16, code: Option<&'static str>) {
        self.0.record("http.response.status_code", i64::from(status));
        if let Some(code) = code {
            self.failed(code);
        }
    }

    /// Notes the status that another server answers; none if it cannot be reached.
    pub fn answered(&self, status: Option<u16>) {
        match status {
            None => self.failed("unreachable"),
            Some(status) => {
                self.0.record("http.response.status_code", i64::from(status));
                if status >= 400 {
                    self.0.record("error.type", display(status));
                    self.0.record("otel.status_code", "ERROR");
                }
            }
        }
    }

    /// Notes that the client did not wait for its answer.
    pub fn abandoned(&self) {
        self.0.record("error.type", "client_disconnected");
    }

    /// Notes the status of a call of gRPC; 0 for one that was answered.
    pub fn grpc_status(&self, code: i32) {
        let name = usize::try_from(code).ok().and_then(|code| GRPC_CODES.get(code)).unwrap_or(&GRPC_CODES[2]);
        self.0.record("rpc.response.status_code", *name);
        if code != 0 {
            self.0.record("error.type", *name);
            self.0.record("otel.status_code", "ERROR");
        }
    }

    /// Notes what came of a notice.
    pub fn notice_result(&self, result: &'static str) {
        self.0.record("vault.notice.result", result);
    }
}
