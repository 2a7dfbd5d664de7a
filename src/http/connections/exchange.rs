//! Requests and their answers on one connection: which of them run, and whether their answers are
//! read.
//!
//! A request runs from when its body has arrived, or its caller was verified, until the last byte
//! of its answer was handed to the socket. What has not arrived yet keeps no connection, and what
//! is not read ends it.

use super::Bounds;
use super::pace::{Line, Pace};
use super::permits::{OpenShare, Permit, Permits};
use crate::domain::Principal;
use crate::http::budget::Pressure;
use axum::BoxError;
use axum::body::{Body, HttpBody};
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll, ready};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// Size of the pieces in which an answer is handed to the connection, in bytes. Each piece that is
/// written shows that the peer reads.
const PIECE: usize = 16 * 1024;
/// Number of open requests per connection that need no permit.
const FREE: usize = 4;

/// The requests of a connection that run.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Requests {
    /// Whether there was a request at all.
    pub(super) begun: bool,
    pub(super) running: usize,
    /// Whether the body of one did not arrive in time while slots were taken.
    pub(super) late: bool,
}

/// The traffic of one connection.
pub(super) struct Traffic {
    pub(super) requests: watch::Sender<Requests>,
    /// Requests whose bodies have not arrived.
    arriving: AtomicUsize,
    /// Those that are answered.
    answered: Mutex<Vec<Weak<Exchange>>>,
    pub(super) line: Arc<Line>,
    /// Whether the slots of the address are taken.
    pub(super) full: watch::Receiver<bool>,
    pub(super) bounds: Bounds,
    /// Whether answers that are not read hold much memory.
    pressure: Pressure,
}

impl Traffic {
    pub(super) fn new(line: Arc<Line>, full: watch::Receiver<bool>, bounds: Bounds, pressure: Pressure) -> Self {
        let (requests, answered) = (watch::Sender::default(), Mutex::default());
        Self { requests, arriving: AtomicUsize::new(0), answered, line, full, bounds, pressure }
    }

    /// Whether requests run, or something waits to be written.
    pub(super) fn is_busy(&self) -> bool {
        self.requests.borrow().running > 0 || self.line.is_blocked()
    }

    /// Whether bodies of requests have not arrived.
    pub(super) fn is_receiving(&self) -> bool {
        self.arriving.load(Ordering::Relaxed) > 0
    }

    /// Whether the peer does not read, or too slowly.
    pub(super) fn is_stalled(&self) -> bool {
        let bounds = if self.pressure.is_high() { self.bounds.under_pressure() } else { self.bounds };
        if self.line.is_stalled(&bounds) {
            return true;
        }
        // While the socket is full, answers wait for each other.
        let since = self.line.last_blocked();
        let mut answered = self.answered.lock().unwrap_or_else(PoisonError::into_inner);
        answered.retain(|exchange| exchange.strong_count() > 0);
        answered.iter().filter_map(Weak::upgrade).any(|exchange| exchange.is_stalled(since, &bounds))
    }
}

/// One request with its answer.
pub(super) struct Exchange {
    traffic: Arc<Traffic>,
    running: AtomicBool,
    /// How fast its answer is read.
    pace: Mutex<Option<Pace>>,
    /// None where the connection needs none for it.
    permit: Option<Permit>,
    permits: Permits,
    patient: Mutex<Option<OpenShare>>,
}

impl Exchange {
    /// Begins a request; none when the connection has some already and all permits are taken.
    pub(super) fn begin(traffic: &Arc<Traffic>, permits: &Permits) -> Option<Arc<Self>> {
        let open = traffic.arriving.load(Ordering::Relaxed) + traffic.requests.borrow().running;
        let permit = if open < FREE { None } else { Some(permits.open()?) };
        traffic.arriving.fetch_add(1, Ordering::Relaxed);
        traffic.requests.send_if_modified(|requests| !std::mem::replace(&mut requests.begun, true));
        let (traffic, running) = (traffic.clone(), AtomicBool::new(false));
        let (permits, pace, patient) = (permits.clone(), Mutex::default(), Mutex::default());
        Some(Arc::new(Self { traffic, running, pace, permit, permits, patient }))
    }

    fn is_running(&self) -> bool {
        self.running.load(Ordering::Relaxed)
    }

    /// Whether the request may wait for its peer. While nobody was verified for it, it does so
    /// within the share of all such requests.
    pub(super) fn may_wait(&self) -> bool {
        self.permit.as_ref().is_none_or(Permit::may_wait)
    }

    /// From now on the request runs.
    pub(super) fn run(&self) {
        if !self.running.swap(true, Ordering::Relaxed) {
            self.traffic.requests.send_modify(|requests| requests.running += 1);
            self.traffic.arriving.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// From now on its answer is to be read.
    pub(super) fn answer(self: &Arc<Self>) {
        self.run();
        *self.pace.lock().unwrap_or_else(PoisonError::into_inner) = Some(Pace::begin());
        let mut answered = self.traffic.answered.lock().unwrap_or_else(PoisonError::into_inner);
        answered.retain(|exchange| exchange.strong_count() > 0);
        answered.push(Arc::downgrade(self));
    }

    fn wrote(&self, bytes: usize) {
        if let Some(pace) = &mut *self.pace.lock().unwrap_or_else(PoisonError::into_inner) {
            pace.advance(bytes);
        }
    }

    fn is_stalled(&self, since: Option<Instant>, bounds: &Bounds) -> bool {
        let pace = *self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        pace.is_some_and(|pace| pace.has_stopped(since, bounds) || pace.lags(bounds.slow, bounds))
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if self.is_running() {
            self.traffic.requests.send_modify(|requests| requests.running -= 1);
        } else {
            self.traffic.arriving.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// Lets the handler of a request say that its caller is known, so that its body has all the time
/// that bodies have.
#[derive(Clone)]
pub(in crate::http) struct Admission(Arc<Exchange>);

impl Admission {
    pub(super) fn of(exchange: &Arc<Exchange>) -> Self {
        Self(exchange.clone())
    }

    /// Lets a request wait whose caller is not verified yet.
    ///
    /// # Errors
    /// When too many such requests wait.
    pub(in crate::http) fn wait(&self) -> Result<(), NoPermit> {
        if self.0.may_wait() { Ok(()) } else { Err(NoPermit) }
    }

    /// The caller was verified: the request's body has all the time that bodies have, unless the
    /// caller has many such requests.
    ///
    /// # Errors
    /// When this caller has too many open requests.
    pub(in crate::http) fn count_to(&self, caller: &Principal) -> Result<(), NoPermit> {
        if self.0.permit.as_ref().is_some_and(|permit| !permit.count_to(Some(caller))) {
            return Err(NoPermit);
        }
        let patient = self.0.permits.patient(caller);
        if patient.is_some() {
            self.0.run();
        }
        *self.0.patient.lock().unwrap_or_else(PoisonError::into_inner) = patient;
        Ok(())
    }
}

/// Too many requests of this caller are open, or of callers who are not verified.
#[derive(Debug, thiserror::Error)]
#[error("too many requests are open")]
pub(in crate::http) struct NoPermit;

type Deadline = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The body of a request. While all slots are taken, it fails when it takes too long and its caller
/// is not verified.
pub(super) struct Arriving<B> {
    body: B,
    exchange: Arc<Exchange>,
    deadline: Deadline,
}

impl<B: HttpBody> Arriving<B> {
    pub(super) fn new(body: B, exchange: Arc<Exchange>) -> Self {
        if body.is_end_stream() {
            exchange.run();
        }
        let (mut full, at) = (exchange.traffic.full.clone(), Instant::now() + exchange.traffic.bounds.body_when_full);
        let deadline = Box::pin(async move {
            // The address has stopped accepting when this cannot be told.
            let _ = full.wait_for(|full| *full).await;
            sleep_until(at).await;
        });
        Self { body, exchange, deadline }
    }
}

impl<B> HttpBody for Arriving<B>
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
            Poll::Pending if !self.exchange.may_wait() => {
                self.exchange.run();
                Poll::Ready(Some(Err(NoPermit.into())))
            }
            Poll::Pending => {
                ready!(self.deadline.as_mut().poll(cx));
                self.exchange.traffic.requests.send_modify(|requests| requests.late = true);
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

impl<B> Drop for Arriving<B> {
    fn drop(&mut self) {
        // A handler that stops reading is about to answer.
        self.exchange.run();
    }
}

/// The body of an answer, in pieces that tell when they were written.
pub(super) struct Outgoing {
    body: Body,
    rest: Bytes,
    exchange: Arc<Exchange>,
}

impl Outgoing {
    pub(super) fn new(body: Body, exchange: Arc<Exchange>) -> Self {
        Self { body, rest: Bytes::new(), exchange }
    }
}

impl HttpBody for Outgoing {
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

/// A piece of an answer; it is dropped when it was written.
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
