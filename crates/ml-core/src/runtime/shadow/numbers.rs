//! What the shadow counts, by model.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use crate::runtime::fidelity::Apart;
use crate::{Counter, Histogram};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ModelLabel {
    model: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    model: String,
    outcome: &'static str,
}

/// Gates are at some thousandths: there the steps are small.
const DISTANCES: [f64; 14] =
    [1e-7, 1e-6, 1e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2, 0.1, 1.0];

const ERRORS: [f64; 10] = [1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0, 100.0];

/// The families of all shadows of a process. Clones share their numbers.
#[derive(Clone)]
pub(crate) struct ShadowMetrics {
    runs: Family<OutcomeLabel, Counter>,
    items: Family<OutcomeLabel, Counter>,
    distance: Family<ModelLabel, Histogram, fn() -> Histogram>,
    error: Family<ModelLabel, Histogram, fn() -> Histogram>,
}

impl Default for ShadowMetrics {
    fn default() -> Self {
        Self {
            runs: Family::default(),
            items: Family::default(),
            distance: Family::new_with_constructor(|| Histogram::new(DISTANCES)),
            error: Family::new_with_constructor(|| Histogram::new(ERRORS)),
        }
    }
}

impl ShadowMetrics {
    /// Makes the families part of `registry`.
    pub fn register(&self, registry: &mut Registry) {
        let help =
            "Runs that the original was to repeat: compared, failed, or not repeated because it was busy";
        registry.register("shadow_runs", help, self.runs.clone());
        let help =
            "Items that the original answered too, by whether its prediction is the same or was flipped";
        registry.register("shadow_items", help, self.items.clone());
        let help = "One minus the cosine between an item's outputs and the original's";
        registry.register("shadow_distance", help, self.distance.clone());
        let help = "Largest difference between a number of an item's outputs and the original's";
        registry.register("shadow_error", help, self.error.clone());
    }

    /// Returns the numbers of one model.
    pub fn of_model(&self, model: &str) -> ShadowNumbers {
        let counter = |family: &Family<OutcomeLabel, Counter>, outcome| {
            family.get_or_create(&OutcomeLabel { model: model.to_owned(), outcome }).clone()
        };
        let label = ModelLabel { model: model.to_owned() };
        ShadowNumbers {
            compared: counter(&self.runs, "compared"),
            busy: counter(&self.runs, "busy"),
            failed: counter(&self.runs, "failed"),
            same: counter(&self.items, "same"),
            flipped: counter(&self.items, "flipped"),
            distance: self.distance.get_or_create(&label).clone(),
            error: self.error.get_or_create(&label).clone(),
        }
    }
}

/// The numbers of one model's shadow.
#[derive(Debug, Clone)]
pub(crate) struct ShadowNumbers {
    compared: Counter,
    busy: Counter,
    failed: Counter,
    same: Counter,
    flipped: Counter,
    distance: Histogram,
    error: Histogram,
}

impl ShadowNumbers {
    pub fn busy(&self) {
        self.busy.inc();
    }

    pub fn failed(&self) {
        self.failed.inc();
    }

    /// Counts the items of a run.
    pub fn compared(&self, items: &[Apart]) {
        self.compared.inc();
        for Apart { flipped, distance, error_max } in items {
            if *flipped { &self.flipped } else { &self.same }.inc();
            self.distance.observe(*distance);
            self.error.observe(*error_max);
        }
    }
}
