//! What the engines of a process count, in the Prometheus data model: one family for each number, labelled by model.

use std::time::{Duration, Instant};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::exponential_buckets;
use prometheus_client::registry::{Registry, Unit};

use crate::error::Full;
use crate::lookup::LookupMetrics;
use crate::runtime::ShadowMetrics;
use crate::width::Width;
use crate::{Counter, Error, Histogram, Pipeline, Stage, Timings};

use super::batch::Closed;
use super::queue::Batch;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ModelLabel {
    model: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StageLabel {
    model: String,
    stage: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    model: String,
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    model: String,
    outcome: &'static str,
}

/// Most histograms step by two: fine enough for a quantile, few enough to scrape.
fn by_two(first: f64, buckets: u16) -> Histogram {
    Histogram::new(exponential_buckets(first, 2.0, buckets))
}

type Counters<L> = Family<L, Counter>;
type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;

/// The metric families of all engines of a process. Clones share their numbers.
#[derive(Clone)]
pub struct Metrics {
    items: Counters<ModelLabel>,
    coalesced: Counters<ModelLabel>,
    abandoned: Counters<ModelLabel>,
    outcomes: Counters<OutcomeLabel>,
    refused: Counters<ReasonLabel>,
    stages: Histograms<StageLabel>,
    waiting: Family<ModelLabel, Gauge>,
    queue_age: Histograms<ModelLabel>,
    batch_items: Histograms<ModelLabel>,
    batch_cost: Histograms<ModelLabel>,
    padding_ratio: Histograms<ModelLabel>,
    batches_closed: Counters<ReasonLabel>,
    batches_wide: Counters<ModelLabel>,
    runners_replaced: Counters<ModelLabel>,
    cache_hits: Counters<ModelLabel>,
    cache_misses: Counters<ModelLabel>,
    cache_evictions: Counters<ModelLabel>,
    pub(super) lookups: LookupMetrics,
    pub(super) shadows: ShadowMetrics,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            items: Family::default(),
            coalesced: Family::default(),
            abandoned: Family::default(),
            outcomes: Family::default(),
            refused: Family::default(),
            // 10 µs to 40 s.
            stages: Family::new_with_constructor(|| by_two(1e-5, 23)),
            waiting: Family::default(),
            queue_age: Family::new_with_constructor(|| by_two(1e-5, 23)),
            batch_items: Family::new_with_constructor(|| by_two(1.0, 13)),
            batch_cost: Family::new_with_constructor(|| by_two(1.0, 21)),
            padding_ratio: Family::new_with_constructor(|| {
                Histogram::new([1.0, 1.02, 1.05, 1.1, 1.15, 1.2, 1.3, 1.5, 2.0, 3.0, 5.0, 10.0])
            }),
            batches_closed: Family::default(),
            batches_wide: Family::default(),
            runners_replaced: Family::default(),
            cache_hits: Family::default(),
            cache_misses: Family::default(),
            cache_evictions: Family::default(),
            lookups: LookupMetrics::default(),
            shadows: ShadowMetrics::default(),
        }
    }
}

impl Metrics {
    /// Makes the families part of `registry`.
    pub fn register(&self, registry: &mut Registry) {
        let counters = [
            ("items", "Items received, equal ones included", &self.items),
            ("items_coalesced", "Items answered by the result of an equal item in flight", &self.coalesced),
            ("items_abandoned", "Items dropped because their caller had left", &self.abandoned),
            ("batches_wide", "Runs of the model that had all CPUs to themselves", &self.batches_wide),
            ("runners_replaced", "Runners that died and were replaced", &self.runners_replaced),
            ("cache_hits", "Items whose answer was remembered", &self.cache_hits),
            ("cache_misses", "Items whose answer was not remembered", &self.cache_misses),
            (
                "cache_evictions",
                "Answers forgotten for want of room or because they were old",
                &self.cache_evictions,
            ),
        ];
        for (name, help, family) in counters {
            registry.register(name, help, family.clone());
        }
        registry.register("items_answered", "Distinct items by outcome", self.outcomes.clone());
        registry.register(
            "calls_refused",
            "Calls refused at the queue, by what was full",
            self.refused.clone(),
        );
        registry.register(
            "batches_closed",
            "Runs of the model, by why they hold no more items",
            self.batches_closed.clone(),
        );
        registry.register("queue_items", "Items that wait for a runner", self.waiting.clone());
        registry.register("batch_items", "Items in a run of the model", self.batch_items.clone());
        registry.register(
            "batch_cost",
            "Cost of a run of the model, without padding",
            self.batch_cost.clone(),
        );
        let help = "Cost of a run of the model with padding, as a multiple of its cost without";
        registry.register("batch_padding_ratio", help, self.padding_ratio.clone());
        let help = "Time that an item had waited when a runner took it";
        registry.register_with_unit("queue_age", help, Unit::Seconds, self.queue_age.clone());
        registry.register_with_unit("stage", "Time of a call in a stage", Unit::Seconds, self.stages.clone());
        self.lookups.register(registry);
        self.shadows.register(registry);
    }

    /// Returns the numbers of one model's engine, so that counting needs no look-up.
    pub(super) fn of_model(&self, model: &str) -> EngineMetrics {
        let label = ModelLabel { model: model.to_owned() };
        let stage = |stage: Stage| {
            let label = StageLabel { model: model.to_owned(), stage: stage.name() };
            self.stages.get_or_create(&label).clone()
        };
        let counter = |family: &Counters<ModelLabel>| family.get_or_create(&label).clone();
        let histogram = |family: &Histograms<ModelLabel>| family.get_or_create(&label).clone();
        let reason = |family: &Counters<ReasonLabel>, reason| {
            family.get_or_create(&ReasonLabel { model: model.to_owned(), reason }).clone()
        };
        EngineMetrics {
            model: model.to_owned(),
            items: counter(&self.items),
            coalesced: counter(&self.coalesced),
            abandoned: counter(&self.abandoned),
            ok: outcome(&self.outcomes, model, "ok"),
            outcomes: self.outcomes.clone(),
            refused: Full::NAMES.map(|name| (name, reason(&self.refused, name))),
            stages: Stage::ALL.map(stage),
            waiting: self.waiting.get_or_create(&label).clone(),
            queue_age: histogram(&self.queue_age),
            batch_items: histogram(&self.batch_items),
            batch_cost: histogram(&self.batch_cost),
            padding_ratio: histogram(&self.padding_ratio),
            closed: Closed::ALL.map(|closed| reason(&self.batches_closed, closed.name())),
            wide: counter(&self.batches_wide),
            runners_replaced: counter(&self.runners_replaced),
            cache_hits: counter(&self.cache_hits),
            cache_misses: counter(&self.cache_misses),
            cache_evictions: counter(&self.cache_evictions),
        }
    }
}

/// The numbers of one engine.
#[derive(Clone)]
pub(super) struct EngineMetrics {
    model: String,
    items: Counter,
    coalesced: Counter,
    abandoned: Counter,
    ok: Counter,
    outcomes: Counters<OutcomeLabel>,
    refused: [(&'static str, Counter); Full::NAMES.len()],
    stages: [Histogram; Stage::ALL.len()],
    waiting: Gauge,
    queue_age: Histogram,
    batch_items: Histogram,
    batch_cost: Histogram,
    padding_ratio: Histogram,
    closed: [Counter; Closed::ALL.len()],
    wide: Counter,
    runners_replaced: Counter,
    cache_hits: Counter,
    cache_misses: Counter,
    cache_evictions: Counter,
}

impl EngineMetrics {
    /// Counts the items of a call; of those that are equal, all but one are coalesced.
    pub fn received(&self, distinct: usize, repeated: usize) {
        self.items.inc_by((distinct + repeated) as u64);
        if repeated > 0 {
            self.coalesced(repeated);
        }
    }

    pub fn coalesced(&self, items: usize) {
        self.coalesced.inc_by(items as u64);
    }

    pub fn cache(&self, hit: bool) {
        if hit { &self.cache_hits } else { &self.cache_misses }.inc();
    }

    pub fn cache_evicted(&self) {
        self.cache_evictions.inc();
    }

    /// Counts the items that began or ceased to wait: engines of other versions of the model have theirs in the same number.
    pub fn waiting(&self, before: usize, now: usize) {
        let items = |items| i64::try_from(items).unwrap_or(i64::MAX);
        self.waiting.inc_by(items(now) - items(before));
    }

    pub fn refused(&self, full: &Full) {
        if let Some((_, counter)) = self.refused.iter().find(|(name, _)| *name == full.name()) {
            counter.inc();
        }
    }

    pub fn batch<P: Pipeline>(&self, batch: &Batch<P>, started: Instant) {
        self.batch_items.observe(batch.jobs.len() as f64);
        self.batch_cost.observe(batch.run.cost as f64);
        self.padding_ratio.observe(batch.run.padded_cost as f64 / batch.run.cost as f64);
        self.closed[batch.closed as usize].inc();
        if batch.run.width == Width::Wide {
            self.wide.inc();
        }
        for job in &batch.jobs {
            self.queue_age.observe(started.duration_since(job.enqueued).as_secs_f64());
        }
    }

    pub fn abandoned(&self, items: usize) {
        self.abandoned.inc_by(items as u64);
    }

    pub fn runner_replaced(&self) {
        self.runners_replaced.inc();
    }

    pub fn answered<T>(&self, timings: &Timings, results: &[Result<T, Error>]) {
        for (stage, time) in timings.iter().filter(|(_, time)| *time > Duration::ZERO) {
            self.stages[stage as usize].observe(time.as_secs_f64());
        }
        self.ok.inc_by(results.iter().filter(|result| result.is_ok()).count() as u64);
        for error in results.iter().filter_map(|result| result.as_ref().err()) {
            outcome(&self.outcomes, &self.model, error.code()).inc();
        }
    }
}

fn outcome(outcomes: &Family<OutcomeLabel, Counter>, model: &str, outcome: &'static str) -> Counter {
    outcomes.get_or_create(&OutcomeLabel { model: model.to_owned(), outcome }).clone()
}
