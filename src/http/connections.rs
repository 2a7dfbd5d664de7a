//! The connections of one address: accepts them while there are free slots, and closes each of them
//! in the end.
//!
//! A client can keep an HTTP/2 connection open for ever with pings alone, and an HTTP/1 connection
//! with a request now and then. Enough of these would lock out everybody else, health checks too.
//! So an idle connection is closed after a while, and sooner when others wait for its slot. Every
//! connection is closed at a maximum age, even while requests run on it: first by GOAWAY or after
//! the next answer, so that clients lose nothing, and by force if the client ignores that.
//!
//! A request runs from when its body has arrived until its answer has been written (`exchange`). A
//! peer that does not read its answers holds their memory; over HTTP/2 it can refuse an answer
//! while the connection itself stays fast. So both each answer and the socket are watched
//! (`write_progress`), and a connection that makes no or too little progress is closed.

mod bounds;
mod exchange;
mod permits;
#[cfg(test)]
mod tests;
mod write_progress;

use super::budget::Pressure;
use crate::domain::RequestId;
use axum::body::{Body, HttpBody};
use axum::{BoxError, Router};
use axum_server::accept::Accept as _;
use axum_server::tls_rustls::RustlsAcceptor;
pub(super) use bounds::Bounds;
use bytes::Bytes;
use exchange::{AnswerBody, ConnectionState, Exchange, RequestBody, Requests};
pub(super) use exchange::{NoPermit, OpenRequest};
use futures::future::pending;
use http::header::{AUTHORIZATION, CACHE_CONTROL, RETRY_AFTER};
use http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
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
use write_progress::{ObservedSocket, SocketProgress};

/// Maximum number of concurrent requests on one HTTP/2 connection.
const MAX_STREAMS: u32 = 100;
/// Maximum size of a request's headers, in bytes: room for a query string and a token. It also
/// bounds the number of CONTINUATION frames.
const MAX_HEADER_BYTES: u32 = 64 * 1024;
/// Maximum number of header fields of a request; hyper enforces the same for HTTP/1. Over HTTP/2 a
/// field of one byte on the wire can take a hundred bytes of memory.
const MAX_HEADERS: usize = 100;
/// Bytes that an HTTP/1 connection buffers, of requests with their headers, and of answers that are
/// not written yet.
const MAX_BUFFER: usize = 64 * 1024;
/// Bytes of one stream's answer that an HTTP/2 connection buffers.
const MAX_SEND_BUFFER: usize = 64 * 1024;
/// Bytes that a peer may send on an HTTP/2 stream before the server reads them.
const STREAM_WINDOW: u32 = 64 * 1024;
/// The same on all streams of a connection.
const CONNECTION_WINDOW: u32 = 256 * 1024;
/// Number of streams that a peer may reset before the server has accepted them ("rapid reset",
/// CVE-2023-44487); with more, the connection is closed.
const MAX_RESETS: usize = 20;
/// Number of streams that the server may reset for protocol errors of the peer; with more, the
/// connection is closed.
const MAX_FAULTS: usize = 100;
/// Size of a socket's send buffer, in bytes; Linux doubles it.
const SOCKET_BUFFER: usize = 64 * 1024;
/// How long the operating system tries to send unacknowledged data, also after the connection was
/// closed, in milliseconds.
#[cfg(target_os = "linux")]
const SOCKET_TIMEOUT: u32 = 30_000;
/// Pause after a failed accept, for example with too many open files.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(50);

/// Why a connection is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// It is idle or too old, or the server stops.
    Orderly,
    /// The peer does not read its answers.
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

/// Serves HTTP/1 and HTTP/2 on one address, with TLS where `tls` is given, until `stop` is
/// cancelled; then finishes the running requests and returns.
///
/// Each connection may have four open requests; every further one takes one of `permits`, which the
/// addresses of a process share. Requests without a verified caller share one caller's part of them
/// while they wait for their body or for the peer to read.
///
/// # Errors
/// When the socket cannot be configured.
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
    // Accepted sockets inherit these options.
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
            set_full(&full, slots.available_permits() == 0);
            let Ok(slot) = slots.clone().acquire_owned().await else { return };
            set_full(&full, false);
            let Ok((stream, _)) = listener.accept().await else {
                sleep(ACCEPT_RETRY_DELAY).await;
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
        let socket = Arc::new(SocketProgress::default());
        let stream = ObservedSocket::new(stream, socket.clone());
        let state = Arc::new(ConnectionState::new(socket, full.clone(), self.bounds, self.pressure.clone()));
        let Some(tls) = &self.tls else { return self.connection(stream, state).await };
        let accepted = tokio::select! {
            // The acceptor has a handshake timeout of its own.
            accepted = tls.accept(stream, ()) => accepted,
            () = full_for(full, self.bounds.when_full) => return,
            () = self.stop.cancelled() => return,
        };
        if let Ok((stream, _)) = accepted {
            self.connection(stream, state).await;
        }
    }

    async fn connection<I>(&self, stream: I, state: Arc<ConnectionState>)
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (router, permits, requests) = (self.router.clone(), self.permits.clone(), state.clone());
        let service = service_fn(move |request: Request<_>| {
            // Not in the returned future: a refused request must not keep its headers in memory
            // until that is polled.
            let accepted = accept(request, || Exchange::begin(&requests, &permits));
            answer(router.clone(), accepted)
        });
        let mut serving = pin!(self.builder.serve_connection(TokioIo::new(stream), service));
        let end = tokio::select! {
            // Errors of a connection concern its client only.
            _ = serving.as_mut() => return,
            end = until_end(&state) => end,
            () = self.stop.cancelled() => End::Orderly,
        };
        serving.as_mut().graceful_shutdown();
        let grace = match end {
            End::Orderly => self.bounds.grace,
            End::Stalled => self.bounds.linger,
        };
        tokio::select! {
            _ = serving => {}
            _ = timeout(grace, until_idle(&state)) => {}
        }
    }
}

/// Accepts a request and gives it with its exchange.
///
/// # Errors
/// The status to refuse it with: it has too many header fields, or too many requests are open.
fn accept<B>(
    request: Request<B>,
    begin: impl FnOnce() -> Option<Arc<Exchange>>,
) -> Result<(Request<B>, Arc<Exchange>), StatusCode> {
    if request.headers().len() > MAX_HEADERS {
        return Err(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    }
    let exchange = begin().ok_or(StatusCode::SERVICE_UNAVAILABLE)?;
    // Without the header, no caller will be verified.
    if !request.headers().contains_key(AUTHORIZATION) && !exchange.ensure_counted() {
        return Err(StatusCode::SERVICE_UNAVAILABLE);
    }
    Ok((request, exchange))
}

/// Answers an accepted request, or refuses it with the status given.
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
    let mut request = request.map(|body| Body::new(RequestBody::new(body, exchange.clone())));
    request.extensions_mut().insert(OpenRequest::of(&exchange));
    let response = router.oneshot(request).await?;
    if !exchange.ensure_counted() {
        return Ok(empty(StatusCode::SERVICE_UNAVAILABLE));
    }
    exchange.answer();
    Ok(response.map(|body| Body::new(AnswerBody::new(body, exchange))))
}

/// A refusal without a body, so that the peer cannot leave it unread.
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

/// Tells the connections whether all slots are taken; wakes them on a change only.
fn set_full(full: &watch::Sender<bool>, now: bool) {
    full.send_if_modified(|full| std::mem::replace(full, now) != now);
}

/// Waits until all slots are taken, and then for `time`.
async fn full_for(mut full: watch::Receiver<bool>, time: Duration) {
    // An error means that the address has stopped accepting.
    let _ = full.wait_for(|full| *full).await;
    sleep(time).await;
}

/// Waits until the connection has to be closed; gives the reason.
async fn until_end(state: &ConnectionState) -> End {
    let ConnectionState { bounds, requests, full, .. } = state;
    let mut requests = requests.subscribe();
    let mut aged = pin!(sleep(bounds.age));
    loop {
        let Requests { begun, late, .. } = *requests.borrow_and_update();
        if state.is_stalled() {
            return End::Stalled;
        }
        if late {
            return End::Orderly;
        }
        let busy = state.is_busy();
        let look = async { if busy { sleep(bounds.tick()).await } else { pending().await } };
        let idle = async {
            if busy {
                return pending().await;
            }
            let crowded = async {
                full_for(full.clone(), bounds.when_full).await;
                if state.is_receiving() {
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

/// Waits until nothing has run on a closing connection for the time it may linger, or until its
/// peer stops reading.
async fn until_idle(state: &ConnectionState) {
    let mut requests = state.requests.subscribe();
    while !state.is_stalled() {
        requests.borrow_and_update();
        let busy = state.is_busy();
        tokio::select! {
            () = sleep(if busy { state.bounds.tick() } else { state.bounds.linger }) => if !busy { return },
            _ = requests.changed() => {}
        }
    }
}
