//! Requests and their answers on one connection: which requests run, and whether the peer reads
//! their answers.
//!
//! A request runs from when its body has arrived, or its caller was verified, until the last byte
//! of its answer was handed to the socket. A request that has not arrived does not keep its
//! connection open, and an unread answer closes it.

use super::bounds::Bounds;
use super::permits::{OpenShare, Permit, Permits};
use super::write_progress::{SocketProgress, WriteProgress};
use crate::domain::Principal;
use crate::http::budget::Pressure;
use axum::BoxError;
use axum::body::{Body, HttpBody};
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use parking_lot::Mutex;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, ready};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// Size of the pieces in which an answer is handed to the connection, in bytes. Each written piece
/// shows that the peer reads.
const PIECE: usize = 16 * 1024;
/// Number of open requests per connection that need no permit.
const FREE: usize = 4;

/// The state of a connection's requests.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Requests {
    /// Whether the connection has had a request.
    pub(super) begun: bool,
    pub(super) running: usize,
    /// Whether a body did not arrive in time while all slots were taken.
    pub(super) late: bool,
}

/// The requests and unread answers of one connection.
pub(super) struct ConnectionState {
    pub(super) requests: watch::Sender<Requests>,
    /// Number of requests whose bodies have not arrived.
    arriving: AtomicUsize,
    /// The requests whose answers are being written.
    answered: Mutex<Vec<Weak<Exchange>>>,
    pub(super) socket: Arc<SocketProgress>,
    /// Whether all slots of the address are taken.
    pub(super) full: watch::Receiver<bool>,
    pub(super) bounds: Bounds,
    /// Whether unread answers hold much memory.
    pressure: Pressure,
}

impl ConnectionState {
    pub(super) fn new(
        socket: Arc<SocketProgress>,
        full: watch::Receiver<bool>,
        bounds: Bounds,
        pressure: Pressure,
    ) -> Self {
        let (requests, answered) = (watch::Sender::default(), Mutex::default());
        Self { requests, arriving: AtomicUsize::new(0), answered, socket, full, bounds, pressure }
    }

    /// Whether requests run, or data waits to be written.
    pub(super) fn is_busy(&self) -> bool {
        self.requests.borrow().running > 0 || self.socket.is_blocked()
    }

    /// Whether the bodies of some requests have not arrived.
    pub(super) fn is_receiving(&self) -> bool {
        self.arriving.load(Ordering::Relaxed) > 0
    }

    /// Whether the peer does not read, or too slowly.
    pub(super) fn is_stalled(&self) -> bool {
        let bounds = if self.pressure.is_high() { self.bounds.under_pressure() } else { self.bounds };
        if self.socket.is_stalled(&bounds) {
            return true;
        }
        // While the socket is full, answers wait for each other, so that time does not count.
        let since = self.socket.last_blocked();
        let mut answered = self.answered.lock();
        answered.retain(|exchange| exchange.strong_count() > 0);
        answered.iter().filter_map(Weak::upgrade).any(|exchange| exchange.is_stalled(since, &bounds))
    }
}

/// One request with its answer.
pub(super) struct Exchange {
    state: Arc<ConnectionState>,
    running: AtomicBool,
    /// How the peer reads the answer, once there is one.
    progress: Mutex<Option<WriteProgress>>,
    /// None for one of the requests that need no permit.
    permit: Option<Permit>,
    permits: Permits,
    slow_body: Mutex<Option<OpenShare>>,
}

impl Exchange {
    /// Begins a request. `None` when the connection has used up the requests that need no permit,
    /// and all permits are taken.
    pub(super) fn begin(state: &Arc<ConnectionState>, permits: &Permits) -> Option<Arc<Self>> {
        let open = state.arriving.load(Ordering::Relaxed) + state.requests.borrow().running;
        let permit = if open < FREE { None } else { Some(permits.open()?) };
        state.arriving.fetch_add(1, Ordering::Relaxed);
        state.requests.send_if_modified(|requests| !std::mem::replace(&mut requests.begun, true));
        let (state, running) = (state.clone(), AtomicBool::new(false));
        let (permits, progress, slow_body) = (permits.clone(), Mutex::default(), Mutex::default());
        Some(Arc::new(Self { state, running, progress, permit, permits, slow_body }))
    }

    fn is_running(&self) -> bool {
        self.running.load(Ordering::Relaxed)
    }

    /// Counts the request to the share of all requests without a verified caller, unless it is
    /// counted already. False when that share is used up; the request must not wait for its peer
    /// then.
    pub(super) fn ensure_counted(&self) -> bool {
        self.permit.as_ref().is_none_or(Permit::ensure_counted)
    }

    /// Marks the request as running.
    pub(super) fn run(&self) {
        if !self.running.swap(true, Ordering::Relaxed) {
            self.state.requests.send_modify(|requests| requests.running += 1);
            self.state.arriving.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Marks the answer as begun: the peer has to read it from now on.
    pub(super) fn answer(self: &Arc<Self>) {
        self.run();
        *self.progress.lock() = Some(WriteProgress::begin());
        let mut answered = self.state.answered.lock();
        answered.retain(|exchange| exchange.strong_count() > 0);
        answered.push(Arc::downgrade(self));
    }

    fn wrote(&self, bytes: usize) {
        if let Some(progress) = &mut *self.progress.lock() {
            progress.advance(bytes);
        }
    }

    fn is_stalled(&self, since: Option<Instant>, bounds: &Bounds) -> bool {
        let progress = *self.progress.lock();
        progress.is_some_and(|progress| progress.has_stopped(since, bounds) || progress.lags(bounds.slow, bounds))
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if self.is_running() {
            self.state.requests.send_modify(|requests| requests.running -= 1);
        } else {
            self.state.arriving.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// An open request, for its handler: counts it to the share of its caller, whose body then has the
/// full time to arrive.
#[derive(Clone)]
pub(in crate::http) struct OpenRequest(Arc<Exchange>);

impl OpenRequest {
    pub(super) fn of(exchange: &Arc<Exchange>) -> Self {
        Self(exchange.clone())
    }

    /// Counts the request to the share of all requests without a verified caller, unless it is
    /// counted already. Needed before a request waits.
    ///
    /// # Errors
    /// When that share is used up.
    pub(in crate::http) fn ensure_counted(&self) -> Result<(), NoPermit> {
        if self.0.ensure_counted() { Ok(()) } else { Err(NoPermit) }
    }

    /// Counts the request to the share of its verified caller. Its body then has the full time to
    /// arrive, unless the caller has too many such requests.
    ///
    /// # Errors
    /// When this caller has too many open requests.
    pub(in crate::http) fn count_to(&self, caller: &Principal) -> Result<(), NoPermit> {
        if self.0.permit.as_ref().is_some_and(|permit| !permit.count_to(Some(caller))) {
            return Err(NoPermit);
        }
        let slow_body = self.0.permits.allow_slow_body(caller);
        if slow_body.is_some() {
            self.0.run();
        }
        *self.0.slow_body.lock() = slow_body;
        Ok(())
    }
}

/// Too many requests are open, of this caller or of all that are not verified.
#[derive(Debug, thiserror::Error)]
#[error("too many requests are open")]
pub(in crate::http) struct NoPermit;

type Deadline = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The body of a request. While all slots are taken, reading it fails when it arrives too slowly
/// and the caller is not verified.
pub(super) struct RequestBody<B> {
    body: B,
    exchange: Arc<Exchange>,
    deadline: Deadline,
}

impl<B: HttpBody> RequestBody<B> {
    pub(super) fn new(body: B, exchange: Arc<Exchange>) -> Self {
        if body.is_end_stream() {
            exchange.run();
        }
        let (mut full, at) = (exchange.state.full.clone(), Instant::now() + exchange.state.bounds.body_when_full);
        let deadline = Box::pin(async move {
            // An error means that the address has stopped accepting.
            let _ = full.wait_for(|full| *full).await;
            sleep_until(at).await;
        });
        Self { body, exchange, deadline }
    }
}

impl<B> HttpBody for RequestBody<B>
where
    B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Unpin,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                if self.body.is_end_stream() {
                    self.exchange.run();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(ended) => {
                self.exchange.run();
                Poll::Ready(ended.map(|error| error.map_err(Into::into)))
            }
            Poll::Pending if self.exchange.is_running() => Poll::Pending,
            Poll::Pending if !self.exchange.ensure_counted() => {
                self.exchange.run();
                Poll::Ready(Some(Err(NoPermit.into())))
            }
            Poll::Pending => {
                ready!(self.deadline.as_mut().poll(cx));
                self.exchange.state.requests.send_modify(|requests| requests.late = true);
                self.exchange.run();
                Poll::Ready(Some(Err("the body did not arrive in time".into())))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<B> Drop for RequestBody<B> {
    fn drop(&mut self) {
        // A handler that stops reading the body is about to answer.
        self.exchange.run();
    }
}

/// The body of an answer, in pieces that note when they were written.
pub(super) struct AnswerBody {
    body: Body,
    rest: Bytes,
    exchange: Arc<Exchange>,
}

impl AnswerBody {
    pub(super) fn new(body: Body, exchange: Arc<Exchange>) -> Self {
        Self { body, rest: Bytes::new(), exchange }
    }
}

impl HttpBody for AnswerBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        while self.rest.is_empty() {
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.rest = data,
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                ended => return Poll::Ready(ended),
            }
        }
        let length = self.rest.len().min(PIECE);
        let piece = Piece { bytes: self.rest.split_to(length), exchange: self.exchange.clone() };
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_owner(piece)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (rest, body) = (self.rest.len() as u64, self.body.size_hint());
        let mut hint = SizeHint::new();
        hint.set_lower(body.lower().saturating_add(rest));
        if let Some(upper) = body.upper() {
            hint.set_upper(upper.saturating_add(rest));
        }
        hint
    }
}

/// A piece of an answer; hyper drops it once it is written.
struct Piece {
    bytes: Bytes,
    exchange: Arc<Exchange>,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        self.exchange.wrote(self.bytes.len());
    }
}
