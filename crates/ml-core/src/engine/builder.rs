//! Sets an engine up.

use std::sync::Arc;

use crate::engine::metrics::Metrics;
use crate::engine::prepare::Preparer;
use crate::engine::queue::{Limits, Queue};
use crate::engine::runner::Runners;
use crate::engine::{Engine, Inner};
use crate::lookup::Sources;
use crate::{Lookup, Pipeline, ThreadPlan};

/// More items than this gain no throughput on a CPU: raw MiniLM peaks at 8 to 16 (317 and 314 texts/s, 286 at 32).
const BATCH_ITEMS_MAX: usize = 16;

/// Some seconds' work for a model of a millisecond, and a few megabytes of features.
const QUEUE_ITEMS_MAX: usize = 4096;

/// The settings of an [`Engine`], each with a default that suits a CPU.
pub struct EngineBuilder<P: Pipeline> {
    pipeline: P,
    sources: Sources,
    threads: ThreadPlan,
    preprocess: Option<Arc<rayon::ThreadPool>>,
    batch_items_max: usize,
    queue_items_max: usize,
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
            batch_items_max: BATCH_ITEMS_MAX,
            queue_items_max: QUEUE_ITEMS_MAX,
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

    /// Sets the most items in one run of the model, at least 1. 16 by default.
    #[must_use]
    pub fn batch_items_max(mut self, items: usize) -> Self {
        self.batch_items_max = items.max(1);
        self
    }

    /// Sets how many items may wait, at least 1; a call that finds no room is refused. 4,096 by default.
    #[must_use]
    pub fn queue_items_max(mut self, items: usize) -> Self {
        self.queue_items_max = items.max(1);
        self
    }

    /// Adds a source of external facts under the name that the pipeline's keys use.
    #[must_use]
    pub fn lookup(mut self, name: &'static str, source: impl Lookup) -> Self {
        self.sources.add(name, source);
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
        let runners = self.threads.runners.max(1);
        let metrics = self.metrics.of_model(&self.name);
        let limits =
            Limits { items_max: self.queue_items_max, batch_items_max: self.batch_items_max, runners };
        let queue = Arc::new(Queue::new(limits, metrics.clone()));
        let pool = self.preprocess.or_else(|| preprocess_pool(self.threads.preprocess));
        Engine {
            inner: Arc::new(Inner {
                preparer: Preparer::new(Arc::clone(&pipeline), pool),
                sources: self.sources,
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
