//! Where a statement runs.

use diesel_async::sync_connection_wrapper::SpawnBlocking;
use futures::FutureExt as _;
use futures::future::{BoxFuture, ready};
use std::error::Error;

/// Where the statements of a connection run. None is handed to another thread: the hand-over takes
/// longer than most statements do.
///
/// # Panics
/// [`Self::InPlace`] panics in a runtime with one thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Execution {
    /// On the thread of the request, for statements that read few rows by an index: microseconds.
    Here,
    /// On the same thread, whose other tasks go to another one meanwhile: for statements that take
    /// long, wait for a lock, or commit.
    InPlace,
}

impl SpawnBlocking for Execution {
    fn spawn_blocking<'a, R>(
        &mut self,
        task: impl FnOnce() -> R + Send + 'static,
    ) -> BoxFuture<'a, Result<R, Box<dyn Error + Send + Sync>>>
    where
        R: Send + 'static,
    {
        match self {
            Self::Here => ready(Ok(task())).boxed(),
            Self::InPlace => {
                let result = tokio::task::block_in_place(task);
                // A change of many statements lets others run between them, and can be cancelled
                // there.
                async {
                    tokio::task::yield_now().await;
                    Ok(result)
                }
                .boxed()
            }
        }
    }

    fn get_runtime() -> Self {
        Self::InPlace
    }
}
