//! How fast a peer takes what is written for it.

use super::Bounds;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

/// How much a peer has taken of something, and when.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    begun: Instant,
    moved: Instant,
    bytes: u64,
}

impl Pace {
    pub(super) fn begin() -> Self {
        let now = Instant::now();
        Self { begun: now, moved: now, bytes: 0 }
    }

    pub(super) fn advance(&mut self, bytes: usize) {
        self.moved = Instant::now();
        self.bytes = self.bytes.saturating_add(bytes as u64);
    }

    /// Whether the peer has taken nothing for too long, counted from `since` at the earliest.
    pub(super) fn has_stopped(&self, since: Option<Instant>, bounds: &Bounds) -> bool {
        since.map_or(self.moved, |since| since.max(self.moved)).elapsed() > bounds.stall
    }

    /// Whether the peer takes less than the lowest rate, once this time has passed.
    pub(super) fn lags(&self, after: Duration, bounds: &Bounds) -> bool {
        let counted = self.begun.elapsed().saturating_sub(after);
        self.bytes < counted.as_secs().saturating_mul(bounds.rate)
    }
}

/// Whether the socket of a connection takes what is written.
#[derive(Default)]
pub(super) struct Line(Mutex<State>);

#[derive(Default)]
struct State {
    /// Set while the socket is full.
    pace: Option<Pace>,
    /// When the socket was last seen full.
    blocked: Option<Instant>,
}

impl Line {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether something waits to be written.
    pub(super) fn is_blocked(&self) -> bool {
        self.state().pace.is_some()
    }

    /// When something last waited to be written, so that not everything could move.
    pub(super) fn last_blocked(&self) -> Option<Instant> {
        let state = self.state();
        if state.pace.is_some() { Some(Instant::now()) } else { state.blocked }
    }

    /// Whether the peer reads nothing, or too slowly.
    pub(super) fn is_stalled(&self, bounds: &Bounds) -> bool {
        let pace = self.state().pace;
        pace.is_some_and(|pace| pace.has_stopped(None, bounds) || pace.lags(bounds.stall, bounds))
    }

    /// Notes the result of a write of `wanted` bytes.
    fn note(&self, wanted: usize, written: &Poll<io::Result<usize>>) {
        let taken = match written {
            Poll::Ready(Ok(bytes)) => Some(*bytes),
            Poll::Ready(Err(_)) => Some(wanted),
            Poll::Pending => None,
        };
        let mut state = self.state();
        if taken.is_some_and(|taken| taken >= wanted) {
            state.pace = None;
            return;
        }
        state.blocked = Some(Instant::now());
        let pace = state.pace.get_or_insert_with(Pace::begin);
        if let Some(taken) = taken {
            pace.advance(taken);
        }
    }
}

/// A socket that notes on its [`Line`] how it takes what is written.
pub(super) struct Watched<S> {
    socket: S,
    line: Arc<Line>,
}

impl<S> Watched<S> {
    pub(super) fn new(socket: S, line: Arc<Line>) -> Self {
        Self { socket, line }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(cx, into)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write(cx, bytes);
        self.line.note(bytes.len(), &written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write_vectored(cx, parts);
        self.line.note(parts.iter().map(|part| part.len()).sum(), &written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::connections::tests::BOUNDS;
    use tokio::time::sleep;

    const STALL: Duration = Duration::from_millis(100);

    #[tokio::test]
    async fn a_socket_is_full_until_it_takes_a_whole_write() {
        let (line, bounds) = (Line::default(), Bounds { stall: STALL, ..BOUNDS });
        assert_eq!((line.is_blocked(), line.last_blocked()), (false, None));
        line.note(10, &Poll::Ready(Ok(10)));
        assert!(!line.is_blocked());
        line.note(10, &Poll::Ready(Ok(4)));
        line.note(6, &Poll::Pending);
        assert!(line.is_blocked() && !line.is_stalled(&bounds));
        sleep(STALL * 2).await;
        assert!(line.is_stalled(&bounds));
        line.note(6, &Poll::Ready(Ok(1)));
        assert!(!line.is_stalled(&bounds), "it moves");
        assert!(line.last_blocked().unwrap().elapsed() < STALL);
        line.note(5, &Poll::Ready(Ok(5)));
        assert!(!line.is_blocked() && line.last_blocked().is_some());
    }

    #[tokio::test]
    async fn an_answer_stops_when_nothing_moves_though_the_socket_is_free() {
        let bounds = Bounds { stall: STALL, rate: 1_000, ..BOUNDS };
        let mut pace = Pace::begin();
        sleep(STALL * 2).await;
        assert!(pace.has_stopped(None, &bounds));
        assert!(!pace.has_stopped(Some(Instant::now()), &bounds), "the socket was full until now");
        pace.advance(1);
        assert!(!pace.has_stopped(None, &bounds));
        sleep(Duration::from_secs(1)).await;
        assert!(pace.lags(STALL, &bounds) && !pace.lags(Duration::from_secs(10), &bounds));
        pace.advance(10_000);
        assert!(!pace.lags(STALL, &bounds));
    }
}
