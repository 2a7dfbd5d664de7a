//! How fast a peer takes what is written for it.

use super::Bounds;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

/// What a peer has taken of something, and when.
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

    /// Whether the peer has taken nothing for too long, or has taken too little since the
    /// beginning.
    pub(super) fn is_too_slow(&self, bounds: &Bounds) -> bool {
        let now = Instant::now();
        let expected = (now - self.begun).saturating_sub(bounds.stall).as_secs().saturating_mul(bounds.rate);
        now - self.moved > bounds.stall || self.bytes < expected
    }
}

/// Whether the socket of a connection takes what is written.
#[derive(Default)]
pub(super) struct Line(Mutex<Option<Pace>>);

impl Line {
    fn pace(&self) -> MutexGuard<'_, Option<Pace>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether something waits to be written.
    pub(super) fn is_blocked(&self) -> bool {
        self.pace().is_some()
    }

    pub(super) fn is_too_slow(&self, bounds: &Bounds) -> bool {
        self.pace().is_some_and(|pace| pace.is_too_slow(bounds))
    }

    /// Notes what became of a write of so many bytes.
    fn note(&self, wanted: usize, written: &Poll<io::Result<usize>>) {
        let mut pace = self.pace();
        match written {
            Poll::Ready(Ok(bytes)) if *bytes < wanted => pace.get_or_insert_with(Pace::begin).advance(*bytes),
            Poll::Ready(_) => *pace = None,
            Poll::Pending => {
                pace.get_or_insert_with(Pace::begin);
            }
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
