//! The engine's promises under whatever comes: random calls, from several threads at once, to engines of any size.
//!
//! What an item is to do is written in the item, so each result is known beforehand, or which errors may stand for it.
#![allow(clippy::expect_used, clippy::panic, reason = "a failed expectation is what a test ends with")]

mod support;

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Barrier};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::join_all;
use ml_core::{
    CacheOptions, CallOptions, Engine, Error, Facts, ModelError, Pipeline, Priority, Rejection, ThreadPlan,
    ThreadWishes, WhenFull,
};
use pollster::block_on;
use proptest::prelude::*;

use support::{Item, Scripted};

/// Far longer than a case takes on a slow and busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

fn cases(cases: u32) -> ProptestConfig {
    // A case that hangs costs all of the patience, so that little is spent on making it smaller.
    ProptestConfig { cases, max_shrink_iters: 64, failure_persistence: None, ..ProptestConfig::default() }
}

/// Runs a case on a thread of its own, and fails when it does not come back.
fn watched(case: impl FnOnce() + Send + 'static) {
    let (running, ended) = channel::<()>();
    let thread = std::thread::spawn(move || {
        case();
        drop(running); // As a panic does.
    });
    assert_ne!(ended.recv_timeout(PATIENCE), Err(RecvTimeoutError::Timeout), "it hangs");
    join(thread);
}

/// Waits for a thread; its panic becomes this one's.
fn join(thread: JoinHandle<()>) {
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

/// Waits for something that comes by itself.
fn wait_until(what: &str, mut happened: impl FnMut() -> bool) {
    let started = Instant::now();
    while !happened() {
        assert!(started.elapsed() < PATIENCE / 2, "{what}");
        std::thread::yield_now();
    }
}

/// How an engine is set up.
#[derive(Debug, Clone)]
struct Setup {
    runners: usize,
    batch_items_max: usize,
    queue_items_max: usize,
    queue_bytes_max: usize,
    shares: bool,
    remembers: bool,
}

impl Setup {
    fn start(&self) -> Engine<Scripted> {
        let wishes = ThreadWishes { runners: NonZeroUsize::new(self.runners), ..ThreadWishes::default() };
        let builder = Engine::builder(Scripted::default())
            .threads(ThreadPlan::for_cpus(1, wishes))
            .batch_items_max(self.batch_items_max)
            .queue_items_max(self.queue_items_max)
            .queue_bytes_max(self.queue_bytes_max)
            .share_in_flight(self.shares);
        if self.remembers { builder.cache(CacheOptions::default(), |_| 8).start() } else { builder.start() }
    }

    /// How many small items fit: each takes up 1 KiB at least.
    fn room(&self) -> usize {
        self.queue_items_max.min(self.queue_bytes_max.div_ceil(1024))
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Deadline {
    None,
    Passed,
    Far,
}

/// One call of a caller.
#[derive(Debug, Clone)]
struct Call {
    items: Vec<Item>,
    when_full: WhenFull,
    priority: Priority,
    deadline: Deadline,
    fresh: bool,
    /// After how many looks at the answer the caller hangs up.
    leaves_after: Option<usize>,
}

impl Call {
    fn options(&self) -> CallOptions {
        let deadline = match self.deadline {
            Deadline::None => None,
            Deadline::Passed => Some(Instant::now()),
            Deadline::Far => Some(Instant::now() + Duration::from_secs(600)),
        };
        let Self { when_full, priority, fresh, .. } = *self;
        CallOptions { deadline, when_full, priority, fresh }
    }

    /// Makes the call, and checks what it gets, if it stays to see that.
    async fn make(&self, engine: &Engine<Scripted>) {
        let mut answer = engine.call(self.items.clone(), self.options()).boxed();
        for _ in 0..self.leaves_after.unwrap_or(0) {
            if let Some(answer) = answer.as_mut().now_or_never() {
                return self.check(&answer.results);
            }
            std::thread::yield_now();
        }
        if self.leaves_after.is_none() {
            self.check(&answer.await.results);
        }
    }

    fn check(&self, results: &[Result<i64, Error>]) {
        assert_eq!(results.len(), self.items.len());
        for (place, (item, result)) in self.items.iter().zip(results).enumerate() {
            let result = result.as_ref().map(|output| *output).map_err(Error::code);
            let (expected, meets_the_queue) = fate(item);
            let allowed = match result {
                // Said at the door too, where nobody has looked at the item yet.
                Err("overloaded") => self.when_full == WhenFull::Refuse,
                Err("deadline_exceeded") => meets_the_queue && self.deadline == Deadline::Passed,
                result => result == expected,
            };
            assert!(allowed, "{item:?} at {place} got {result:?}");
        }
    }
}

/// What an item gets, and whether it comes as far as the queue.
fn fate(item: &Item) -> (Result<i64, &'static str>, bool) {
    match item {
        Item::Good(number) => (Ok(number * 2), true),
        Item::Heavy(cost) => (Ok(i64::try_from(*cost).expect("small")), true),
        Item::Guilty => (Err("model_failed"), true),
        Item::Invalid | Item::Unclean => (Err("invalid_item"), false),
        Item::Panics(stage) => (Err("pipeline_panicked"), matches!(*stage, "predict" | "format")),
        Item::WithFact(..) | Item::Bomb(_) => unreachable!("no case has one"),
    }
}

fn setup() -> impl Strategy<Value = Setup> {
    let bytes = prop_oneof![Just(1 << 20), 1024..6000_usize];
    (1..=3_usize, 1..=6_usize, 1..=10_usize, bytes, any::<bool>(), any::<bool>()).prop_map(
        |(runners, batch_items_max, queue_items_max, queue_bytes_max, shares, remembers)| Setup {
            runners,
            batch_items_max,
            queue_items_max,
            queue_bytes_max,
            shares,
            remembers,
        },
    )
}

fn item() -> impl Strategy<Value = Item> {
    prop_oneof![
        // Few different numbers, so that many items are equal.
        12 => (0..12_i64).prop_map(Item::Good),
        4 => (1..300_usize).prop_map(Item::Heavy),
        1 => Just(Item::Invalid),
        1 => Just(Item::Unclean),
        1 => Just(Item::Guilty),
        1 => prop::sample::select(vec!["validate", "clean", "predict", "format"]).prop_map(Item::Panics),
    ]
}

fn call() -> impl Strategy<Value = Call> {
    let when_full = prop::sample::select(vec![WhenFull::Refuse, WhenFull::Wait]);
    let priority = prop::sample::select(vec![Priority::Interactive, Priority::Bulk]);
    let deadline =
        prop::sample::select(vec![Deadline::None, Deadline::None, Deadline::Passed, Deadline::Far]);
    let leaves_after = prop::option::weighted(0.25, 0..6_usize);
    let items = prop::collection::vec(item(), 0..16);
    (items, when_full, priority, deadline, prop::bool::weighted(0.1), leaves_after).prop_map(
        |(items, when_full, priority, deadline, fresh, leaves_after)| Call {
            items,
            when_full,
            priority,
            deadline,
            fresh,
            leaves_after,
        },
    )
}

/// The calls of one thread, and whether it makes them side by side or one after the other.
fn caller() -> impl Strategy<Value = (Vec<Call>, bool)> {
    (prop::collection::vec(call(), 1..6), any::<bool>())
}

fn make_calls(engine: &Engine<Scripted>, calls: &[Call], side_by_side: bool) {
    if side_by_side {
        block_on(join_all(calls.iter().map(|call| call.make(engine))));
    } else {
        calls.iter().for_each(|call| block_on(call.make(engine)));
    }
}

/// Expects that a call that fills the whole room is taken in once what was left behind is gone.
fn check_room(engine: &Engine<Scripted>, room: usize, priority: Priority) {
    let items: Vec<Item> = (1000..).take(room).map(Item::Good).collect();
    let options = CallOptions { priority, fresh: true, ..CallOptions::default() };
    wait_until(&format!("there is never room for {room} {priority:?} items"), || {
        let results = block_on(engine.call(items.clone(), options)).results;
        let refused = |result: &Result<i64, Error>| matches!(result, Err(Error::Overloaded { .. }));
        assert!(results.iter().all(|result| result.is_ok() || refused(result)), "{results:?}");
        results.iter().all(Result::is_ok)
    });
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn every_item_of_every_call_gets_its_own_result_and_nothing_is_left(
        setup in setup(),
        callers in prop::collection::vec(caller(), 1..5),
    ) {
        watched(move || {
            let engine = setup.start();
            let start = Arc::new(Barrier::new(callers.len()));
            let callers: Vec<_> = callers
                .into_iter()
                .map(|(calls, side_by_side)| {
                    let (engine, start) = (engine.clone(), Arc::clone(&start));
                    std::thread::spawn(move || {
                        start.wait();
                        make_calls(&engine, &calls, side_by_side);
                    })
                })
                .collect();
            callers.into_iter().for_each(join);
            wait_until("items stay in the queue", || engine.waiting_items() == 0);
            check_room(&engine, setup.room(), Priority::Interactive);
            check_room(&engine, setup.room().div_ceil(2), Priority::Bulk);
            assert!(engine.is_running());
        });
    }

    /// Closing takes nothing back: what is not answered says that the engine is closing.
    #[test]
    fn an_engine_that_closes_at_any_moment_answers_every_call(
        setup in setup(),
        items in prop::collection::vec(prop::collection::vec((0..40_i64).prop_map(Item::Good), 1..12), 1..5),
        closes_after in 0..8_usize,
    ) {
        watched(move || {
            let engine = setup.start();
            let callers: Vec<_> = items
                .into_iter()
                .map(|items| {
                    let engine = engine.clone();
                    std::thread::spawn(move || {
                        let options = CallOptions { when_full: WhenFull::Wait, ..CallOptions::default() };
                        let results = block_on(engine.call(items.clone(), options)).results;
                        assert_eq!(results.len(), items.len());
                        for (item, result) in items.iter().zip(results) {
                            let result = result.map_err(|error| error.code());
                            assert!(result == fate(item).0 || result == Err("shutting_down"), "{item:?}: {result:?}");
                        }
                    })
                })
                .collect();
            for _ in 0..closes_after {
                std::thread::yield_now();
            }
            engine.close();
            callers.into_iter().for_each(join);
            assert_eq!(engine.waiting_items(), 0);
            assert_eq!(block_on(engine.predict(Item::Good(99))), Err(Error::ShuttingDown));
        });
    }
}

/// A model of the usual kind: it takes rows of one length, and a mask that says what is padding.
#[derive(Clone)]
struct PaddedSum {
    packed: bool,
    sizes: Vec<usize>,
    rows_max: Arc<AtomicUsize>,
}

/// What stands in the padding: a model that looks at it is far off.
const GARBAGE: i64 = 1 << 40;

impl Pipeline for PaddedSum {
    type Input = Vec<i64>;
    type Features = Vec<i64>;
    type Prediction = i64;
    type Output = i64;

    fn validate(&self, numbers: &Vec<i64>) -> Result<(), Rejection> {
        if numbers.is_empty() { Err(Rejection::new("numbers", "not_empty")) } else { Ok(()) }
    }

    fn clean(&self, numbers: Vec<i64>, _: &Facts) -> Result<Vec<i64>, Rejection> {
        Ok(numbers)
    }

    /// Sums each row, weighted by place so that order counts.
    fn predict_batch(&self, batch: &[Vec<i64>]) -> Result<Vec<i64>, ModelError> {
        let fitting = self.sizes.iter().copied().find(|size| *size >= batch.len());
        if fitting.is_none() && !self.sizes.is_empty() {
            return Err(ModelError::new("the batch is larger than the model takes"));
        }
        let (rows, length) = (fitting.unwrap_or(batch.len()), batch.iter().map(Vec::len).max().unwrap_or(0));
        let (mut values, mut mask) = (vec![GARBAGE; rows * length], vec![0; rows * length]);
        for (row, numbers) in batch.iter().enumerate() {
            values[row * length..][..numbers.len()].copy_from_slice(numbers);
            mask[row * length..][..numbers.len()].fill(1);
        }
        self.rows_max.fetch_max(batch.len(), Ordering::Relaxed);
        let rows = values.chunks(length).zip(mask.chunks(length));
        let sums = rows.map(|(values, mask)| {
            (1..).zip(values.iter().zip(mask)).map(|(place, (value, shown))| place * value * shown).sum()
        });
        Ok(sums.take(batch.len()).collect())
    }

    fn format(&self, sum: i64) -> i64 {
        sum
    }

    fn cost(&self, numbers: &Vec<i64>) -> usize {
        numbers.len()
    }

    fn takes_packed_batches(&self) -> bool {
        self.packed
    }

    fn batch_sizes(&self) -> Vec<usize> {
        self.sizes.clone()
    }
}

proptest! {
    #![proptest_config(cases(100))]

    #[test]
    fn an_answer_in_a_batch_is_the_answer_alone(
        items in prop::collection::vec(prop::collection::vec(-1000..1000_i64, 1..40), 2..60),
        packed: bool,
        sizes in prop::sample::select(vec![vec![], vec![1, 4, 8], vec![16]]),
        batch_items_max in 2..40_usize,
    ) {
        let rows_max = Arc::new(AtomicUsize::new(0));
        let model = PaddedSum { packed, sizes, rows_max: Arc::clone(&rows_max) };
        let engine = Engine::builder(model.clone())
            .threads(ThreadPlan::for_cpus(1, ThreadWishes::default()))
            .batch_items_max(batch_items_max)
            .start();
        let alone: Vec<_> = items
            .iter()
            .map(|item| model.predict_batch(std::slice::from_ref(item)).map(|sums| sums[0]))
            .map(|sum| sum.map_err(|ModelError { reason }| Error::ModelFailed { reason }))
            .collect();
        rows_max.store(0, Ordering::Relaxed);
        let together = engine.predict_many_blocking(items);
        prop_assert_eq!(together, alone);
        let largest = model.sizes.last().map_or(batch_items_max, |size| batch_items_max.min(*size));
        prop_assert!(rows_max.load(Ordering::Relaxed) <= largest);
    }
}

#[test]
fn items_of_a_call_do_share_batches() {
    // What the property above says of batches would be empty words if there were none.
    let rows_max = Arc::new(AtomicUsize::new(0));
    let model = PaddedSum { packed: false, sizes: Vec::new(), rows_max: Arc::clone(&rows_max) };
    let engine = Engine::builder(model).threads(ThreadPlan::for_cpus(1, ThreadWishes::default())).start();
    let items: Vec<Vec<i64>> = (1..50).map(|number| vec![number; 10]).collect();
    let sums: Vec<_> = (1..50).map(|number| Ok(number * 55)).collect();
    assert_eq!(engine.predict_many_blocking(items), sums);
    assert!(rows_max.load(Ordering::Relaxed) > 1);
}
