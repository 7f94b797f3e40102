//! What the runs of a model took: how many there were, of how many rows, and how long each part of them was.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use ml_core::Striped;

/// Batch sizes that are told apart; larger ones are counted as this one.
const SIZES_MAX: usize = 1024;

/// How often something was done, and how long it took in all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Span {
    pub count: u64,
    pub time: Duration,
}

impl Span {
    pub fn add(&mut self, time: Duration) {
        self.count += 1;
        self.time = self.time.saturating_add(time);
    }

    pub fn merge(&mut self, other: Self) {
        self.count += other.count;
        self.time = self.time.saturating_add(other.time);
    }
}

/// The runs of one batch size.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct RunStatistics {
    pub input: Span,
    pub infer: Span,
    pub output: Span,
}

/// The runs of a model by their rows.
#[derive(Debug, Default)]
pub(crate) struct Runs(Striped<Mutex<BTreeMap<usize, RunStatistics>>>);

impl Runs {
    /// Returns what there is to know by now, by rows.
    pub fn by_rows(&self) -> BTreeMap<usize, RunStatistics> {
        let mut all = BTreeMap::<usize, RunStatistics>::new();
        for runs in self.0.all() {
            for (rows, runs) in &*runs.lock().unwrap_or_else(PoisonError::into_inner) {
                let of_size = all.entry(*rows).or_default();
                of_size.input.merge(runs.input);
                of_size.infer.merge(runs.infer);
                of_size.output.merge(runs.output);
            }
        }
        all
    }

    pub fn begin(&self) -> Run<'_> {
        Run { runs: self, started: Instant::now() }
    }
}

/// A run whose inputs are being put together.
pub(crate) struct Run<'a> {
    runs: &'a Runs,
    started: Instant,
}

impl<'a> Run<'a> {
    pub fn inputs_made(self) -> Computing<'a> {
        let now = Instant::now();
        Computing { runs: self.runs, input: now - self.started, started: now }
    }
}

/// A run that the model is at.
pub(crate) struct Computing<'a> {
    runs: &'a Runs,
    input: Duration,
    started: Instant,
}

impl<'a> Computing<'a> {
    pub fn computed(self) -> Computed<'a> {
        let now = Instant::now();
        Computed { runs: self.runs, input: self.input, infer: now - self.started, started: now }
    }
}

/// A run whose outputs are being shared out. Runs that fail never come here, and are not counted.
pub(crate) struct Computed<'a> {
    runs: &'a Runs,
    input: Duration,
    infer: Duration,
    started: Instant,
}

impl Computed<'_> {
    pub fn ended(self, rows: usize) {
        let output = self.started.elapsed();
        let mut runs = self.runs.0.own().lock().unwrap_or_else(PoisonError::into_inner);
        let of_size = runs.entry(rows.min(SIZES_MAX)).or_default();
        of_size.input.add(self.input);
        of_size.infer.add(self.infer);
        of_size.output.add(output);
    }
}
