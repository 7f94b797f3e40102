//! The engine: takes one item or many through a pipeline, and gives each its own result, in order.
//!
//! Callers hold an [`Engine`]. It removes equal items, of one call and in flight from several, prepares the rest on the
//! caller's side, puts them into the bounded queue, and formats what the runner threads send back. Nothing reaches
//! back up this path.

mod answer;
mod batch;
mod builder;
mod cache;
mod dedup;
mod metrics;
mod pace;
mod prepare;
mod queue;
mod room;
mod runner;
mod share;
mod sync;
mod waiting;
mod wake;

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::{Either, select};

use crate::lookup::Running;
use crate::{Error, Pipeline, Stage, Timings};

use self::answer::Pending;
pub use self::builder::{EngineBuilder, preprocess_pool};
pub use self::cache::CacheOptions;
use self::dedup::Deduplicated;
use self::metrics::EngineMetrics;
pub use self::metrics::Metrics;
pub(crate) use self::prepare::panic_message;
use self::prepare::{Prepared, Preparer};
use self::queue::{Load, Queue, Weighed};
use self::runner::Runners;
use self::share::{Follower, Role, Sharing};
pub use self::waiting::Priority;

/// How one call wants to be treated.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CallOptions {
    /// When the caller stops waiting: an item that the model has not started by then is not computed.
    pub deadline: Option<Instant>,
    /// What to do when the queue has no room.
    pub when_full: WhenFull,
    /// Whether somebody waits for the answer.
    pub priority: Priority,
    /// Whether the items are computed whatever is remembered or in flight, as a check of the model wants it. It is about
    /// answers, not facts: these may come from a lookup's cache, since a source that is down is no fault of the model's.
    pub fresh: bool,
}

/// What a call does when the queue has no room for its items.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum WhenFull {
    /// Fails at once with [`Error::Overloaded`], so that the caller can go elsewhere.
    #[default]
    Refuse,
    /// Waits for room, first come first served: for bulk work that has nowhere else to go.
    Wait,
}

/// What a call gets back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer<T> {
    /// One result for each item, in the order of the items.
    pub results: Vec<Result<T, Error>>,
    /// How long the call spent in each stage.
    pub timings: Timings,
}

/// Runs a [`Pipeline`]. Cheap to clone; the runner threads end when the last clone is gone.
///
/// ```
/// # use ml_core::{Engine, Facts, ModelError, Pipeline, Rejection};
/// # struct Doubler;
/// # impl Pipeline for Doubler {
/// #     type Input = i64; type Features = i64; type Prediction = i64; type Output = i64;
/// #     fn validate(&self, n: &i64) -> Result<(), Rejection> {
/// #         if *n < 0 { Err(Rejection::new("n", "range").value(n)) } else { Ok(()) }
/// #     }
/// #     fn clean(&self, n: i64, _: &Facts) -> Result<i64, Rejection> { Ok(n) }
/// #     fn predict_batch(&self, b: &[i64]) -> Result<Vec<i64>, ModelError> { Ok(b.iter().map(|n| n * 2).collect()) }
/// #     fn format(&self, n: i64) -> i64 { n }
/// # }
/// let engine = Engine::builder(Doubler).batch_items_max(8).start();
/// let results = engine.predict_many_blocking(vec![1, -2, 3]);
/// assert_eq!(results[0], Ok(2));
/// assert_eq!(results[1].as_ref().unwrap_err().code(), "invalid_item");
/// assert_eq!(results[2], Ok(6));
/// ```
pub struct Engine<P: Pipeline> {
    inner: Arc<Inner<P>>,
}

struct Inner<P: Pipeline> {
    pipeline: Arc<P>,
    sources: Running,
    preparer: Preparer<P>,
    sharing: Option<Sharing<P>>,
    queue: Arc<Queue<P>>,
    metrics: EngineMetrics,
    // Dropped last: closes the queue and waits for the runners, which answer what was accepted.
    runners: Runners<P>,
}

impl<P: Pipeline> Clone for Engine<P> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

impl<P: Pipeline> Engine<P> {
    /// Starts an engine with default settings.
    pub fn new(pipeline: P) -> Self {
        Self::builder(pipeline).start()
    }

    /// Sets an engine up: sizes, threads, lookups.
    pub fn builder(pipeline: P) -> EngineBuilder<P> {
        EngineBuilder::new(pipeline)
    }

    /// Predicts one item.
    ///
    /// # Errors
    /// See [`Error`] for each reason why an item can have no answer.
    pub async fn predict(&self, item: P::Input) -> Result<P::Output, Error> {
        let answer = self.call(vec![item], CallOptions::default()).await;
        // A call has as many results as items; were that ever broken, the caller gets an error, not a panic.
        answer.results.into_iter().next().unwrap_or(Err(Error::ShuttingDown))
    }

    /// Predicts many items: one result for each, in order. An item's error costs no other item its answer.
    pub async fn predict_many(&self, items: Vec<P::Input>) -> Vec<Result<P::Output, Error>> {
        self.call(items, CallOptions::default()).await.results
    }

    /// Predicts one item and blocks the thread until the answer is there. Not for use inside async code.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn predict_blocking(&self, item: P::Input) -> Result<P::Output, Error> {
        pollster::block_on(self.predict(item))
    }

    /// Predicts many items and blocks the thread until all answers are there. Not for use inside async code.
    pub fn predict_many_blocking(&self, items: Vec<P::Input>) -> Vec<Result<P::Output, Error>> {
        pollster::block_on(self.predict_many(items))
    }

    /// Predicts many items as `options` say, and tells how long each stage took.
    ///
    /// Dropping the returned future means that the caller has left: what the model has not started is dropped.
    pub async fn call(&self, items: Vec<P::Input>, options: CallOptions) -> Answer<P::Output> {
        let mut timings = Timings::default();
        let Deduplicated { distinct, places } = dedup::deduplicate(items);
        self.inner.metrics.received(distinct.len(), places.repeated(distinct.len()));

        let outputs = match &self.inner.sharing {
            Some(sharing) if !options.fresh => self.share(sharing, distinct, options, &mut timings).await,
            // Boxed, here and below: two small allocations are quicker than one that is beyond the allocator's own cache
            // (1 KiB in glibc).
            _ => Box::pin(self.compute(distinct, options, &mut timings)).await,
        };
        self.inner.metrics.answered(&timings, &outputs);
        Answer { results: places.spread(outputs), timings }
    }

    /// Answers each item from the cache, by an equal item in flight, or by computing it.
    async fn share(
        &self,
        sharing: &Sharing<P>,
        inputs: Vec<P::Input>,
        mut options: CallOptions,
        timings: &mut Timings,
    ) -> Vec<Result<P::Output, Error>> {
        let mut results: Vec<_> = inputs.iter().map(|_| Err(Error::ShuttingDown)).collect();
        let all = inputs.into_iter().enumerate();
        let mut open = self.share_once(sharing, all, &mut results, options, timings).await;
        while !open.is_empty() {
            // Those whose leader gave up try again, and this time they wait for room: they were taken in long ago.
            options.when_full = WhenFull::Wait;
            // Boxed, as all that is seldom awaited: a call is as large as its largest way.
            let again = self.share_once(sharing, open.into_iter(), &mut results, options, timings);
            open = Box::pin(again).await;
        }
        results
    }

    /// Puts each item's result into its place, and returns those whose leader gave up.
    async fn share_once(
        &self,
        sharing: &Sharing<P>,
        items: impl ExactSizeIterator<Item = (usize, P::Input)>,
        results: &mut [Result<P::Output, Error>],
        options: CallOptions,
        timings: &mut Timings,
    ) -> Vec<(usize, P::Input)> {
        let (mut inputs, mut leads) = (Vec::with_capacity(items.len()), Vec::with_capacity(items.len()));
        let mut follows = Vec::new();
        for (place, input) in items {
            match sharing.join(input, options) {
                Role::Known(output) => results[place] = Ok(output),
                Role::Lead(input, lead) => {
                    inputs.push(input);
                    leads.push((place, Some(lead)));
                }
                Role::Alone(input) => {
                    inputs.push(input);
                    leads.push((place, None));
                }
                Role::Follow(input, follower) => {
                    results[place] = Err(Error::DeadlineExceeded);
                    follows.push((place, input, follower));
                }
            }
        }
        let computed = Box::pin(self.compute(inputs, options, timings)).await;
        // What was made of an old fact, or of none, is an answer for now: it is not remembered beyond the source's return.
        let to_remember = timings.facts_are_good();
        for ((place, lead), result) in leads.into_iter().zip(computed) {
            if let Some(lead) = lead {
                lead.answered(&result, to_remember);
            }
            results[place] = result;
        }
        if follows.is_empty() {
            return Vec::new();
        }
        let following = Box::pin(self.in_time(follow(follows, results), options.deadline));
        timed(timings, Stage::Queue, following).await.unwrap_or_default()
    }

    /// Awaits what others do, until the deadline: an equal item may wait for its facts for longer than this one can.
    ///
    /// Without lookups nothing waits for others than the model, which knows deadlines itself.
    async fn in_time<T>(&self, work: impl Future<Output = T>, deadline: Option<Instant>) -> Option<T> {
        let Some(time_is_up) = deadline.and_then(|deadline| self.inner.sources.until(deadline)) else {
            return Some(work.await);
        };
        match select(pin!(work), pin!(time_is_up)).await {
            Either::Left((done, _)) => Some(done),
            Either::Right(_) => None,
        }
    }

    /// Takes items the whole way: validate, look up, clean, queue, predict, format.
    async fn compute(
        &self,
        inputs: Vec<P::Input>,
        options: CallOptions,
        timings: &mut Timings,
    ) -> Vec<Result<P::Output, Error>> {
        if inputs.is_empty() {
            return Vec::new();
        }
        // Refused before anything is done for it: what is refused must cost next to nothing.
        if let Err(error) = self.inner.queue.admit(options) {
            return inputs.iter().map(|_| Err(error.clone())).collect();
        }
        let bytes = inputs.iter().map(cache::content_bytes).sum();
        let prepared = self.prepare(inputs, options, timings).await;
        let predicted = self.predict_prepared(prepared, bytes, options, timings).await;
        let (formatted, time) = self.inner.preparer.format(predicted).await;
        timings.raise(Stage::Format, time);
        formatted
    }

    /// Validates, looks up and cleans; what fails here never reaches the queue.
    async fn prepare(
        &self,
        inputs: Vec<P::Input>,
        options: CallOptions,
        timings: &mut Timings,
    ) -> Vec<Prepared<P>> {
        let Inner { preparer, sources, queue, .. } = &*self.inner;
        let (valid, time) = preparer.validate(inputs).await;
        timings.raise(Stage::Validate, time);
        let (cleaned, time) = if sources.is_empty() {
            preparer.clean_without_facts(valid).await
        } else {
            // Facts that leave the model no time are as good as none: what can be had instead is then taken.
            let looking_up = Box::pin(preparer.look_up(valid, sources, queue.prepared_by(options)));
            let (looked_up, counts) = timed(timings, Stage::Lookup, looking_up).await;
            timings.looked_up(counts);
            Box::pin(preparer.clean(looked_up)).await
        };
        timings.raise(Stage::Clean, time);
        cleaned
    }

    /// Sends the good items through the queue and puts their predictions back among the failed ones.
    async fn predict_prepared(
        &self,
        prepared: Vec<Prepared<P>>,
        bytes: usize,
        options: CallOptions,
        timings: &mut Timings,
    ) -> Vec<Result<P::Prediction, Error>> {
        let mut items = Vec::with_capacity(prepared.len());
        let mut failed = Vec::new();
        for (place, item) in prepared.into_iter().enumerate() {
            match item {
                Ok(item) => items.push(item),
                Err(error) => failed.push((place, error)),
            }
        }
        let predictions = self.enqueue(items, bytes, options, timings).await;
        put_back(predictions, failed)
    }

    async fn enqueue(
        &self,
        items: Vec<Weighed<P::Features>>,
        bytes: usize,
        options: CallOptions,
        timings: &mut Timings,
    ) -> Vec<Result<P::Prediction, Error>> {
        let count = items.len();
        if count == 0 {
            return Vec::new();
        }
        let (pending, tickets) = Pending::new(count);
        match self.inner.queue.push(Load { items, tickets, bytes }, options).await {
            Ok(call) => self.inner.runners.help(call),
            Err(error) => return (0..count).map(|_| Err(error.clone())).collect(),
        }
        let done = pending.wait().await;
        timings.set(Stage::Queue, done.queued);
        timings.set(Stage::Predict, done.predicted);
        let mut results = done.results;
        results.resize_with(count, || Err(Error::ShuttingDown));
        results
    }

    /// Returns the pipeline.
    pub fn pipeline(&self) -> &P {
        &self.inner.pipeline
    }

    /// Returns how many items wait for a runner.
    pub fn waiting_items(&self) -> usize {
        self.inner.queue.len()
    }

    /// Returns how long a new item would wait, from the measured rate of the runners.
    pub fn estimated_wait(&self, priority: Priority) -> Duration {
        self.inner.queue.estimated_wait(priority)
    }

    /// Returns whether every runner thread is alive and takes work.
    pub fn is_running(&self) -> bool {
        self.inner.runners.all_alive()
    }

    /// Returns when the model last answered a whole batch: a proof that it works, which no remembered answer is.
    pub fn last_success(&self) -> Option<Instant> {
        self.inner.queue.last_success()
    }

    /// Takes no new work from now on; what was accepted is still answered.
    pub fn close(&self) {
        self.inner.queue.close();
    }
}

/// Puts the errors of failed items, whose places ascend, between the results of the others.
fn put_back<T>(results: Vec<Result<T, Error>>, failed: Vec<(usize, Error)>) -> Vec<Result<T, Error>> {
    if failed.is_empty() {
        return results;
    }
    let mut all = Vec::with_capacity(results.len() + failed.len());
    let mut results = results.into_iter();
    for (place, error) in failed {
        all.extend(results.by_ref().take(place - all.len()));
        all.push(Err(error));
    }
    all.extend(results);
    all
}

/// Waits for the answers of the items that are followed; returns those that nobody answers any more.
async fn follow<I, O: Clone>(
    follows: Vec<(usize, I, Follower<O>)>,
    results: &mut [Result<O, Error>],
) -> Vec<(usize, I)> {
    let mut open = Vec::new();
    for (place, input, follower) in follows {
        match follower.answer().await {
            Some(result) => results[place] = result,
            None => open.push((place, input)),
        }
    }
    open
}

async fn timed<T>(timings: &mut Timings, stage: Stage, work: impl Future<Output = T>) -> T {
    let started = Instant::now();
    let value = work.await;
    timings.raise(stage, started.elapsed());
    value
}
