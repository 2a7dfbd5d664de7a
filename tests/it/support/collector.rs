//! A stand-in of a collector that takes traces by OTLP over HTTP, with its faults.

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What the collector does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CollectorFault {
    None,
    /// It never answers.
    Hangs,
    Status(u16),
    /// It answers 200 with what is no protobuf.
    Garbage,
    /// It answers 200 with a body that does not end.
    Endless,
}

/// A collector that keeps what it receives.
#[derive(Clone)]
pub struct Collector {
    pub url: String,
    state: Arc<Mutex<Received>>,
}

struct Received {
    fault: CollectorFault,
    /// The path, headers and body of each request.
    requests: Vec<(String, String, Bytes)>,
}

/// A span that was received.
#[derive(Debug, Clone)]
pub struct ReceivedSpan {
    pub name: String,
    /// 1 internal, 2 server, 3 client.
    pub kind: i32,
    pub trace: String,
    pub id: String,
    pub parent: String,
    /// 0 unset, 2 error.
    pub status: i32,
    pub attributes: BTreeMap<String, String>,
    /// In nanoseconds.
    pub times: (u64, u64),
}

impl Collector {
    pub async fn start(fault: CollectorFault) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(Received { fault, requests: Vec::new() }));
        let router = Router::new().fallback(receive).with_state(state.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, state }
    }

    pub fn set(&self, fault: CollectorFault) {
        self.state.lock().unwrap().fault = fault;
    }

    /// The paths and headers of the requests.
    pub fn heads(&self) -> Vec<(String, String)> {
        let received = self.state.lock().unwrap();
        received.requests.iter().map(|(path, headers, _)| (path.clone(), headers.clone())).collect()
    }

    /// Everything it received.
    pub fn bytes(&self) -> Vec<u8> {
        let received = self.state.lock().unwrap();
        let parts = received.requests.iter();
        parts.flat_map(|(path, headers, body)| [path.as_bytes(), headers.as_bytes(), body].concat()).collect()
    }

    /// The attributes of the servers that sent something.
    pub fn resource(&self) -> BTreeMap<String, String> {
        let messages = self.messages().into_iter().flat_map(|message| message.resource_spans);
        messages.flat_map(|spans| attributes(spans.resource.unwrap().attributes)).collect()
    }

    /// The spans it received. None has an event, a link or the caller's state.
    pub fn spans(&self) -> Vec<ReceivedSpan> {
        let spans = self.messages().into_iter().flat_map(|message| message.resource_spans);
        let spans = spans.flat_map(|spans| spans.scope_spans).flat_map(|spans| spans.spans);
        spans.map(ReceivedSpan::from).collect()
    }

    /// Waits until the spans are as they should be.
    pub async fn spans_when(&self, are_so: impl Fn(&[ReceivedSpan]) -> bool) -> Vec<ReceivedSpan> {
        for _ in 0..600 {
            let spans = self.spans();
            if are_so(&spans) {
                return spans;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the spans do not become what they should be: {:#?}", self.spans());
    }

    fn messages(&self) -> Vec<ExportTraceServiceRequest> {
        let received = self.state.lock().unwrap();
        received.requests.iter().map(|(_, _, body)| ExportTraceServiceRequest::decode(body.clone()).unwrap()).collect()
    }
}

async fn receive(State(state): State<Arc<Mutex<Received>>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, 16 * 1024 * 1024).await.unwrap();
    let fault = {
        let mut received = state.lock().unwrap();
        received.requests.push((parts.uri.to_string(), format!("{:?}", parts.headers), body));
        received.fault
    };
    match fault {
        CollectorFault::None => ().into_response(),
        CollectorFault::Hangs => std::future::pending().await,
        CollectorFault::Status(status) => http::StatusCode::from_u16(status).unwrap().into_response(),
        CollectorFault::Garbage => "\u{7}no protobuf at all".repeat(100).into_response(),
        CollectorFault::Endless => {
            let chunks = std::iter::repeat_with(|| Ok::<_, std::io::Error>(Bytes::from_static(&[0; 16 * 1024])));
            Body::from_stream(futures::stream::iter(chunks)).into_response()
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}

fn attributes(pairs: Vec<opentelemetry_proto::tonic::common::v1::KeyValue>) -> impl Iterator<Item = (String, String)> {
    pairs.into_iter().map(|pair| match pair.value.unwrap().value.unwrap() {
        Value::StringValue(text) => (pair.key, text),
        Value::IntValue(number) => (pair.key, number.to_string()),
        other => panic!("{} has {other:?}", pair.key),
    })
}

impl From<Span> for ReceivedSpan {
    fn from(span: Span) -> Self {
        assert!(span.events.is_empty() && span.links.is_empty() && span.trace_state.is_empty(), "{span:?}");
        let status = span.status.unwrap_or_default();
        assert_eq!(status.message, "", "a status has no text");
        Self {
            name: span.name,
            kind: span.kind,
            trace: hex(&span.trace_id),
            id: hex(&span.span_id),
            parent: hex(&span.parent_span_id),
            status: status.code,
            attributes: attributes(span.attributes).collect(),
            times: (span.start_time_unix_nano, span.end_time_unix_nano),
        }
    }
}
