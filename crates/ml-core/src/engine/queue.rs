//! The queue between callers and runners: the place where work is admitted, and where idle runners find it.
//!
//! An idle runner takes work at once: there is no timer, so a lone item never waits for company. What goes together
//! is decided in `batch.rs`, what goes next in `waiting.rs`, who is woken in `wake.rs`; here is who may come in.

mod call;
mod company;

use std::time::{Duration, Instant};

use crossbeam_utils::CachePadded;

use crate::error::Full;
use crate::width::Width;
use crate::{Error, Pipeline};

pub(super) use self::call::Call;
use self::call::others_first;
use self::company::Company;
use super::answer::{Ticket, Tickets};
use super::batch::{Closed, Shape};
use super::metrics::EngineMetrics;
use super::pace::Pace;
use super::prepare::dropped;
use super::room::{Claim, Claims, Room};
use super::sync::{Condvar, Mutex, MutexGuard};
use super::waiting::{Entry, Priority, Taken, Waiting};
use super::wake::{Roster, Wake};
use super::{CallOptions, WhenFull};

/// How much of an estimated wait a caller's time must exceed it by, so that most of what is admitted is in time.
const TIME_MARGIN: f64 = 1.25;

/// What a timer ends may end a millisecond late, and has still to be cleaned then.
const TIMER: Duration = Duration::from_millis(2);

/// Waits are estimated from moving averages over some thirty batches: fewer, and one quick batch lets too much in.
const AVERAGE_MEMORY: f64 = 31.0 / 32.0;

/// So long may work wait for a busy runner that takes longer than was expected of it.
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// One in so many lone runs has the width that is thought to be the slower, so that the thought is kept up to date.
const TRY_OTHER_WIDTH: u64 = 32;

/// One item on its way to a runner.
pub(super) struct Job<P: Pipeline> {
    pub features: P::Features,
    pub enqueued: Instant,
    pub ticket: Ticket<P::Prediction>,
    /// What the item occupies; given back when it leaves the queue.
    claim: Claim,
}

/// Features of one item, and what they weigh in a batch.
pub(super) struct Weighed<F> {
    pub features: F,
    pub cost: usize,
}

/// The items of one call, ready to be queued.
pub(super) struct Load<P: Pipeline> {
    pub items: Vec<Weighed<P::Features>>,
    pub tickets: Tickets<P::Prediction>,
    /// Bytes of the inputs that these features were made of.
    pub bytes: usize,
}

/// What bounds a queue, and how many runners empty it.
#[derive(Debug, Clone)]
pub(super) struct Limits {
    pub items_max: usize,
    pub bytes_max: usize,
    pub wait_max: Duration,
    pub runners: usize,
    pub shape: Shape,
}

pub(super) struct Queue<P: Pipeline> {
    // What all threads write to is apart from what they only read.
    state: CachePadded<Mutex<State<P>>>,
    work: CachePadded<Condvar>,
    room: CachePadded<Room>,
    limits: Limits,
    metrics: EngineMetrics,
}

struct State<P: Pipeline> {
    waiting: Waiting<Job<P>>,
    closed: bool,
    roster: Roster,
    /// Until when callers run nothing themselves.
    callers_pause: Option<Instant>,
    /// When the model last answered a whole batch.
    last_success: Option<Instant>,
    /// How long narrow runs take, lone ones included.
    pace: Pace,
    /// How long lone runs take at each width: narrow, wide.
    lone: [Pace; 2],
    lone_runs: u64,
    company: Company,
    /// Seconds that one runner needs for a cost of one, padding included.
    seconds_per_cost: Average,
    /// Seconds that a batch takes.
    seconds_per_batch: Average,
}

/// A batch that a runner has taken.
pub(super) struct Batch<P: Pipeline> {
    pub jobs: Vec<Job<P>>,
    pub closed: Closed,
    pub run: Run,
}

/// A run of the model, as far as the queue learns from it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run {
    pub width: Width,
    /// Whether nothing else ran or waited when it began.
    pub alone: bool,
    /// What the items cost, and what they cost with padding.
    pub cost: usize,
    pub padded_cost: usize,
}

impl<P: Pipeline> Queue<P> {
    pub fn new(limits: Limits, metrics: EngineMetrics) -> Self {
        let state = State {
            waiting: Waiting::new(),
            closed: false,
            roster: Roster::default(),
            callers_pause: None,
            last_success: None,
            pace: Pace::default(),
            lone: [Pace::default(); 2],
            lone_runs: 0,
            company: Company::default(),
            seconds_per_cost: Average::default(),
            seconds_per_batch: Average::default(),
        };
        let room = Room::new(limits.items_max, limits.bytes_max);
        let (state, work) = (CachePadded::new(Mutex::new(state)), CachePadded::new(Condvar::new()));
        Self { state, work, room: CachePadded::new(room), limits, metrics }
    }

    fn lock(&self) -> MutexGuard<'_, State<P>> {
        super::sync::lock(&self.state)
    }

    /// Sleeps until there is work. Beside a busy runner it looks again now and then, since that one may be held up while
    /// work is left to it.
    fn sleep<'a>(&self, state: MutexGuard<'a, State<P>>) -> MutexGuard<'a, State<P>> {
        if state.roster.busy() == 0 {
            return super::sync::wait(&self.work, state);
        }
        super::sync::wait_timeout(&self.work, state, LOOK_AGAIN)
    }

    pub fn len(&self) -> usize {
        self.lock().waiting.len()
    }

    /// Takes in all items of a call, or none of them.
    ///
    /// A call with more items than the queue holds goes in by parts, each as soon as there is room.
    ///
    /// Where it would be quicker to run what waits here than to wake a runner for it, that is handed to the caller.
    pub async fn push(&self, load: Load<P>, options: CallOptions) -> Result<Option<Call<'_, P>>, Error> {
        let part_items = self.room.part_items(load.items.len(), load.bytes, options.priority);
        if load.items.len() <= part_items {
            return self.push_part(load, options).await;
        }
        Box::pin(self.push_parts(load, part_items, options)).await?;
        Ok(None)
    }

    async fn push_parts(
        &self,
        load: Load<P>,
        part_items: usize,
        mut options: CallOptions,
    ) -> Result<(), Error> {
        let Load { items, mut tickets, bytes } = load;
        let bytes_per_item = bytes / items.len();
        let mut items = items.into_iter();
        while items.len() > 0 {
            let items: Vec<_> = items.by_ref().take(part_items).collect();
            let part = tickets.split_off_first(items.len());
            let bytes = bytes_per_item * items.len();
            let pushed = self.push_part(Load { items, tickets: part, bytes }, options).await;
            if options.when_full == WhenFull::Refuse {
                pushed?;
            } else if let Err(error) = pushed {
                tickets.refuse(&error); // What was taken in is answered by the runners.
                break;
            }
            // What follows a part that was taken in is waited for: a call is not refused when it is half done.
            options.when_full = WhenFull::Wait;
        }
        Ok(())
    }

    async fn push_part(&self, mut load: Load<P>, options: CallOptions) -> Result<Option<Call<'_, P>>, Error> {
        let (count, priority) = (load.items.len(), options.priority);
        let claimed = match options.when_full {
            WhenFull::Wait => Box::pin(self.room.wait(count, load.bytes, priority)).await,
            WhenFull::Refuse => {
                let taken = self.room.try_take(count, load.bytes, priority);
                taken.map_err(|full| self.refusal(full, priority))
            }
        };
        let claims = claimed.inspect_err(|error| load.tickets.refuse(error))?;
        match self.take_in(load, claims, options)? {
            Wake::No => {}
            Wake::Now if count == 1 => self.work.notify_one(),
            Wake::Now => self.work.notify_all(),
            Wake::AfterOthers => {
                let call = Call::new(self);
                others_first().await;
                return Ok(Some(call));
            }
        }
        Ok(None)
    }

    /// Adds items for which there is room to those that wait, and says whether a runner is to be woken for them.
    fn take_in(&self, load: Load<P>, mut claims: Claims, options: CallOptions) -> Result<Wake, Error> {
        let enqueued = Instant::now();
        let mut state = self.lock();
        if state.closed {
            drop(state);
            self.room.give_back(load.items.iter().map(|_| claims.next()));
            return Err(Error::ShuttingDown);
        }
        let before = state.waiting.len();
        for (Weighed { features, cost }, ticket) in load.items.into_iter().zip(load.tickets) {
            let job = Job { features, enqueued, ticket, claim: claims.next() };
            state.waiting.push(options.priority, Entry::new(job, cost, options.deadline));
        }
        self.metrics.waiting(before, state.waiting.len());
        let wake = state.wake(enqueued);
        if wake == Wake::Now {
            state.roster.called(enqueued);
        }
        Ok(wake)
    }

    /// Refuses at the door what could not be answered in time, or would wait longer than anything may.
    ///
    /// # Errors
    /// [`Error::Overloaded`], with the time after which it would be admitted.
    pub fn admit(&self, options: CallOptions) -> Result<(), Error> {
        if options.when_full == WhenFull::Wait {
            return Ok(());
        }
        let (wait, run) = self.lock().estimate(options.priority, self.limits.runners);
        if wait.is_zero() {
            return Ok(()); // As nearly always: a runner is free.
        }
        let left = options.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        // What has a deadline must also have run by then.
        let limit = left.map_or(self.limits.wait_max, |left| {
            let left = left.div_f64(TIME_MARGIN).saturating_sub(run);
            left.min(self.limits.wait_max)
        });
        if wait <= limit {
            return Ok(());
        }
        let full = Full::Time { estimated_wait: wait, limit };
        Err(self.refuse(full, wait - limit))
    }

    /// Returns by when a call has to be prepared to be answered in time, at the measured pace of the runners.
    pub fn prepared_by(&self, options: CallOptions) -> Option<Instant> {
        let deadline = options.deadline?;
        let (wait, run) = self.lock().estimate(options.priority, self.limits.runners);
        let left = deadline.saturating_duration_since(Instant::now());
        deadline.checked_sub(kept_for_the_model(left, wait + run))
    }

    fn refusal(&self, full: Result<Full, Error>, priority: Priority) -> Error {
        match full {
            // Half of the wait makes room for half of the queue.
            Ok(full) => self.refuse(full, self.estimated_wait(priority) / 2),
            Err(error) => error,
        }
    }

    fn refuse(&self, full: Full, retry_after: Duration) -> Error {
        self.metrics.refused(&full);
        Error::Overloaded { full, retry_after }
    }

    /// Waits for work and takes a batch, after answering what nobody waits for; `None` when closed and empty.
    pub fn take(&self) -> Option<Batch<P>> {
        let mut state = self.lock();
        loop {
            state.roster.looks();
            while state.waiting.len() == 0 {
                if state.closed {
                    return None;
                }
                state = self.sleep(state);
                state.roster.looks();
            }
            if let Some(batch) = self.take_waiting(state) {
                return Some(batch);
            }
            state = self.lock();
        }
    }

    /// Takes a batch of what waits; `None` when all of that was dropped or answered because nobody waits for it.
    fn take_waiting(&self, mut state: MutexGuard<'_, State<P>>) -> Option<Batch<P>> {
        let backlog = state.waiting.backlog(self.limits.runners);
        let (line, now) = (state.pace.line_of_next_batch(backlog), Instant::now());
        let abandoned = |job: &Job<P>| job.ticket.is_abandoned();
        let before = state.waiting.len();
        let mut taken = state.waiting.take(now, &self.limits.shape, line, abandoned);
        self.metrics.waiting(before, state.waiting.len());
        let entries = std::mem::take(&mut taken.batch);
        let batch = (!entries.is_empty()).then(|| self.batch(&mut state, entries, taken.closed));
        let mut calls = false;
        if let Some(batch) = &batch {
            let back = line.and_then(|line| now.checked_add(seconds(line.time(batch.run.padded_cost))));
            state.roster.leaves(back);
            calls = state.calls(now);
        }
        drop(state);
        if calls {
            // One notice may have stood for several items; pass it on so that no runner sleeps beside work.
            self.work.notify_one();
        }
        self.room.give_back(batch.iter().flat_map(|batch| &batch.jobs).map(|job| job.claim));
        self.settle(taken, now);
        batch
    }

    fn batch(&self, state: &mut State<P>, entries: Vec<Entry<Job<P>>>, closed: Closed) -> Batch<P> {
        let longest = entries.iter().map(|entry| entry.cost).max().unwrap_or(1);
        let cost = entries.iter().map(|entry| entry.cost).sum();
        let padded_cost = self.limits.shape.cost(entries.len(), longest, cost);
        let alone = state.roster.busy() == 0 && state.waiting.len() == 0 && self.limits.runners > 1;
        let width = if alone {
            state.company.alone();
            state.lone_width(padded_cost)
        } else {
            state.company.comes();
            Width::Narrow
        };
        let jobs = entries.into_iter().map(|entry| entry.item).collect();
        Batch { jobs, closed, run: Run { width, alone, cost, padded_cost } }
    }

    /// Answers what came too late and drops what was left behind.
    ///
    /// Features that panic when they are dropped cost nobody else anything: the batch beside them has still to be run.
    fn settle(&self, taken: Taken<Job<P>>, now: Instant) {
        self.metrics.abandoned(taken.abandoned.len());
        let gone = || taken.abandoned.iter().chain(&taken.expired);
        self.room.give_back(gone().map(|entry| entry.item.claim));
        for entry in taken.abandoned {
            dropped(entry.item.features);
        }
        for entry in taken.expired {
            let Job { features, ticket, enqueued, .. } = entry.item;
            ticket.answer(Err(Error::DeadlineExceeded), now.duration_since(enqueued), Duration::ZERO);
            dropped(features);
        }
    }

    /// Learns how long a batch took, and that its runner is free again. `None`: the model failed on it.
    pub fn done(&self, run: Run, time: Option<Duration>) {
        let mut state = self.lock();
        state.roster.returns();
        if let Some(time) = time {
            state.learn(run, time);
        }
    }

    /// Returns how long a new item of this priority would wait for a runner.
    pub fn estimated_wait(&self, priority: Priority) -> Duration {
        self.lock().estimate(priority, self.limits.runners).0
    }

    /// Returns when the model last answered a whole batch.
    pub fn last_success(&self) -> Option<Instant> {
        self.lock().last_success
    }

    /// Takes nothing new from now on; runners empty what is there and end.
    pub fn close(&self) {
        self.lock().closed = true;
        self.room.close();
        self.work.notify_all();
    }
}

impl<P: Pipeline> State<P> {
    /// Decides whether a runner is woken for what waits.
    fn wake(&self, now: Instant) -> Wake {
        let cost = self.waiting.cost_before(Priority::Bulk);
        let work = self.pace.line().map(|line| seconds(line.time(cost)));
        self.roster.wake(work, now)
    }

    /// Decides whether a runner is to be woken now for what is left, and notes that it is.
    fn calls(&mut self, now: Instant) -> bool {
        let calls = self.waiting.len() > 0 && self.wake(now) != Wake::No;
        if calls {
            self.roster.called(now);
        }
        calls
    }

    /// Returns how long a new item would wait for one of the runners, and how long its batch would take then.
    fn estimate(&self, priority: Priority, runners: usize) -> (Duration, Duration) {
        let batch = self.seconds_per_batch.mean;
        let work = self.waiting.cost_before(priority) as f64 * self.seconds_per_cost.mean;
        (seconds(wait_behind(work, batch, self.roster.busy(), runners)), seconds(batch))
    }

    fn learn(&mut self, run: Run, time: Duration) {
        self.last_success = Some(Instant::now());
        if run.alone {
            self.lone[run.width as usize].observe(run.padded_cost, time);
            self.company.parts();
        }
        if run.width == Width::Narrow {
            self.pace.observe(run.padded_cost, time);
            self.seconds_per_cost.observe(time.as_secs_f64() / run.cost as f64);
            self.seconds_per_batch.observe(time.as_secs_f64());
        }
    }

    /// The width that makes a lone run of this cost the quickest, as far as is known.
    fn lone_width(&mut self, cost: usize) -> Width {
        if self.company.is_likely() {
            return Width::Narrow;
        }
        self.lone_runs += 1;
        let [narrow, wide] = self.lone.map(|pace| pace.line().map(|line| line.time(cost)));
        let narrow_is_quicker = matches!((narrow, wide), (Some(narrow), Some(wide)) if narrow < wide);
        let try_other = self.lone_runs.is_multiple_of(TRY_OTHER_WIDTH);
        if narrow_is_quicker == try_other { Width::Wide } else { Width::Narrow }
    }
}

/// More seconds than a duration holds are as many as it holds.
fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}

/// An exponential moving average; the first observation is its first value.
#[derive(Debug, Clone, Copy, Default)]
struct Average {
    mean: f64,
    is_known: bool,
}

impl Average {
    fn observe(&mut self, seen: f64) {
        let memory = if self.is_known { AVERAGE_MEMORY } else { 0.0 };
        *self = Self { mean: self.mean * memory + seen * (1.0 - memory), is_known: true };
    }
}

/// Estimates how long a new item waits for one of the `runners`, in seconds, behind so much work that waits and batches of that length
/// that run.
fn wait_behind(work: f64, batch: f64, busy: usize, runners: usize) -> f64 {
    // One that is free takes the new item only if nothing goes before that: it may be between two batches.
    if busy < runners && work == 0.0 {
        return 0.0;
    }
    // Runners at work are half-way through their batches, on average.
    (work + busy as f64 * batch / 2.0) / runners.max(1) as f64
}

/// Says how much of the time `left` a call that is being prepared keeps for the model, which is expected to need `needed`.
///
/// That is an estimate: half of its time a call may take whatever the other half is going to be worth.
fn kept_for_the_model(left: Duration, needed: Duration) -> Duration {
    needed.mul_f64(TIME_MARGIN).max(TIMER).min(left / 2)
}

#[cfg(all(test, feature = "shuttle"))]
mod shuttle_tests;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_waits_for_what_goes_before_it_also_while_a_runner_is_between_two_batches() {
        for (work, busy, runners, expected) in [
            (0.0, 0, 2, 0.0),
            (0.0, 1, 2, 0.0),
            (0.0, 2, 2, 1.0),
            (6.0, 2, 2, 4.0),
            (6.0, 1, 2, 3.5),
            (6.0, 0, 2, 3.0),
        ] {
            assert_eq!(
                wait_behind(work, 2.0, busy, runners),
                expected,
                "{work} s behind {busy} of {runners}"
            );
        }
    }

    #[test]
    fn a_call_keeps_the_time_that_the_model_needs_and_no_more_than_half_of_its_own() {
        let millis = Duration::from_millis;
        for (left, needed, kept) in [(1000, 100, 125), (1000, 0, 2), (1000, 900, 500), (3, 0, 1), (0, 100, 0)]
        {
            let kept_millis = kept_for_the_model(millis(left), millis(needed)).as_millis();
            assert_eq!(kept_millis, kept, "{needed} of {left} ms");
        }
    }
}
