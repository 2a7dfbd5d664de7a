//! Runs the loads of data loaders when the operation is idle.
//!
//! A loader collects the keys of all fields that are resolved concurrently. A timer cannot tell
//! when it has them all: on a busy processor it would split one batch into several. So loads run on
//! the operation's own task, in rounds. A round starts when every field waits for a load; loads
//! requested during a round run in the next one.

use async_graphql::runtime::Timer;
use futures::future::{BoxFuture, ready};
use futures::stream::{FuturesUnordered, StreamExt as _};
use futures::task::{FutureObj, Spawn, SpawnError};
use parking_lot::Mutex;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

type Load = FutureObj<'static, ()>;

/// The loads of the next round. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct PendingLoads(Arc<Mutex<Vec<Load>>>);

impl PendingLoads {
    fn take(&self) -> Vec<Load> {
        std::mem::take(&mut self.0.lock())
    }
}

impl Spawn for PendingLoads {
    fn spawn_obj(&self, load: Load) -> Result<(), SpawnError> {
        self.0.lock().push(load);
        Ok(())
    }
}

/// The timer of loaders, which wait for their round instead of a time.
pub(super) struct NoDelay;

impl Timer for NoDelay {
    fn delay(&self, _: Duration) -> BoxFuture<'static, ()> {
        Box::pin(ready(()))
    }
}

/// Whether a future woke itself while it was polled: then it is not idle yet.
struct WakeFlag {
    woken: AtomicBool,
    task: Waker,
}

impl Wake for WakeFlag {
    fn wake(self: Arc<Self>) {
        self.woken.store(true, Ordering::SeqCst);
        self.task.wake_by_ref();
    }
}

/// Runs an operation and, whenever it is idle, the loads that its fields wait for.
pub(super) async fn run_with_loads<T>(operation: impl Future<Output = T>, loads: &PendingLoads) -> T {
    let mut operation = pin!(operation);
    let mut round = FuturesUnordered::new();
    std::future::poll_fn(|cx| {
        loop {
            let wake_flag = Arc::new(WakeFlag { woken: AtomicBool::new(false), task: cx.waker().clone() });
            let polled = operation.as_mut().poll(&mut Context::from_waker(&wake_flag.clone().into()));
            if polled.is_ready() || wake_flag.woken.load(Ordering::SeqCst) {
                return polled;
            }
            if round.is_empty() {
                round.extend(loads.take());
            }
            if round.is_empty() {
                return Poll::Pending;
            }
            while !round.is_empty() {
                if round.poll_next_unpin(cx).is_pending() {
                    return Poll::Pending;
                }
            }
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_graphql::dataloader::{DataLoader, HashMapCache, Loader};
    use futures::future::join_all;
    use std::collections::HashMap;

    #[derive(Clone, Default)]
    struct Counted(Arc<Mutex<Vec<usize>>>);

    impl Loader<usize> for Counted {
        type Value = usize;
        type Error = ();

        async fn load(&self, keys: &[usize]) -> Result<HashMap<usize, usize>, ()> {
            self.0.lock().push(keys.len());
            tokio::time::sleep(Duration::from_millis(1)).await;
            Ok(keys.iter().map(|key| (*key, *key)).collect())
        }
    }

    /// Yields to the scheduler so many times.
    async fn dawdle(times: usize) {
        for _ in 0..times {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn what_is_asked_side_by_side_is_asked_at_once_however_slow_it_is() {
        let loads = PendingLoads::default();
        let counted = Counted::default();
        let loader = DataLoader::with_cache(counted.clone(), loads.clone(), NoDelay, HashMapCache::default());
        let operation = join_all((0..100).map(async |n| {
            std::thread::sleep(Duration::from_micros(200));
            let first = loader.load_one(n).await.unwrap().unwrap();
            join_all((0..40).map(async |m| loader.load_one(1_000 + (first + m) % 70).await)).await.len()
        }));
        assert_eq!(run_with_loads(operation, &loads).await, vec![40; 100]);
        assert_eq!(*counted.0.lock(), [100, 70]);
    }

    #[tokio::test]
    async fn an_operation_that_gave_way_is_not_waiting() {
        let loads = PendingLoads::default();
        let counted = Counted::default();
        let loader = DataLoader::with_cache(counted.clone(), loads.clone(), NoDelay, HashMapCache::default());
        let loader = &loader;
        let operation = join_all((0..60).map(async |n| {
            std::future::poll_fn(|cx| {
                // Nothing is ready before the operation was polled once more.
                cx.waker().wake_by_ref();
                Poll::Ready(())
            })
            .await;
            loader.load_one(n).await.unwrap()
        }));
        run_with_loads(operation, &loads).await;
        assert_eq!(*counted.0.lock(), [60]);
        // An operation that drops its loads ends too.
        let abandoned = async {
            let _ = futures::poll!(std::pin::pin!(loader.load_one(1_000)));
            dawdle(3).await;
            7
        };
        assert_eq!(run_with_loads(abandoned, &loads).await, 7);
    }
}
