//! Quick work that no runner was woken for: the caller that added it runs it, or wakes one after all.

use std::future::poll_fn;
use std::task::Poll;
use std::time::{Duration, Instant};

use crate::Pipeline;
use crate::engine::wake::Wake;

use super::{Batch, Queue};

/// A run that takes longer than this on a caller's thread was not as quick as expected.
const QUICK_MAX: Duration = Duration::from_millis(1);

/// After such a run callers do not help for this many times as long: a model that is quick but for now and then, or a machine
/// that interrupts it, so holds up the callers' threads for a tenth of the time at most.
const PAUSE: u32 = 9;

/// The duty to see that what waits is run. Dropped, it wakes a runner, also when the caller has left: others may rely on it.
pub(in crate::engine) struct Call<'a, P: Pipeline> {
    queue: &'a Queue<P>,
    /// Whether it has been seen that nothing waits: what comes later has a call of its own.
    is_done: bool,
}

impl<'a, P: Pipeline> Call<'a, P> {
    pub(super) fn new(queue: &'a Queue<P>) -> Self {
        Self { queue, is_done: false }
    }

    /// Takes a batch to run on this thread; `None` when there is none, or when that is better left to a runner.
    ///
    /// The caller stands in for a runner that sleeps, so that there are never more runs at a time than runners.
    pub fn take(&mut self) -> Option<Batch<P>> {
        let state = self.queue.lock();
        self.is_done = state.waiting.len() == 0;
        if self.is_done {
            return None;
        }
        let now = Instant::now();
        let stands_in = state.roster.busy() < self.queue.limits.runners
            && state.callers_pause.is_none_or(|pause| pause <= now)
            && state.wake(now) == Wake::AfterOthers;
        if stands_in { self.queue.take_waiting(state) } else { None }
    }

    /// Notes how long a run on this thread took.
    pub fn took(&self, time: Duration) {
        if time > QUICK_MAX {
            self.queue.lock().callers_pause = Instant::now().checked_add(time.saturating_mul(PAUSE));
        }
    }
}

impl<P: Pipeline> Drop for Call<'_, P> {
    fn drop(&mut self) {
        if self.is_done {
            return;
        }
        let mut state = self.queue.lock();
        if state.calls(Instant::now()) {
            drop(state);
            self.queue.work.notify_one();
        }
    }
}

/// Lets whatever else is ready on this thread go first, on any executor.
pub(super) async fn others_first() {
    let mut are_through = false;
    poll_fn(|context| {
        if std::mem::replace(&mut are_through, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
