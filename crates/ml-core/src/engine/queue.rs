//! The queue between callers and runners: bounded, and the place where batches are formed.
//!
//! An idle runner takes work at once: there is no timer, so a lone item never waits for company. Under
//! backlog it takes the oldest item, so nobody starves, and those waiting items whose cost is nearest to it, as
//! long as padding them to the longest wastes little.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, TryAcquireError};

use crate::{Error, Pipeline};

use super::WhenFull;
use super::answer::Ticket;
use super::metrics::EngineMetrics;

/// A batch may compute at most this many times the cost of its items, padding included.
///
/// On a CPU a batch of similar items gains about a quarter over single items (all-MiniLM-L6-v2: 317 texts/s in
/// sorted batches of 8, 252 alone), so padding that costs more than that makes a batch slower than no batch.
const PADDED_COST_RATIO_MAX: f64 = 1.25;

/// A batch is formed from this many of the oldest items, so that a long queue costs no more to look at than a short one.
const LOOK_AHEAD_ITEMS: usize = 512;

/// One item on its way to a runner.
pub(super) struct Job<P: Pipeline> {
    pub features: P::Features,
    pub cost: usize,
    pub deadline: Option<Instant>,
    pub enqueued: Instant,
    pub ticket: Ticket<P::Prediction>,
}

/// Makes a job of each item.
pub(super) fn jobs<P: Pipeline>(
    pipeline: &P,
    features: Vec<P::Features>,
    tickets: Vec<Ticket<P::Prediction>>,
    deadline: Option<Instant>,
) -> Vec<Job<P>> {
    let enqueued = Instant::now();
    let pairs = features.into_iter().zip(tickets);
    pairs
        .map(|(features, ticket)| {
            let cost = pipeline.cost(&features).max(1);
            Job { features, cost, deadline, enqueued, ticket }
        })
        .collect()
}

/// What a runner takes: items to compute, and items that nobody waits for any more.
pub(super) struct Taken<P: Pipeline> {
    pub batch: Vec<Job<P>>,
    pub expired: Vec<Job<P>>,
    pub abandoned: usize,
}

/// What bounds a queue, and how many runners empty it.
pub(super) struct Limits {
    pub items_max: usize,
    pub batch_items_max: usize,
    pub runners: usize,
}

pub(super) struct Queue<P: Pipeline> {
    state: Mutex<State<P>>,
    work: Condvar,
    /// Room for items; a semaphore because callers may have to wait for it without blocking a thread.
    room: Semaphore,
    limits: Limits,
    nanos_per_item: AtomicU64,
    metrics: EngineMetrics,
}

struct State<P: Pipeline> {
    /// In order of arrival.
    waiting: VecDeque<Job<P>>,
    closed: bool,
}

impl<P: Pipeline> Queue<P> {
    pub fn new(mut limits: Limits, metrics: EngineMetrics) -> Self {
        limits.items_max = limits.items_max.min(Semaphore::MAX_PERMITS);
        Self {
            state: Mutex::new(State { waiting: VecDeque::new(), closed: false }),
            work: Condvar::new(),
            room: Semaphore::new(limits.items_max),
            limits,
            nanos_per_item: AtomicU64::new(0),
            metrics,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<P>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn len(&self) -> usize {
        self.lock().waiting.len()
    }

    /// Takes in all items of a call, or none of them.
    pub async fn push(&self, jobs: Vec<Job<P>>, when_full: WhenFull) -> Result<(), Error> {
        let count = jobs.len();
        let too_large = Error::CallTooLarge { items: count, limit_items: self.limits.items_max };
        let permits =
            u32::try_from(count).ok().filter(|_| count <= self.limits.items_max).ok_or(too_large)?;
        let room = match when_full {
            WhenFull::Wait => self.room.acquire_many(permits).await.map_err(|_| Error::ShuttingDown)?,
            WhenFull::Refuse => self.room.try_acquire_many(permits).map_err(|error| self.refusal(&error))?,
        };
        let mut state = self.lock();
        if state.closed {
            return Err(Error::ShuttingDown);
        }
        state.waiting.extend(jobs);
        room.forget(); // Given back when a runner takes the items.
        self.metrics.waiting(state.waiting.len());
        drop(state);
        if count == 1 {
            self.work.notify_one();
        } else {
            self.work.notify_all();
        }
        Ok(())
    }

    fn refusal(&self, error: &TryAcquireError) -> Error {
        match error {
            TryAcquireError::Closed => Error::ShuttingDown,
            TryAcquireError::NoPermits => Error::Overloaded {
                waiting_items: self.len(),
                limit_items: self.limits.items_max,
                retry_after: self.estimated_wait(),
            },
        }
    }

    /// Waits for work and takes a batch; `None` when the queue is closed and empty.
    pub fn take(&self) -> Option<Taken<P>> {
        let mut state = self.lock();
        while state.waiting.is_empty() {
            if state.closed {
                return None;
            }
            state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let taken = state.take(Instant::now(), self.limits.batch_items_max);
        let waiting = state.waiting.len();
        self.metrics.waiting(waiting);
        drop(state);
        self.room.add_permits(taken.batch.len() + taken.expired.len() + taken.abandoned);
        if waiting > 0 {
            // One notice may have stood for several items; pass it on so that no runner sleeps beside work.
            self.work.notify_one();
        }
        Some(taken)
    }

    /// Takes nothing new from now on; runners empty what is there and end.
    pub fn close(&self) {
        self.lock().closed = true;
        self.room.close();
        self.work.notify_all();
    }

    /// Learns how long a runner needs for an item. Each batch weighs an eighth.
    pub fn observe(&self, time: Duration, items: usize) {
        let seen = u64::try_from(time.as_nanos() / items.max(1) as u128).unwrap_or(u64::MAX);
        let known = self.nanos_per_item.load(Ordering::Relaxed);
        let next = if known == 0 { seen } else { known.saturating_mul(7).saturating_add(seen) / 8 };
        self.nanos_per_item.store(next, Ordering::Relaxed);
    }

    pub fn estimated_wait(&self) -> Duration {
        let per_item = Duration::from_nanos(self.nanos_per_item.load(Ordering::Relaxed));
        per_item.mul_f64(self.len() as f64 / self.limits.runners.max(1) as f64)
    }
}

impl<P: Pipeline> State<P> {
    /// Takes a batch from the oldest items, and with it those that nobody waits for any more.
    fn take(&mut self, now: Instant, items_max: usize) -> Taken<P> {
        let ahead = self.waiting.len().min(LOOK_AHEAD_ITEMS.max(items_max));
        let (mut live, mut expired, mut abandoned) = (Vec::with_capacity(ahead), Vec::new(), 0);
        for job in self.waiting.drain(..ahead) {
            if job.ticket.is_abandoned() {
                abandoned += 1;
            } else if job.deadline.is_some_and(|deadline| deadline <= now) {
                expired.push(job);
            } else {
                live.push(job);
            }
        }
        let costs: Vec<usize> = live.iter().map(|job| job.cost).collect();
        let mut chosen = choose(&costs, items_max).into_iter().peekable();
        let (mut batch, mut others) = (Vec::with_capacity(chosen.len()), Vec::with_capacity(ahead));
        for (index, job) in live.into_iter().enumerate() {
            let side = if chosen.next_if_eq(&index).is_some() { &mut batch } else { &mut others };
            side.push(job);
        }
        for job in others.into_iter().rev() {
            self.waiting.push_front(job);
        }
        Taken { batch, expired, abandoned }
    }
}

/// Chooses a batch from the costs of the waiting items, oldest first: ascending indices, the first among them.
fn choose(costs: &[usize], items_max: usize) -> Vec<usize> {
    let Some(&oldest) = costs.first() else { return Vec::new() };
    let mut others: Vec<usize> = (1..costs.len()).collect();
    let distance = |&index: &usize| (costs[index].abs_diff(oldest), index);
    let room = items_max.saturating_sub(1);
    if others.len() > room && room > 0 {
        others.select_nth_unstable_by_key(room - 1, distance);
    }
    others.truncate(room);
    others.sort_unstable_by_key(distance);

    let mut chosen = vec![0];
    let (mut longest, mut sum) = (oldest, oldest);
    for index in others {
        let (next_longest, next_sum) = (longest.max(costs[index]), sum + costs[index]);
        let padded = next_longest as f64 * (chosen.len() + 1) as f64;
        if padded > next_sum as f64 * PADDED_COST_RATIO_MAX {
            break;
        }
        (longest, sum) = (next_longest, next_sum);
        chosen.push(index);
    }
    chosen.sort_unstable();
    chosen
}

#[cfg(test)]
mod tests {
    use super::choose;

    #[test]
    fn a_batch_is_the_oldest_item_and_its_nearest_in_cost() {
        for (costs, items_max, expected) in [
            (&[][..], 4, &[][..]),
            (&[7], 4, &[0]),
            (&[1, 1, 1, 1, 1], 3, &[0, 1, 2]),
            (&[20, 100, 21, 19, 400], 8, &[0, 2, 3]),
            (&[20, 22, 21, 19, 18], 3, &[0, 2, 3]),
            (&[100, 10, 10, 10], 8, &[0]),
            (&[10, 100, 10, 100], 8, &[0, 2]),
            (&[5, 5, 5], 1, &[0]),
        ] {
            assert_eq!(choose(costs, items_max), expected, "{costs:?}, at most {items_max}");
        }
    }
}
