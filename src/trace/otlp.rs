//! Exports spans to a collector, by OTLP over HTTP in protobuf. Nothing else uses OpenTelemetry.

use super::config::{OtlpConfig, Sampling};
use super::spans::{TARGET, are_exported_now};
use super::{ExportError, SAMPLED, TraceContext, TraceLayer, dropped};
use crate::domain::with_causes;
use bytes::Bytes;
use futures::future::BoxFuture;
use http::header::{CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderValue, Request, Response};
use opentelemetry::trace::{
    Link, SpanContext, SpanId, SpanKind, TraceContextExt as _, TraceFlags, TraceId, TraceState, TracerProvider as _,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_http::{HttpClient, HttpError, ResponseBodyTooLarge};
use opentelemetry_otlp::{Protocol, SpanExporter as OtlpExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, IdGenerator, RandomIdGenerator, Sampler, SamplingDecision, SamplingResult,
    SdkTracerProvider, ShouldSample, Span, SpanData, SpanExporter, SpanLimits, SpanProcessor,
};
use reqwest::Client;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::runtime::Handle;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::{LevelFilter, filter_fn};

/// Maximum number of spans that wait to be sent; more are dropped.
const MAX_WAITING: usize = 4_096;
/// Maximum number of spans in one message.
const MAX_IN_MESSAGE: usize = 512;
/// How long spans are collected before they are sent.
const SEND_INTERVAL: Duration = Duration::from_secs(2);
/// Time limit for connecting to the collector.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Time limit for one request, connecting included.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// Time limit for a message, with its repetitions.
const MESSAGE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a server that stops waits for the collector to take the remaining spans.
const END_TIMEOUT: Duration = Duration::from_secs(3);
/// Maximum size of the collector's answer, in bytes.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// Sends the exported spans until it ends.
pub struct Exporter {
    provider: SdkTracerProvider,
}

impl Exporter {
    /// Prepares the export; gives the layer of the subscriber that takes the spans. Connects at first
    /// use, from the current Tokio runtime.
    ///
    /// # Errors
    /// When TLS is not available.
    ///
    /// # Panics
    /// Outside of a Tokio runtime.
    pub fn start(config: &OtlpConfig) -> Result<(TraceLayer, Self), ExportError> {
        let exporter = OtlpExporter::builder()
            .with_http()
            .with_http_client(Collector::new(config)?)
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(config.collector.url().as_str())
            .with_timeout(MESSAGE_TIMEOUT)
            .build()
            .map_err(|error| ExportError::Client(error.to_string()))?;
        let waiting = Arc::new(AtomicUsize::new(0));
        let counted = CountedExporter { exporter, waiting: waiting.clone(), fails: AtomicBool::new(false) };
        let batches = BatchConfigBuilder::default()
            .with_max_queue_size(MAX_WAITING)
            .with_max_export_batch_size(MAX_IN_MESSAGE)
            .with_scheduled_delay(SEND_INTERVAL)
            .build();
        let processor = BatchSpanProcessor::builder(counted).with_batch_config(batches).build();
        // Whatever the SDK would read from the environment is set here.
        let provider = SdkTracerProvider::builder()
            .with_span_processor(BoundedProcessor { processor, waiting })
            .with_sampler(Box::new(Roots(sampler(config.sampling))) as Box<dyn ShouldSample>)
            .with_id_generator(Ids(RandomIdGenerator::default()))
            .with_span_limits(SpanLimits::default())
            .with_resource(resource(config))
            .build();
        let layer = tracing_opentelemetry::layer()
            .with_tracer(provider.tracer(env!("CARGO_PKG_NAME")))
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false)
            .with_context_activation(false)
            .with_error_fields_to_exceptions(false)
            .with_error_records_to_exceptions(false)
            .with_error_events_to_exceptions(false)
            .with_error_events_to_status(false)
            // The lines of the log become no events of spans: their texts are not all constant.
            .with_filter(
                filter_fn(|what| what.is_span() && what.target() == TARGET).with_max_level_hint(LevelFilter::INFO),
            );
        are_exported_now();
        Ok((Box::new(layer), Self { provider }))
    }

    /// Sends what waits, for three seconds at most. Later spans are not exported.
    pub async fn end(self) {
        let ended = tokio::task::spawn_blocking(move || self.provider.shutdown_with_timeout(END_TIMEOUT)).await;
        if !matches!(ended, Ok(Ok(()))) {
            tracing::warn!("the collector did not take the last spans of this server");
        }
    }

    /// Sends the collector a message without spans, to find out whether it takes them.
    ///
    /// # Errors
    /// When it does not.
    pub async fn try_collector(config: &OtlpConfig) -> Result<(), ExportError> {
        let answer = Collector::new(config)?.message.send(Bytes::new()).await;
        let status = answer.map_err(|error| ExportError::Unreachable(with_causes(&*error)))?.status();
        if status.is_success() { Ok(()) } else { Err(ExportError::Status(status.as_u16())) }
    }
}

fn resource(config: &OtlpConfig) -> Resource {
    let given = config.resource.iter().map(|(name, value)| KeyValue::new(name.clone(), value.clone()));
    Resource::builder_empty()
        .with_attributes(given)
        .with_service_name(config.service_name.clone())
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .with_attribute(KeyValue::new("service.instance.id", uuid::Uuid::now_v7().to_string()))
        .build()
}

fn sampler(Sampling { follows_caller, share }: Sampling) -> Sampler {
    let by_share = Sampler::TraceIdRatioBased(share);
    if follows_caller { Sampler::ParentBased(Box::new(by_share)) } else { by_share }
}

/// Exports no trace that begins with anything but a request or a job, such as a statement while the
/// server starts.
#[derive(Debug, Clone)]
struct Roots(Sampler);

impl ShouldSample for Roots {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        trace: TraceId,
        name: &str,
        kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        let has_parent = parent.is_some_and(|parent| parent.span().span_context().is_valid());
        let may_begin = *kind == SpanKind::Server || attributes.iter().any(|one| one.key.as_str() == "vault.job");
        if has_parent || may_begin {
            return self.0.should_sample(parent, trace, name, kind, attributes, links);
        }
        SamplingResult { decision: SamplingDecision::Drop, attributes: Vec::new(), trace_state: TraceState::default() }
    }
}

/// Gives a request's span the trace id that the log has; all other ids are random.
#[derive(Debug)]
struct Ids(RandomIdGenerator);

impl IdGenerator for Ids {
    fn new_trace_id(&self) -> TraceId {
        TraceContext::current().map_or_else(|| self.0.new_trace_id(), |current| TraceId::from(current.trace))
    }

    fn new_span_id(&self) -> SpanId {
        self.0.new_span_id()
    }
}

/// Begins a request's span as part of its trace; gives the trace, the span and its flags as exported.
pub(super) fn begin(span: &tracing::Span, trace: &TraceContext) -> Option<(u128, u64, u8)> {
    if span.is_disabled() {
        return None;
    }
    if let Some(parent) = trace.parent {
        // The state is text of the caller's, which is propagated and not exported.
        let caller = SpanContext::new(
            TraceId::from(trace.trace),
            SpanId::from(parent),
            TraceFlags::new(trace.flags),
            true,
            TraceState::default(),
        );
        // It fails for a span that is not exported.
        span.set_parent(Context::new().with_remote_span_context(caller)).ok()?;
    }
    trace.scope(|| ids(span))
}

/// The trace, the id and the flags of a span, if it is one that can be exported.
pub(super) fn ids(span: &tracing::Span) -> Option<(u128, u64, u8)> {
    let context = span.context();
    let context = context.span().span_context().clone();
    let number = |bytes: [u8; 16]| u128::from_be_bytes(bytes);
    context.is_valid().then(|| {
        let span = u64::from_be_bytes(context.span_id().to_bytes());
        (number(context.trace_id().to_bytes()), span, if context.is_sampled() { SAMPLED } else { 0 })
    })
}

/// Hands spans to the batches as long as there is room.
#[derive(Debug)]
struct BoundedProcessor {
    processor: BatchSpanProcessor,
    /// Spans that wait or are being sent.
    waiting: Arc<AtomicUsize>,
}

impl SpanProcessor for BoundedProcessor {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.processor.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= MAX_WAITING {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            dropped(super::QUEUE_FULL, 1);
            return;
        }
        self.processor.on_end(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.processor.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.processor.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.processor.set_resource(resource);
    }
}

/// Counts the spans that the collector does not take.
#[derive(Debug)]
struct CountedExporter {
    exporter: OtlpExporter,
    waiting: Arc<AtomicUsize>,
    /// Whether the last message failed, so that an outage is logged once.
    fails: AtomicBool,
}

impl SpanExporter for CountedExporter {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let count = batch.len();
        let sent = self.exporter.export(batch).await;
        self.waiting.fetch_sub(count, Ordering::Relaxed);
        if sent.is_err() {
            dropped(super::NOT_TAKEN, count as u64);
        }
        match (&sent, self.fails.swap(sent.is_err(), Ordering::Relaxed)) {
            // The text names a status or the kind of failure, nothing of the answer.
            (Err(error), false) => tracing::warn!(%error, "the collector does not take spans; they are dropped"),
            (Ok(()), true) => tracing::info!("the collector takes spans again"),
            (Err(_), true) | (Ok(()), false) => {}
        }
        sent
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

/// Sends messages from the runtime of the server: the batches are sent by a thread outside of it.
#[derive(Debug)]
struct Collector {
    message: Message,
    runtime: Handle,
}

/// What the requests to the collector have in common.
#[derive(Debug, Clone)]
struct Message {
    client: Client,
    url: reqwest::Url,
    headers: HeaderMap,
}

impl Collector {
    fn new(config: &OtlpConfig) -> Result<Self, ExportError> {
        let url = config.collector.url().clone();
        let mut client = Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(REQUEST_TIMEOUT);
        if url.scheme() == "http" {
            // A proxy would see the headers.
            client = client.no_proxy();
        }
        let client = client.build().map_err(|error| ExportError::Client(with_causes(&error)))?;
        let mut headers = config.headers.clone();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("project-vault/", env!("CARGO_PKG_VERSION"))));
        Ok(Self { message: Message { client, url, headers }, runtime: Handle::current() })
    }
}

impl Message {
    async fn send(&self, body: Bytes) -> Result<Response<Bytes>, HttpError> {
        let request = self.client.post(self.url.clone()).headers(self.headers.clone()).body(body);
        let mut answer = request.send().await.map_err(reqwest::Error::without_url)?;
        let (mut body, mut response) = (Vec::new(), Response::new(Bytes::new()));
        *response.status_mut() = answer.status();
        *response.headers_mut() = answer.headers().clone();
        while let Some(chunk) = answer.chunk().await.map_err(reqwest::Error::without_url)? {
            if body.len() + chunk.len() > MAX_ANSWER_BYTES {
                return Err(ResponseBodyTooLarge::new().into());
            }
            body.extend_from_slice(&chunk);
        }
        *response.body_mut() = body.into();
        Ok(response)
    }
}

impl HttpClient for Collector {
    /// Sends the body of `request`. Its headers are not taken: the library reads some from the
    /// environment.
    fn send_bytes<'a, 'b>(&'a self, request: Request<Bytes>) -> BoxFuture<'b, Result<Response<Bytes>, HttpError>>
    where
        'a: 'b,
        Self: 'b,
    {
        let message = self.message.clone();
        let sent = self.runtime.spawn(async move { message.send(request.into_body()).await });
        Box::pin(async move { sent.await? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::{CollectorUrl, ExportedSpan};
    use tracing::Span;
    use tracing_subscriber::layer::SubscriberExt as _;

    /// Runs `test` with the layer of an exporter whose collector is not there.
    fn exporting(share: f64, test: impl FnOnce()) {
        // On a thread of its own, so that it sends while the test waits.
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let _in_runtime = runtime.enter();
        let config = OtlpConfig {
            collector: CollectorUrl::parse("http://127.0.0.1:1", false).unwrap(),
            headers: HeaderMap::new(),
            service_name: "a-test".to_owned(),
            resource: Vec::new(),
            sampling: Sampling { follows_caller: true, share },
        };
        let (layer, _exporter) = Exporter::start(&config).unwrap();
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), test);
    }

    /// What a call made within a request's span propagates, and the request's trace as the log has it.
    fn propagated(traceparent: Option<&str>) -> (String, TraceContext) {
        let span = ExportedSpan::server(&Span::none(), "GET", None);
        let trace = TraceContext::of(traceparent, Some("a=b")).exported_as(&span);
        let within = span.span().in_scope(|| {
            let call = ExportedSpan::http_call("POST", None);
            call.span().in_scope(|| trace.scope(TraceContext::propagated).unwrap())
        });
        assert_eq!(within.state(), trace.state());
        (within.to_string(), trace)
    }

    #[test]
    fn a_call_propagates_the_id_and_the_flag_of_its_exported_span() {
        let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0";
        for (share, given, flag) in [
            (0.0, Some(format!("{parent}1")), "01"),
            (1.0, Some(format!("{parent}0")), "00"),
            (1.0, None, "01"),
            (0.0, None, "00"),
        ] {
            exporting(share, || {
                let (header, trace) = propagated(given.as_deref());
                let parts: Vec<&str> = header.split('-').collect();
                assert_eq!((parts[1], parts[3]), (trace.trace_id().as_str(), flag), "{header}");
                let own = trace.to_string();
                assert!(
                    own.ends_with(flag) && !own.contains(parts[2]),
                    "the call is a span of its own: {own}, {header}"
                );
                assert_eq!(given.is_some(), trace.trace_id() == "4bf92f3577b34da6a3ce929d0e0e4736");
            });
        }
        assert!(TraceContext::propagated().is_none(), "what no request asks for has no trace");
    }

    #[test]
    fn traces_that_begin_here_are_sampled_by_their_ids() {
        exporting(0.25, || {
            let sampled = (0..2_000).filter(|_| propagated(None).0.ends_with("-01")).count();
            assert!((350..650).contains(&sampled), "{sampled} of 2,000");
        });
    }
}
