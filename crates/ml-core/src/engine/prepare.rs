//! The caller's side of the path: validate, look up, clean and format, on all cores when that pays.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rayon::ThreadPool;
use rayon::prelude::*;
use tokio::sync::oneshot;

use crate::lookup::{LookupCounts, Running};
use crate::{Error, Facts, Pipeline, Stage, Striped};

use super::queue::Weighed;

/// An item that is ready for the queue, or the reason why it never will be.
pub(super) type Prepared<P> = Result<Weighed<<P as Pipeline>::Features>, Error>;

/// What a stage made of each item, and how long it took.
pub(super) type Staged<T> = (Vec<Result<T, Error>>, Duration);

/// The inputs of a call, and the facts that they named.
pub(super) struct LookedUp<P: Pipeline> {
    inputs: Vec<Result<P::Input, Error>>,
    facts: Facts,
}

/// How many hand-overs to the pool a stage's work must outweigh before it goes there.
///
/// At eight, the hand-over is at most an eighth of the work that it spreads over the cores.
const HAND_OVERS_TO_PAY: u32 = 8;

/// The measured cost of handing work to the pool and getting it back is taken to be at least this.
///
/// A lucky measurement at start-up must not make the engine hand over a microsecond's work.
const HAND_OVER_MIN: Duration = Duration::from_micros(2);

/// Runs the caller-side stages of one pipeline.
pub(super) struct Preparer<P: Pipeline> {
    pipeline: Arc<P>,
    /// None where the system gave no threads: everything is then done on the caller's thread.
    pool: Option<Pool>,
    // Each thread learns for itself: what all of them wrote to would cost more than many a stage.
    validate: Striped<StageCost>,
    clean: Striped<StageCost>,
    format: Striped<StageCost>,
}

impl<P: Pipeline> Preparer<P> {
    /// Measures what a hand-over to `pool` costs, and starts with no idea of what the stages cost.
    pub fn new(pipeline: Arc<P>, pool: Option<Arc<ThreadPool>>) -> Self {
        let pool = pool.map(|threads| Pool { hand_over: measure_hand_over(&threads), threads });
        let [validate, clean, format] = [(); 3].map(|()| Striped::default());
        Self { pipeline, pool, validate, clean, format }
    }

    /// Checks each input.
    pub async fn validate(&self, inputs: Vec<P::Input>) -> Staged<P::Input> {
        self.each(Stage::Validate, self.validate.own(), inputs, |pipeline, input| {
            pipeline.validate(&input).map_err(Error::Rejected)?;
            Ok(input)
        })
        .await
    }

    /// Cleans each valid input of a pipeline without lookups.
    pub async fn clean_without_facts(
        &self,
        valid: Vec<Result<P::Input, Error>>,
    ) -> Staged<Weighed<P::Features>> {
        self.each(Stage::Clean, self.clean.own(), valid, |pipeline, input| {
            cleaned(pipeline, input?, &Facts::default())
        })
        .await
    }

    /// Fetches the facts that the valid inputs name, once for the whole call.
    pub async fn look_up(
        &self,
        valid: Vec<Result<P::Input, Error>>,
        sources: &Running,
        deadline: Option<Instant>,
    ) -> (LookedUp<P>, LookupCounts) {
        let mut facts = Facts::default();
        let name_keys = |input: Result<P::Input, Error>| {
            let input = input?;
            let keys = guarded(Stage::Lookup, || Ok(self.pipeline.lookups(&input)))?;
            let places: Vec<usize> = keys.into_iter().map(|key| facts.name(key)).collect();
            Ok::<_, Error>((input, places))
        };
        let named: Vec<_> = valid.into_iter().map(name_keys).collect();
        let counts = sources.gather(&mut facts, deadline).await;
        let with_facts = |item: Result<(P::Input, Vec<usize>), Error>| {
            let (input, places) = item?;
            facts.failure(&places).map_or(Ok(input), Err)
        };
        let inputs = named.into_iter().map(with_facts).collect();
        (LookedUp { inputs, facts }, counts)
    }

    /// Cleans each valid input with the facts of the call.
    pub async fn clean(&self, LookedUp { inputs, facts }: LookedUp<P>) -> Staged<Weighed<P::Features>> {
        let cost = self.clean.own();
        self.each(Stage::Clean, cost, inputs, move |pipeline, input| cleaned(pipeline, input?, &facts)).await
    }

    /// Formats each prediction.
    pub async fn format(&self, predicted: Vec<Result<P::Prediction, Error>>) -> Staged<P::Output> {
        let cost = self.format.own();
        self.each(Stage::Format, cost, predicted, |pipeline, prediction| Ok(pipeline.format(prediction?)))
            .await
    }

    /// Applies `work` to each item: here while that is cheap, else on the pool without blocking this thread.
    async fn each<T, R>(
        &self,
        stage: Stage,
        cost: &StageCost,
        items: Vec<T>,
        work: impl Fn(&P, T) -> Result<R, Error> + Send + Sync + 'static,
    ) -> Staged<R>
    where
        T: Send + 'static,
        R: Send + 'static,
    {
        let pipeline = &*self.pipeline;
        let (count, mut now) = (items.len(), Instant::now());
        let began = now;
        let mut lap = || {
            let started = std::mem::replace(&mut now, Instant::now());
            now.duration_since(started)
        };
        let mut done = Vec::with_capacity(count);
        let mut items = items.into_iter();
        while cost.of(count).is_none() && items.len() > 0 {
            // Too little is known yet: the first items tell what the others will cost.
            done.extend(items.next().map(|item| guarded(stage, || work(pipeline, item))));
            cost.observe(lap(), 1);
        }
        let rest = cost.of(items.len()).unwrap_or_default();
        match self.pool.as_ref().filter(|pool| rest >= pool.hand_over * HAND_OVERS_TO_PAY) {
            Some(pool) => {
                // Boxed: most calls take the other way.
                let pipeline = Arc::clone(&self.pipeline);
                let work = move |item| guarded(stage, || work(&pipeline, item));
                let shared = pool.each(items.collect(), rest, work);
                done.extend(Box::pin(shared).await);
                lap();
            }
            None => {
                let inline = items.len();
                done.extend(items.map(|item| guarded(stage, || work(pipeline, item))));
                cost.observe(lap(), inline);
            }
        }
        done.resize_with(count, || Err(Error::ShuttingDown));
        (done, now.duration_since(began))
    }
}

fn cleaned<P: Pipeline>(pipeline: &P, input: P::Input, facts: &Facts) -> Prepared<P> {
    let features = pipeline.clean(input, facts)?;
    let cost = pipeline.cost(&features);
    Ok(Weighed { features, cost })
}

/// The threads that share a large call's work, and what a hand-over to them costs.
struct Pool {
    threads: Arc<ThreadPool>,
    hand_over: Duration,
}

impl Pool {
    /// Applies `work` to items that are estimated to take `total` on one thread; awaits without blocking.
    async fn each<T, R>(
        &self,
        items: Vec<T>,
        total: Duration,
        work: impl Fn(T) -> R + Send + Sync + 'static,
    ) -> Vec<R>
    where
        T: Send + 'static,
        R: Send + 'static,
    {
        let hand_overs = total.as_nanos() / self.hand_over.as_nanos().max(1);
        // A chunk is worth at least one hand-over.
        let chunk = items.len().div_ceil(usize::try_from(hand_overs).unwrap_or(usize::MAX).max(1));
        let (sender, receiver) = oneshot::channel();
        self.threads.spawn(move || {
            let results: Vec<R> = items.into_par_iter().with_min_len(chunk).map(work).collect();
            drop(sender.send(results)); // A caller that has left needs no results.
        });
        receiver.await.unwrap_or_default()
    }
}

/// Runs one item's stage; a panic becomes that item's error.
pub(super) fn guarded<R>(stage: Stage, work: impl FnOnce() -> Result<R, Error>) -> Result<R, Error> {
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|panic| Err(Error::Panicked { stage, reason: panic_message(&*panic) }))
}

/// Drops features, whatever their own code does then.
pub(super) fn dropped<F>(features: F) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(features))) {
        tracing::error!(reason = panic_message(&*panic), "features panicked when they were dropped");
    }
}

/// Returns the text of a panic.
pub(crate) fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message").to_owned()
}

/// The measured cost of one stage of one pipeline, as a moving average in nanoseconds an item.
#[derive(Default)]
struct StageCost {
    nanos_per_item: AtomicU64,
    observations: AtomicU64,
}

/// Fewer observations than this may all be of disturbed runs.
const OBSERVATIONS_MIN: u64 = 3;

impl StageCost {
    /// Estimates the work of `items` items; `None` while too little was measured.
    fn of(&self, items: usize) -> Option<Duration> {
        let nanos = self.nanos_per_item.load(Ordering::Relaxed);
        (self.observations.load(Ordering::Relaxed) >= OBSERVATIONS_MIN)
            .then(|| Duration::from_nanos(nanos.saturating_mul(items as u64)))
    }

    /// Learns from `items` items that took `time` on one thread.
    ///
    /// The first observations count by the least of them, each later one for an eighth and for at most
    /// twice what is known: a thread that was interrupted at its work says little about the work.
    fn observe(&self, time: Duration, items: usize) {
        if items == 0 {
            return;
        }
        let seen = u64::try_from(time.as_nanos() / items as u128).unwrap_or(u64::MAX).max(1);
        let known = self.nanos_per_item.load(Ordering::Relaxed);
        let next = match self.observations.fetch_add(1, Ordering::Relaxed) {
            0 => seen,
            earlier if earlier < OBSERVATIONS_MIN => known.min(seen),
            _ => known.saturating_mul(7).saturating_add(seen.min(known.saturating_mul(2))) / 8,
        };
        self.nanos_per_item.store(next.max(1), Ordering::Relaxed);
    }
}

/// Measures what it costs to hand work to the pool and to get it back: the median of a few empty hand-overs.
fn measure_hand_over(pool: &ThreadPool) -> Duration {
    let mut times: Vec<Duration> = (0..9)
        .map(|_| {
            let started = Instant::now();
            pool.install(|| ());
            started.elapsed()
        })
        .collect();
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default().max(HAND_OVER_MIN)
}
