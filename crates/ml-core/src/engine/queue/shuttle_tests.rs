//! The queue under a model checker: callers, runners and a closing hand, in thousands of random interleavings.
//!
//! Run with `cargo test -p ml-core --features shuttle --lib shuttle`. The checker switches between tasks where one locks,
//! waits or is woken, and fails when all of them sleep, which is what a lost notice leads to. What tokio does inside
//! one operation of its semaphore is one step here: its own tests check that.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "these are all tests")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::FutureExt;
use shuttle::future::block_on;
use shuttle::thread::{self, JoinHandle};

use crate::engine::answer::Pending;
use crate::engine::metrics::Metrics;
use crate::{Facts, ModelError, Rejection};

use super::*;

const INTERLEAVINGS: usize = 2_000;

/// The pipeline is only a name for types here: nothing of it is called.
struct Numbers;

impl Pipeline for Numbers {
    type Input = usize;
    type Features = usize;
    type Prediction = usize;
    type Output = usize;

    fn validate(&self, _: &usize) -> Result<(), Rejection> {
        Ok(())
    }

    fn clean(&self, number: usize, _: &Facts) -> Result<usize, Rejection> {
        Ok(number)
    }

    fn predict_batch(&self, batch: &[usize]) -> Result<Vec<usize>, ModelError> {
        Ok(batch.to_vec())
    }

    fn format(&self, number: usize) -> usize {
        number
    }
}

/// A queue, and how often each item was taken from it.
#[derive(Clone)]
struct Checked {
    queue: Arc<Queue<Numbers>>,
    taken: Arc<[AtomicUsize]>,
}

impl Checked {
    fn new(items_max: usize, runners: usize, names: usize) -> Self {
        let limits = Limits {
            items_max,
            bytes_max: 1 << 20,
            wait_max: Duration::MAX,
            runners,
            shape: Shape { items_max: 2, packed: false, sizes: Vec::new() },
        };
        let queue = Arc::new(Queue::new(limits, Metrics::default().of_model("checked")));
        Self { queue, taken: (0..names).map(|_| AtomicUsize::new(0)).collect() }
    }

    /// Starts the runners. An item's answer is its name.
    fn run(&self) -> Vec<JoinHandle<()>> {
        let runner = |_| {
            let Self { queue, taken } = self.clone();
            thread::spawn(move || {
                while let Some(batch) = queue.take() {
                    assert!(!batch.jobs.is_empty());
                    for Job { features, ticket, .. } in batch.jobs {
                        taken[features].fetch_add(1, Ordering::Relaxed);
                        ticket.answer(Ok(features), Duration::ZERO, Duration::ZERO);
                    }
                    // Without a time, so that nothing is learned: an interleaving must not depend on a clock.
                    queue.done(batch.run, None);
                }
            })
        };
        (0..self.queue.limits.runners).map(runner).collect()
    }

    /// Calls with the items of these names.
    async fn call(&self, names: &[usize], options: CallOptions) -> Vec<Result<usize, Error>> {
        let (pending, tickets) = Pending::new(names.len());
        let items = names.iter().map(|name| Weighed { features: *name, cost: 1 }).collect();
        match self.queue.push(Load { items, tickets, bytes: 0 }, options).await {
            Ok(call) => {
                drop(call); // Left to the runners.
                pending.wait().await.results
            }
            Err(error) => names.iter().map(|_| Err(error.clone())).collect(),
        }
    }

    /// Calls on a thread of its own, and expects for each item its answer or one of these errors.
    fn caller(
        &self,
        names: &'static [usize],
        options: CallOptions,
        allowed: &'static [&'static str],
    ) -> JoinHandle<()> {
        let checked = self.clone();
        thread::spawn(move || {
            let results = block_on(checked.call(names, options));
            assert_eq!(results.len(), names.len());
            for (name, result) in names.iter().zip(results) {
                let taken = checked.taken[*name].load(Ordering::Relaxed);
                match result {
                    Ok(answer) => assert_eq!((answer, taken), (*name, 1)),
                    Err(error) => {
                        assert!(allowed.contains(&error.code()), "{name}: {error}");
                        assert_eq!(taken, 0, "{name} was refused and taken");
                    }
                }
            }
        })
    }

    fn close(&self) {
        self.queue.close();
    }

    /// Expects that nothing is left.
    fn check_empty(&self) {
        assert_eq!(self.queue.len(), 0);
        assert!(self.queue.room.is_whole(), "room was lost or made");
    }
}

fn options(when_full: WhenFull, priority: Priority) -> CallOptions {
    CallOptions { when_full, priority, ..CallOptions::default() }
}

fn join(threads: impl IntoIterator<Item = JoinHandle<()>>) {
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

/// Checks a scenario under random interleavings, and under those with few switches, which find rarer mistakes.
fn check(scenario: impl Fn() + Send + Sync + Clone + 'static) {
    shuttle::check_random(scenario.clone(), INTERLEAVINGS);
    shuttle::check_pct(scenario, INTERLEAVINGS, 3);
}

#[test]
fn no_notice_is_lost() {
    use Priority::{Bulk, Interactive};
    check(|| {
        let checked = Checked::new(4, 2, 6);
        let callers = [
            checked.caller(&[0], options(WhenFull::Wait, Interactive), &[]),
            checked.caller(&[1], options(WhenFull::Wait, Interactive), &[]),
            checked.caller(&[2, 3, 4], options(WhenFull::Wait, Interactive), &[]),
            checked.caller(&[5], options(WhenFull::Wait, Bulk), &[]),
        ];
        let runners = checked.run();
        // Runners sleep and wake until all are answered; only then is the queue closed, which would wake them too.
        join(callers);
        checked.check_empty();
        checked.close();
        join(runners);
    });
}

#[test]
fn every_item_is_taken_or_refused_once_whenever_the_queue_closes() {
    use Priority::{Bulk, Interactive};
    check(|| {
        let checked = Checked::new(2, 2, 7);
        let closed = &["shutting_down"];
        let mut threads = checked.run();
        threads.extend([
            checked.caller(&[0], options(WhenFull::Refuse, Interactive), &["shutting_down", "overloaded"]),
            checked.caller(&[1, 2], options(WhenFull::Wait, Interactive), closed),
            // More than the queue holds.
            checked.caller(&[3, 4, 5], options(WhenFull::Wait, Interactive), closed),
            checked.caller(&[6], options(WhenFull::Wait, Bulk), closed),
        ]);
        let closing = checked.clone();
        threads.push(thread::spawn(move || closing.close()));
        join(threads);
        checked.check_empty();
    });
}

#[test]
fn room_that_comes_free_reaches_those_who_wait_for_it() {
    use Priority::{Bulk, Interactive};
    check(|| {
        let checked = Checked::new(1, 1, 7);
        let runners = checked.run();
        join([
            checked.caller(&[0, 1, 2], options(WhenFull::Wait, Bulk), &[]),
            checked.caller(&[3, 4], options(WhenFull::Wait, Interactive), &[]),
            checked.caller(&[5], options(WhenFull::Refuse, Interactive), &["overloaded"]),
            checked.caller(&[6], options(WhenFull::Refuse, Bulk), &["overloaded"]),
        ]);
        checked.check_empty();
        checked.close();
        join(runners);
    });
}

#[test]
fn callers_that_leave_and_items_that_are_late_take_no_room_with_them() {
    use Priority::{Bulk, Interactive};
    check(|| {
        let checked = Checked::new(2, 2, 7);
        let runners = checked.run();
        let leaves = |names: &'static [usize], priority| {
            let checked = checked.clone();
            thread::spawn(move || {
                let mut call = Box::pin(checked.call(names, options(WhenFull::Wait, priority)));
                // Asked twice, the call may have come in between.
                if call.as_mut().now_or_never().is_none() {
                    thread::yield_now();
                    drop(call.as_mut().now_or_never());
                }
            })
        };
        let late = CallOptions { deadline: Some(Instant::now()), ..options(WhenFull::Wait, Interactive) };
        join([
            leaves(&[0, 1], Interactive),
            leaves(&[2], Bulk),
            checked.caller(&[3], late, &["deadline_exceeded"]),
            checked.caller(&[4, 5, 6], options(WhenFull::Wait, Interactive), &[]),
        ]);
        checked.close();
        join(runners);
        checked.check_empty();
        assert!(checked.taken.iter().all(|taken| taken.load(Ordering::Relaxed) <= 1));
        assert_eq!(checked.taken[3].load(Ordering::Relaxed), 0, "what is late is not taken");
    });
}
