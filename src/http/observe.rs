//! The middleware around every request: its id, its log line, its metrics, the headers of every
//! answer, and the end of a panic.

use super::endpoint::Refusal;
use super::metrics;
use super::noted::{Noted, REQUEST_ID};
use super::rest::{self, Problem};
use crate::domain::TokenKind;
use crate::trace::{ExportedSpan, TraceContext};
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use futures::FutureExt as _;
use http::header::{CACHE_CONTROL, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;
use tracing::Span;

/// The name of methods and routes that logs and metrics do not name.
const OTHER: &str = "other";

/// The routes of an address that logs and metrics name.
#[derive(Clone, Copy)]
pub(super) struct Routes(pub(super) &'static [&'static str]);

impl Routes {
    /// The route of a request for logs and metrics; nothing else of its path gets there.
    fn of(self, request: &Request) -> &'static str {
        let matched = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
        self.0.iter().copied().find(|route| *route == matched).unwrap_or(OTHER)
    }
}

/// The method for logs: a known name, since a client can send any text as method.
fn name(method: &Method) -> &'static str {
    let known = [
        (Method::GET, "GET"),
        (Method::POST, "POST"),
        (Method::HEAD, "HEAD"),
        (Method::OPTIONS, "OPTIONS"),
        (Method::PUT, "PUT"),
        (Method::PATCH, "PATCH"),
        (Method::DELETE, "DELETE"),
    ];
    known.into_iter().find(|(known, _)| known == method).map_or(OTHER, |(_, name)| name)
}

/// The trace context of the request (W3C Trace Context).
fn trace(headers: &HeaderMap) -> TraceContext {
    let text = |name| headers.get_all(name).iter().map(|value| value.to_str().unwrap_or_default());
    // Several `traceparent` headers count as none; `tracestate` is a list over all its headers.
    let mut parents = text("traceparent");
    let parent = parents.next().filter(|_| parents.next().is_none());
    let state = text("tracestate").collect::<Vec<_>>().join(",");
    TraceContext::of(parent, Some(&state))
}

/// Handles one request within its span; adds the common headers and turns a panic into an answer.
pub(super) async fn observe(State(routes): State<Routes>, mut request: Request, next: Next) -> Response {
    let noted = Arc::new(Noted::of(request.headers()));
    request.extensions_mut().insert(noted.clone());
    // At level ERROR, so that the lines of errors have the id whatever the filter is.
    let trace = trace(request.headers());
    let (method, route) = (name(request.method()), routes.of(&request));
    let span = tracing::error_span!(
        "request",
        request_id = noted.request_id.as_str(),
        trace_id = trace.trace_id(),
        parent_id = trace.parent_id(),
    );
    let exported = exported_span(&span, method, route);
    let trace = trace.exported_as(&exported);
    let mut line = LogLine {
        noted: noted.clone(),
        method,
        route,
        began: Instant::now(),
        status: None,
        span: span.clone(),
        exported,
    };
    let is_rest = rest::is_path(request.uri().path());
    let work = line.exported.around(AssertUnwindSafe(next.run(request)).catch_unwind());
    let answered = trace.within(span.clone(), work).await;
    let mut response = answered.unwrap_or_else(|_| {
        span.in_scope(|| tracing::error!("handling a request panicked"));
        let internal = Refusal::internal();
        if is_rest {
            Problem::from(internal).respond(&noted.request_id)
        } else {
            internal.respond_json(&noted.request_id)
        }
    });
    let headers = response.headers_mut();
    // Only what never changes says otherwise.
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if let Ok(id) = HeaderValue::from_str(noted.request_id.as_str()) {
        headers.insert(REQUEST_ID, id);
    }
    line.status = Some(response.status());
    line.exported.answers(response.status().as_u16(), response.extensions().get().map(|RefusedBy(code)| *code));
    response
}

/// The exported span of a request, with the names that the specification has for what is not known.
fn exported_span(log: &Span, method: &'static str, route: &'static str) -> ExportedSpan {
    ExportedSpan::server(log, if method == OTHER { "_OTHER" } else { method }, (route != OTHER).then_some(route))
}

/// The code of the error that a request is answered with, in the extensions of its answer.
#[derive(Clone, Copy)]
pub(super) struct RefusedBy(pub(super) &'static str);

/// Writes the log line of a request when dropped, so also when the client disconnects.
struct LogLine {
    noted: Arc<Noted>,
    method: &'static str,
    route: &'static str,
    began: Instant,
    /// None when the client disconnected before the answer.
    status: Option<StatusCode>,
    span: Span,
    exported: ExportedSpan,
}

impl Drop for LogLine {
    fn drop(&mut self) {
        let Self { method, route, .. } = *self;
        let elapsed = self.began.elapsed();
        let duration_ms = elapsed.as_secs_f64() * 1000.0;
        let principal = self.noted.principal_kind().map_or("none", TokenKind::as_str);
        let _in = self.span.enter();
        if let Some(status) = self.status {
            tracing::info!(method, route, status = status.as_u16(), duration_ms, principal, "answered");
            metrics::count_request(route, status, elapsed);
        } else {
            tracing::info!(method, route, duration_ms, principal, "the client disconnected");
            self.exported.abandoned();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::Router;
    use axum::body::{Body, to_bytes};
    use axum::middleware::from_fn;
    use axum::routing::get;
    use tower::ServiceExt as _;

    const ROUTES: Routes = Routes(&["/graphql"]);

    #[tokio::test]
    async fn a_panic_is_answered_with_the_request_id_and_without_its_text() {
        async fn boom() {
            panic!("sk-live-0123456789");
        }
        let app: Router =
            Router::new().route("/graphql", get(boom)).layer(axum::middleware::from_fn_with_state(ROUTES, observe));
        let request = Request::get("/graphql").header("x-request-id", "r-1").body(Body::empty()).unwrap();
        let response = app.oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(response.headers()["x-request-id"], "r-1");
        assert_eq!(response.headers()["cache-control"], "no-store");
        let body = to_bytes(response.into_body(), 10_000).await.unwrap();
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["errors"][0]["extensions"]["code"], "INTERNAL");
        assert_eq!(body["errors"][0]["extensions"]["requestId"], "r-1");
        assert!(!body.to_string().contains("sk-live"));
    }

    /// The log lines of a request with these headers.
    async fn logged(headers: &[(&str, &str)]) -> String {
        #[derive(Clone, Default)]
        struct Log(Arc<std::sync::Mutex<Vec<u8>>>);
        impl std::io::Write for Log {
            fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
                self.0.lock().unwrap().write(bytes)
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let log = Log::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt().json().with_writer(move || writer.clone()).finish();
        let app: Router = Router::new()
            .route("/graphql", get(async || ""))
            .layer(axum::middleware::from_fn_with_state(ROUTES, observe));
        let request =
            headers.iter().fold(Request::get("/graphql"), |request, (name, value)| request.header(*name, *value));
        let _logging = tracing::subscriber::set_default(subscriber);
        app.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let bytes = log.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[tokio::test]
    async fn the_log_names_the_trace_that_a_request_continues() {
        let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let line = logged(&[("traceparent", parent), ("x-request-id", "r-1")]).await;
        let line: serde_json::Value = serde_json::from_str(&line).unwrap();
        let span = &line["span"];
        assert_eq!(span["request_id"], "r-1");
        assert_eq!(span["trace_id"], "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(span["parent_id"], "00f067aa0ba902b7");
        for headers in [&[][..], &[("traceparent", "nonsense")], &[("traceparent", parent), ("traceparent", parent)]] {
            let begun = logged(headers).await;
            assert!(
                begun.contains("trace_id") && !begun.contains("4bf92f35") && !begun.contains("parent_id"),
                "{begun}"
            );
        }
    }

    #[tokio::test]
    async fn nothing_of_a_path_or_method_becomes_a_label() {
        let routes = Routes(&["/graphql", "/secrets/{name}"]);
        let named = async |path: &str| {
            let tell = from_fn(move |request: Request, _: Next| std::future::ready(routes.of(&request)));
            let [graphql, secret, unnamed] = [get(""), get(""), get("")];
            let app = Router::new().route("/graphql", graphql).route("/secrets/{name}", secret).route("/more", unnamed);
            let answer = app.layer(tell).oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap();
            String::from_utf8(to_bytes(answer.into_body(), 100).await.unwrap().to_vec()).unwrap()
        };
        for (path, label) in [
            ("/graphql", "/graphql"),
            ("/secrets/sk-live", "/secrets/{name}"),
            ("/graphql/", "other"),
            ("/sk-live", "other"),
            ("/more", "other"),
        ] {
            assert_eq!(named(path).await, label, "{path}");
        }
        let made_up = Method::from_bytes(b"SECRET").unwrap();
        assert_eq!((name(&Method::POST), name(&made_up)), ("POST", "other"));
    }
}
