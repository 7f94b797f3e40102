//! What the engines of a process count, in the Prometheus data model: one family for each number, labelled by model.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use crate::{Error, Stage, Timings};

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
struct OutcomeLabel {
    model: String,
    outcome: &'static str,
}

/// The metric families of all engines of a process. Clones share their numbers.
#[derive(Clone)]
pub struct Metrics {
    items: Family<ModelLabel, Counter>,
    coalesced: Family<ModelLabel, Counter>,
    abandoned: Family<ModelLabel, Counter>,
    outcomes: Family<OutcomeLabel, Counter>,
    stages: Family<StageLabel, Histogram>,
    waiting: Family<ModelLabel, Gauge>,
    batch_items: Family<ModelLabel, Histogram>,
    batch_cost: Family<ModelLabel, Histogram>,
    padding: Family<ModelLabel, Counter<f64, AtomicU64>>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            items: Family::default(),
            coalesced: Family::default(),
            abandoned: Family::default(),
            outcomes: Family::default(),
            // 10 µs to 40 s in steps of 2: fine enough for a quantile, few enough to scrape.
            stages: Family::new_with_constructor(|| Histogram::new(exponential_buckets(1e-5, 2.0, 23))),
            waiting: Family::default(),
            batch_items: Family::new_with_constructor(|| Histogram::new(exponential_buckets(1.0, 2.0, 11))),
            batch_cost: Family::new_with_constructor(|| Histogram::new(exponential_buckets(1.0, 2.0, 21))),
            padding: Family::default(),
        }
    }
}

impl Metrics {
    /// Makes the families part of `registry`.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("items", "Items received, equal ones included", self.items.clone());
        registry.register(
            "items_coalesced",
            "Items answered by an equal item's result",
            self.coalesced.clone(),
        );
        registry.register(
            "items_abandoned",
            "Items dropped because their caller had left",
            self.abandoned.clone(),
        );
        registry.register("items_answered", "Distinct items by outcome", self.outcomes.clone());
        registry.register("queue_items", "Items that wait for a runner", self.waiting.clone());
        registry.register("batch_items", "Items in a run of the model", self.batch_items.clone());
        registry.register(
            "batch_cost",
            "Cost of a run of the model, without padding",
            self.batch_cost.clone(),
        );
        registry.register(
            "batch_padding_cost",
            "Cost that was computed on padding alone",
            self.padding.clone(),
        );
        registry.register_with_unit("stage", "Time of a call in a stage", Unit::Seconds, self.stages.clone());
    }

    /// Returns the numbers of one model's engine, so that counting needs no look-up.
    pub(super) fn of_model(&self, model: &str) -> EngineMetrics {
        let label = ModelLabel { model: model.to_owned() };
        let stage = |stage: Stage| {
            let label = StageLabel { model: model.to_owned(), stage: stage.name() };
            self.stages.get_or_create(&label).clone()
        };
        EngineMetrics {
            model: model.to_owned(),
            items: self.items.get_or_create(&label).clone(),
            coalesced: self.coalesced.get_or_create(&label).clone(),
            abandoned: self.abandoned.get_or_create(&label).clone(),
            ok: outcome(&self.outcomes, model, "ok"),
            outcomes: self.outcomes.clone(),
            stages: Stage::ALL.map(stage),
            waiting: self.waiting.get_or_create(&label).clone(),
            batch_items: self.batch_items.get_or_create(&label).clone(),
            batch_cost: self.batch_cost.get_or_create(&label).clone(),
            padding: self.padding.get_or_create(&label).clone(),
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
    outcomes: Family<OutcomeLabel, Counter>,
    stages: [Histogram; Stage::ALL.len()],
    waiting: Gauge,
    batch_items: Histogram,
    batch_cost: Histogram,
    padding: Counter<f64, AtomicU64>,
}

impl EngineMetrics {
    pub fn received(&self, items: usize, distinct: usize) {
        self.items.inc_by(items as u64);
        self.coalesced.inc_by((items - distinct) as u64);
    }

    pub fn waiting(&self, items: usize) {
        self.waiting.set(i64::try_from(items).unwrap_or(i64::MAX));
    }

    pub fn batch(&self, items: usize, cost: usize, padded_cost: usize) {
        self.batch_items.observe(items as f64);
        self.batch_cost.observe(cost as f64);
        self.padding.inc_by((padded_cost - cost) as f64);
    }

    pub fn abandoned(&self, items: usize) {
        self.abandoned.inc_by(items as u64);
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
