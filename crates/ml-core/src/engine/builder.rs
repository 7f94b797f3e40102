//! Sets an engine up.

use std::sync::Arc;
use std::time::Duration;

use crate::engine::batch::Shape;
use crate::engine::cache::{Cache, CacheOptions};
use crate::engine::metrics::{EngineMetrics, Metrics};
use crate::engine::prepare::Preparer;
use crate::engine::queue::{Limits, Queue};
use crate::engine::runner::Runners;
use crate::engine::share::Sharing;
use crate::engine::{Engine, Inner};
use crate::lookup::Sources;
use crate::{Device, Lookup, Pipeline, Source, ThreadPlan};

/// Some seconds' work for a model of a millisecond, and a few megabytes of features.
const QUEUE_ITEMS_MAX: usize = 4096;

/// What may wait in inputs, whatever their number.
const QUEUE_BYTES_MAX: usize = 256 << 20;

/// Longer than anybody likes to wait, and short of where callers give up by themselves.
const QUEUE_WAIT_MAX: Duration = Duration::from_secs(10);

type MakeCache<P> = Box<dyn FnOnce(EngineMetrics) -> Cache<P> + Send>;

/// The settings of an [`Engine`], each with a default that suits a CPU.
pub struct EngineBuilder<P: Pipeline> {
    pipeline: P,
    sources: Sources,
    threads: ThreadPlan,
    preprocess: Option<Arc<rayon::ThreadPool>>,
    batch_items_max: Option<usize>,
    queue_items_max: usize,
    queue_bytes_max: usize,
    queue_wait_max: Duration,
    share_in_flight: bool,
    cache: Option<MakeCache<P>>,
    metrics: Metrics,
    name: String,
}

impl<P: Pipeline> EngineBuilder<P> {
    pub(super) fn new(pipeline: P) -> Self {
        Self {
            pipeline,
            sources: Sources::default(),
            threads: ThreadPlan::default(),
            preprocess: None,
            batch_items_max: None,
            queue_items_max: QUEUE_ITEMS_MAX,
            queue_bytes_max: QUEUE_BYTES_MAX,
            queue_wait_max: QUEUE_WAIT_MAX,
            share_in_flight: true,
            cache: None,
            metrics: Metrics::default(),
            name: String::new(),
        }
    }

    /// Sets how many threads there are. By default decided from the CPUs.
    #[must_use]
    pub fn threads(mut self, threads: ThreadPlan) -> Self {
        self.threads = threads;
        self
    }

    /// Cleans on this pool, to share one among several engines. By default each engine has its own.
    #[must_use]
    pub fn preprocess_pool(mut self, pool: Arc<rayon::ThreadPool>) -> Self {
        self.preprocess = Some(pool);
        self
    }

    /// Sets the most items in one run of the model, at least 1. By default what suits the devices of the pipeline's
    /// [models](Pipeline::models), [`Device::batch_items_max`]: 64 on a CPU.
    ///
    /// How many of them pay is learned: a batch grows while that makes the work quicker.
    #[must_use]
    pub fn batch_items_max(mut self, items: usize) -> Self {
        self.batch_items_max = Some(items.max(1));
        self
    }

    /// Sets how many items may wait, at least 1; a call that finds no room is refused. 4,096 by default.
    #[must_use]
    pub fn queue_items_max(mut self, items: usize) -> Self {
        self.queue_items_max = items.max(1);
        self
    }

    /// Sets how many bytes of inputs may wait, at least 1 KiB; a call that finds no room is refused. 256 MiB by default.
    #[must_use]
    pub fn queue_bytes_max(mut self, bytes: usize) -> Self {
        self.queue_bytes_max = bytes;
        self
    }

    /// Sets how long the estimated wait of a call may be; one that would wait longer is refused. 10 s by default.
    ///
    /// So is one that would wait beyond its own deadline.
    #[must_use]
    pub fn queue_wait_max(mut self, wait: Duration) -> Self {
        self.queue_wait_max = wait;
        self
    }

    /// Sets whether an item that equals one in flight, from any call, gets that one's answer. True by default.
    #[must_use]
    pub fn share_in_flight(mut self, share: bool) -> Self {
        self.share_in_flight = share;
        self
    }

    /// Remembers answers, for pipelines that answer equal items alike for as long as `options` say. Off by default.
    ///
    /// `output_bytes` tells what an output occupies, what it points to included; an input tells by itself, through
    /// its `Hash`.
    #[must_use]
    pub fn cache(
        mut self,
        options: CacheOptions,
        output_bytes: impl Fn(&P::Output) -> usize + Send + Sync + 'static,
    ) -> Self {
        self.cache = Some(Box::new(move |metrics| Cache::new(options, output_bytes, metrics)));
        self
    }

    /// Adds a source of external facts under the name that the pipeline's keys use.
    ///
    /// A [`Lookup`] alone is asked with the settings of [`Source::new`].
    #[must_use]
    pub fn lookup<L: Lookup>(mut self, name: &'static str, source: impl Into<Source<L>>) -> Self {
        self.sources.add(name, source.into());
        self
    }

    /// Counts into `metrics`, under the name of this model.
    #[must_use]
    pub fn metrics(mut self, metrics: &Metrics, model: impl Into<String>) -> Self {
        self.metrics = metrics.clone();
        self.name = model.into();
        self
    }

    /// Starts the runner threads.
    pub fn start(self) -> Engine<P> {
        let pipeline = Arc::new(self.pipeline);
        let models = pipeline.models();
        // A runner more than that would only wait for the others, with items that would have made their batches larger.
        let runs_at_once = models.iter().map(|model| model.runs_at_once()).min();
        let runners = self.threads.runners.min(runs_at_once.unwrap_or(usize::MAX)).max(1);
        let metrics = self.metrics.of_model(&self.name);
        models.iter().for_each(|model| model.count_shadow(&self.metrics.shadows, &self.name));
        let mut sizes = pipeline.batch_sizes();
        sizes.retain(|size| *size > 0);
        sizes.sort_unstable();
        let suits = models.iter().map(|model| model.device().batch_items_max()).min();
        let suits = suits.unwrap_or_else(|| Device::Cpu.batch_items_max());
        let items_max = self.batch_items_max.unwrap_or(suits);
        let items_max = sizes.last().map_or(items_max, |most| items_max.min(*most));
        let limits = Limits {
            items_max: self.queue_items_max,
            bytes_max: self.queue_bytes_max,
            wait_max: self.queue_wait_max,
            runners,
            shape: Shape { items_max, packed: pipeline.takes_packed_batches(), sizes },
        };
        let queue = Arc::new(Queue::new(limits, metrics.clone()));
        let pool = self.preprocess.or_else(|| preprocess_pool(self.threads.preprocess));
        let cache = self.cache.map(|make| make(metrics.clone()));
        let shares = self.share_in_flight || cache.is_some();
        Engine {
            inner: Arc::new(Inner {
                preparer: Preparer::new(Arc::clone(&pipeline), pool),
                sources: self.sources.start(&self.metrics.lookups, &self.name),
                sharing: shares.then(|| Sharing::new(cache, metrics.clone())),
                runners: Runners::start(runners, &pipeline, &queue, &metrics),
                pipeline,
                queue,
                metrics,
            }),
        }
    }
}

/// Makes the pool that large calls are cleaned on; `None`, and a log line, where the system gives no threads.
pub fn preprocess_pool(threads: usize) -> Option<Arc<rayon::ThreadPool>> {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads.max(1))
        .thread_name(|index| format!("preprocess-{index}"))
        .build();
    pool.inspect_err(|error| tracing::error!(%error, "no preprocess pool: items are cleaned one by one"))
        .ok()
        .map(Arc::new)
}
