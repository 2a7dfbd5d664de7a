//! The connections of one address: accepted while there are slots, and each of them ends.
//!
//! A client keeps a connection of HTTP/2 for ever with pings alone, and one of HTTP/1 with a
//! request now and then; enough of them would lock everybody else out, those who ask for `/healthz`
//! as well. So a connection on which no request runs ends after a while, after a short while when
//! others wait for its slot, and every connection ends at an age, whatever runs on it: by GOAWAY or
//! after the next answer, so that clients lose nothing, and cut off if they do not care.
//!
//! A request runs once its body has arrived and until its answer was written (`exchange`). A peer
//! that does not read its answers holds their memory; by HTTP/2 it may refuse to take a byte
//! without the connection being any slower. So each answer is watched, as the socket is (`pace`),
//! and a connection on which nothing moves, or too little, is closed.

mod exchange;
mod pace;
mod permits;
#[cfg(test)]
mod tests;

use super::budget::Pressure;
use crate::domain::RequestId;
use axum::body::{Body, HttpBody};
use axum::{BoxError, Router};
use axum_server::accept::Accept as _;
use axum_server::tls_rustls::RustlsAcceptor;
use bytes::Bytes;
pub(super) use exchange::{Admission, NoPermit};
use exchange::{Arriving, Exchange, Outgoing, Requests, Traffic};
use futures::future::pending;
use http::header::{AUTHORIZATION, CACHE_CONTROL, RETRY_AFTER};
use http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use pace::{Line, Watched};
pub(super) use permits::Permits;
use std::convert::Infallible;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

/// Maximum number of requests on one connection of HTTP/2 at once.
const MAX_STREAMS: u32 = 100;
/// The largest headers of a request, in bytes: a query string and a token. By it the number of
/// CONTINUATION frames is bounded.
const MAX_HEADER_BYTES: u32 = 64 * 1024;
/// Maximum number of header fields of a request, as hyper has it for HTTP/1. By HTTP/2 a field can
/// take one byte of what is sent and a hundred of memory.
const MAX_HEADERS: usize = 100;
/// Bytes of requests that a connection of HTTP/1 buffers, their headers included, and of answers
/// that it has not written.
const MAX_BUFFER: usize = 64 * 1024;
/// Bytes of a stream's answer that a connection of HTTP/2 buffers.
const MAX_SEND_BUFFER: usize = 64 * 1024;
/// Bytes that a peer may send on a stream of HTTP/2 before they are read.
const STREAM_WINDOW: u32 = 64 * 1024;
/// The same on all streams of a connection.
const CONNECTION_WINDOW: u32 = 256 * 1024;
/// Streams that a peer opened and reset before they were looked at, until the connection is closed
/// ("rapid reset", CVE-2023-44487).
const MAX_RESETS: usize = 20;
/// Streams that were reset for a fault of the peer's, until the connection is closed.
const MAX_FAULTS: usize = 100;
/// Bytes that the operating system keeps of what a peer has not acknowledged; Linux takes twice as
/// much.
const SOCKET_BUFFER: usize = 64 * 1024;
/// How long the operating system tries to send what a peer does not take, after the connection was
/// closed too, in milliseconds.
#[cfg(target_os = "linux")]
const SOCKET_TIMEOUT: u32 = 30_000;
/// How long nothing is accepted after an error of accepting, such as too many open files.
const PAUSE: Duration = Duration::from_millis(50);

/// The bounds of connections.
#[derive(Clone, Copy)]
pub(super) struct Bounds {
    /// Maximum number of connections; more wait to be accepted.
    pub(super) slots: usize,
    /// How long a connection may take to send its first request's headers.
    pub(super) first_request: Duration,
    /// The same for later ones, the time in between included.
    pub(super) next_request: Duration,
    /// The same while others wait for a slot.
    pub(super) when_full: Duration,
    /// How long the body of a request may take whose caller is not verified, while others wait for
    /// a slot.
    pub(super) body_when_full: Duration,
    /// How long a peer may take nothing of an answer.
    pub(super) stall: Duration,
    /// The same, and the time of `slow`, while answers that are not read hold much memory.
    pub(super) stall_under_pressure: Duration,
    /// The lowest rate at which a peer takes what is written, in bytes a second: from the time of
    /// `stall` on where the socket is full, and from the time of `slow` on for each answer.
    pub(super) rate: u64,
    /// How long an answer may be taken more slowly.
    pub(super) slow: Duration,
    /// The longest a connection is kept.
    pub(super) age: Duration,
    /// How long what runs on a connection that ends may take to finish.
    pub(super) grace: Duration,
    /// How long a connection that ends is kept while nothing runs on it, so that its peer can end
    /// it.
    pub(super) linger: Duration,
}

impl Bounds {
    fn under_pressure(self) -> Self {
        let stall = self.stall.min(self.stall_under_pressure);
        Self { stall, slow: self.slow.min(stall), ..self }
    }

    /// How often it is looked whether a peer reads.
    fn tick(&self) -> Duration {
        (self.stall / 4).min(Duration::from_secs(1))
    }
}

/// Why a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// It is idle, or old, or the server stops.
    Orderly,
    /// Its peer does not read.
    Stalled,
}

/// The state that all connections of an address share.
struct Address {
    router: Router,
    tls: Option<RustlsAcceptor>,
    builder: Builder<TokioExecutor>,
    bounds: Bounds,
    permits: Permits,
    pressure: Pressure,
    stop: CancellationToken,
}

/// Serves one address until it is to stop, and what runs then to its end: HTTP/1 and HTTP/2, with
/// TLS and without. A connection takes one of `permits` for each request that is open beside four
/// others; all addresses of a process share them. Requests that nobody was verified for have one
/// caller's share of them while they wait, for a body or for a peer that reads.
///
/// # Errors
/// When the socket cannot be used.
pub(super) async fn serve(
    socket: std::net::TcpListener,
    tls: Option<RustlsAcceptor>,
    router: Router,
    bounds: Bounds,
    permits: Permits,
    pressure: Pressure,
    stop: CancellationToken,
) -> io::Result<()> {
    socket.set_nonblocking(true)?;
    // Accepted sockets take over what is set here.
    rustix::net::sockopt::set_socket_send_buffer_size(&socket, SOCKET_BUFFER)?;
    #[cfg(target_os = "linux")]
    rustix::net::sockopt::set_tcp_user_timeout(&socket, SOCKET_TIMEOUT)?;
    let listener = TcpListener::from_std(socket)?;
    let address = Arc::new(Address { router, tls, builder: builder(), bounds, permits, pressure, stop: stop.clone() });
    let connections = TaskTracker::new();
    stop.run_until_cancelled(address.accept(&listener, &connections)).await;
    // New connections are refused from here on.
    drop(listener);
    connections.close();
    connections.wait().await;
    Ok(())
}

fn builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().max_buf_size(MAX_BUFFER);
    builder
        .http2()
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEADER_BYTES)
        .max_send_buf_size(MAX_SEND_BUFFER)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_pending_accept_reset_streams(MAX_RESETS)
        .max_local_error_reset_streams(MAX_FAULTS);
    builder
}

impl Address {
    async fn accept(self: &Arc<Self>, listener: &TcpListener, connections: &TaskTracker) {
        let slots = Arc::new(Semaphore::new(self.bounds.slots));
        let full = watch::Sender::new(false);
        loop {
            tell(&full, slots.available_permits() == 0);
            let Ok(slot) = slots.clone().acquire_owned().await else { return };
            tell(&full, false);
            let Ok((stream, _)) = listener.accept().await else {
                sleep(PAUSE).await;
                continue;
            };
            let (address, full) = (self.clone(), full.subscribe());
            connections.spawn(async move {
                address.shake_hands(stream, full).await;
                drop(slot);
            });
        }
    }

    async fn shake_hands(&self, stream: TcpStream, full: watch::Receiver<bool>) {
        let line = Arc::new(Line::default());
        let stream = Watched::new(stream, line.clone());
        let traffic = Arc::new(Traffic::new(line, full.clone(), self.bounds, self.pressure.clone()));
        let Some(tls) = &self.tls else { return self.connection(stream, traffic).await };
        let accepted = tokio::select! {
            // It has a time of its own, after which it fails.
            accepted = tls.accept(stream, ()) => accepted,
            () = crowded(full, self.bounds.when_full) => return,
            () = self.stop.cancelled() => return,
        };
        if let Ok((stream, _)) = accepted {
            self.connection(stream, traffic).await;
        }
    }

    async fn connection<I>(&self, stream: I, traffic: Arc<Traffic>)
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (router, permits, requests) = (self.router.clone(), self.permits.clone(), traffic.clone());
        let service = service_fn(move |request: Request<_>| {
            // Here, and not in the future that is returned: what is refused must not wait for its
            // turn with all its headers.
            let accepted = accept(request, || Exchange::begin(&requests, &permits));
            answer(router.clone(), accepted)
        });
        let mut serving = pin!(self.builder.serve_connection(TokioIo::new(stream), service));
        let end = tokio::select! {
            // A broken connection is its client's concern.
            _ = serving.as_mut() => return,
            end = over(&traffic) => end,
            () = self.stop.cancelled() => End::Orderly,
        };
        serving.as_mut().graceful_shutdown();
        let grace = match end {
            End::Orderly => self.bounds.grace,
            End::Stalled => self.bounds.linger,
        };
        tokio::select! {
            _ = serving => {}
            _ = timeout(grace, quiet(&traffic)) => {}
        }
    }
}

/// A request with its exchange; the status of the refusal where it has too many header fields, or
/// too many requests are open.
fn accept<B>(
    request: Request<B>,
    begin: impl FnOnce() -> Option<Arc<Exchange>>,
) -> Result<(Request<B>, Arc<Exchange>), StatusCode> {
    if request.headers().len() > MAX_HEADERS {
        return Err(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    }
    let exchange = begin().ok_or(StatusCode::SERVICE_UNAVAILABLE)?;
    // Nobody will be verified for it.
    if !request.headers().contains_key(AUTHORIZATION) && !exchange.may_wait() {
        return Err(StatusCode::SERVICE_UNAVAILABLE);
    }
    Ok((request, exchange))
}

/// Answers a request that was accepted, or refuses it with this status.
async fn answer<B>(
    router: Router,
    accepted: Result<(Request<B>, Arc<Exchange>), StatusCode>,
) -> Result<Response<Body>, Infallible>
where
    B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Unpin + Send + 'static,
{
    let (request, exchange) = match accepted {
        Ok(accepted) => accepted,
        Err(status) => return Ok(empty(status)),
    };
    let mut request = request.map(|body| Body::new(Arriving::new(body, exchange.clone())));
    request.extensions_mut().insert(Admission::of(&exchange));
    let response = router.oneshot(request).await?;
    if !exchange.may_wait() {
        return Ok(empty(StatusCode::SERVICE_UNAVAILABLE));
    }
    exchange.answer();
    Ok(response.map(|body| Body::new(Outgoing::new(body, exchange))))
}

/// A refusal without a body, so that nothing of it can be left unread.
fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    if status == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Ok(id) = HeaderValue::from_str(RequestId::new().as_str()) {
        headers.insert(HeaderName::from_static("x-request-id"), id);
    }
    response
}

/// Wakes the connections only when it changes.
fn tell(full: &watch::Sender<bool>, now: bool) {
    full.send_if_modified(|full| std::mem::replace(full, now) != now);
}

/// Waits until all slots are taken, and then for this time.
async fn crowded(mut full: watch::Receiver<bool>, time: Duration) {
    // The address has stopped accepting when this cannot be told.
    let _ = full.wait_for(|full| *full).await;
    sleep(time).await;
}

/// Waits until a connection has to end.
async fn over(traffic: &Traffic) -> End {
    let Traffic { bounds, requests, full, .. } = traffic;
    let mut requests = requests.subscribe();
    let mut aged = pin!(sleep(bounds.age));
    loop {
        let Requests { begun, late, .. } = *requests.borrow_and_update();
        if traffic.is_stalled() {
            return End::Stalled;
        }
        if late {
            return End::Orderly;
        }
        let busy = traffic.is_busy();
        let look = async { if busy { sleep(bounds.tick()).await } else { pending().await } };
        let idle = async {
            if busy {
                return pending().await;
            }
            let crowded = async {
                crowded(full.clone(), bounds.when_full).await;
                if traffic.is_receiving() {
                    sleep(bounds.body_when_full.saturating_sub(bounds.when_full)).await;
                }
            };
            tokio::select! {
                () = sleep(if begun { bounds.next_request } else { bounds.first_request }) => {}
                () = crowded => {}
            }
        };
        tokio::select! {
            () = &mut aged => return End::Orderly,
            () = idle => return End::Orderly,
            () = look => {}
            changed = requests.changed() => if changed.is_err() { return End::Orderly },
        }
    }
}

/// Waits until nothing has run on a connection that ends for the time it may linger, or its peer
/// does not read.
async fn quiet(traffic: &Traffic) {
    let mut requests = traffic.requests.subscribe();
    while !traffic.is_stalled() {
        requests.borrow_and_update();
        let busy = traffic.is_busy();
        tokio::select! {
            () = sleep(if busy { traffic.bounds.tick() } else { traffic.bounds.linger }) => if !busy { return },
            _ = requests.changed() => {}
        }
    }
}
