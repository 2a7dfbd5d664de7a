//! How fast a peer reads what the server writes.

use super::bounds::Bounds;
use parking_lot::{Mutex, MutexGuard};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

/// How much a peer has read of something, and when it last read.
#[derive(Debug, Clone, Copy)]
pub(super) struct WriteProgress {
    begun: Instant,
    moved: Instant,
    bytes: u64,
}

impl WriteProgress {
    pub(super) fn begin() -> Self {
        let now = Instant::now();
        Self { begun: now, moved: now, bytes: 0 }
    }

    pub(super) fn advance(&mut self, bytes: usize) {
        self.moved = Instant::now();
        self.bytes = self.bytes.saturating_add(bytes as u64);
    }

    /// Whether the peer has read nothing for longer than `bounds.stall`, counted from `since` at
    /// the earliest.
    pub(super) fn has_stopped(&self, since: Option<Instant>, bounds: &Bounds) -> bool {
        since.map_or(self.moved, |since| since.max(self.moved)).elapsed() > bounds.stall
    }

    /// Whether the peer reads more slowly than `bounds.rate`; the time `after` at the beginning
    /// does not count.
    pub(super) fn lags(&self, after: Duration, bounds: &Bounds) -> bool {
        let counted = self.begun.elapsed().saturating_sub(after);
        self.bytes < counted.as_secs().saturating_mul(bounds.rate)
    }
}

/// How a connection's socket takes what is written.
#[derive(Default)]
pub(super) struct SocketProgress(Mutex<State>);

#[derive(Default)]
struct State {
    /// Set while the socket is full.
    progress: Option<WriteProgress>,
    /// When the socket was last seen full.
    blocked: Option<Instant>,
}

impl SocketProgress {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock()
    }

    /// Whether data waits to be written.
    pub(super) fn is_blocked(&self) -> bool {
        self.state().progress.is_some()
    }

    /// When data last waited to be written.
    pub(super) fn last_blocked(&self) -> Option<Instant> {
        let state = self.state();
        if state.progress.is_some() { Some(Instant::now()) } else { state.blocked }
    }

    /// Whether the socket is full because the peer reads nothing or too slowly.
    pub(super) fn is_stalled(&self, bounds: &Bounds) -> bool {
        let progress = self.state().progress;
        progress.is_some_and(|progress| progress.has_stopped(None, bounds) || progress.lags(bounds.stall, bounds))
    }

    /// Notes the result of writing `wanted` bytes.
    fn note(&self, wanted: usize, written: &Poll<io::Result<usize>>) {
        let taken = match written {
            Poll::Ready(Ok(bytes)) => Some(*bytes),
            Poll::Ready(Err(_)) => Some(wanted),
            Poll::Pending => None,
        };
        let mut state = self.state();
        if taken.is_some_and(|taken| taken >= wanted) {
            state.progress = None;
            return;
        }
        state.blocked = Some(Instant::now());
        let progress = state.progress.get_or_insert_with(WriteProgress::begin);
        if let Some(taken) = taken {
            progress.advance(taken);
        }
    }
}

/// A socket that notes every write on its [`SocketProgress`].
pub(super) struct ObservedSocket<S> {
    socket: S,
    progress: Arc<SocketProgress>,
}

impl<S> ObservedSocket<S> {
    pub(super) fn new(socket: S, progress: Arc<SocketProgress>) -> Self {
        Self { socket, progress }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for ObservedSocket<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(cx, into)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for ObservedSocket<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write(cx, bytes);
        self.progress.note(bytes.len(), &written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write_vectored(cx, parts);
        self.progress.note(parts.iter().map(|part| part.len()).sum(), &written);
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
        let (socket, bounds) = (SocketProgress::default(), Bounds { stall: STALL, ..BOUNDS });
        assert_eq!((socket.is_blocked(), socket.last_blocked()), (false, None));
        socket.note(10, &Poll::Ready(Ok(10)));
        assert!(!socket.is_blocked());
        socket.note(10, &Poll::Ready(Ok(4)));
        socket.note(6, &Poll::Pending);
        assert!(socket.is_blocked() && !socket.is_stalled(&bounds));
        sleep(STALL * 2).await;
        assert!(socket.is_stalled(&bounds));
        socket.note(6, &Poll::Ready(Ok(1)));
        assert!(!socket.is_stalled(&bounds), "it moves");
        assert!(socket.last_blocked().unwrap().elapsed() < STALL);
        socket.note(5, &Poll::Ready(Ok(5)));
        assert!(!socket.is_blocked() && socket.last_blocked().is_some());
    }

    #[tokio::test]
    async fn an_answer_stops_when_nothing_moves_though_the_socket_is_free() {
        let bounds = Bounds { stall: STALL, rate: 1_000, ..BOUNDS };
        let mut progress = WriteProgress::begin();
        sleep(STALL * 2).await;
        assert!(progress.has_stopped(None, &bounds));
        assert!(!progress.has_stopped(Some(Instant::now()), &bounds), "the socket was full until now");
        progress.advance(1);
        assert!(!progress.has_stopped(None, &bounds));
        sleep(Duration::from_secs(1)).await;
        assert!(progress.lags(STALL, &bounds) && !progress.lags(Duration::from_secs(10), &bounds));
        progress.advance(10_000);
        assert!(!progress.lags(STALL, &bounds));
    }
}
