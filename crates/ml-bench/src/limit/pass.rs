//! A pass: all items once through the model, in batches that the sessions take from a shared list.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use ml_core::{Model, ModelError};

use super::item::{Batch, Item};
use super::{Case, LimitError};
use crate::Error;

/// The longest run of the model that is told apart from longer ones, in µs.
const MAX_MICROS: u64 = 3_600_000_000;

/// The batches of one case, made beforehand.
pub(crate) struct Pass {
    sessions: usize,
    batches: Vec<Batch>,
}

/// How fast items went through the model.
#[derive(Debug, Clone)]
pub(crate) struct Speed {
    pub(crate) items: usize,
    pub(crate) elapsed: Duration,
    /// The time of each run of the model, in µs.
    pub(crate) runs: Histogram<u64>,
}

impl Pass {
    pub(crate) fn new(model: &Model, items: &[Item], case: Case) -> Result<Self, LimitError> {
        let names: Vec<String> = model.signature().inputs.iter().map(|input| input.name.clone()).collect();
        let lengths: Vec<usize> = items.iter().map(Item::length).collect();
        let ordered: Vec<&Item> =
            case.order.indices(&lengths).into_iter().filter_map(|index| items.get(index)).collect();
        let batches = ordered.chunks(case.batch.get()).map(|items| Batch::new(&names, items));
        Ok(Self { sessions: case.width.sessions.get(), batches: batches.collect::<Result<_, _>>()? })
    }

    /// Runs the longest batch once in each session: the first runs of a session are slower.
    pub(crate) fn warm_up(&self, model: &Model) -> Result<(), Error> {
        let batches: Vec<&Batch> = self.batches.iter().take(1).cycle().take(self.sessions).collect();
        run(model, &batches, self.sessions).map(drop)
    }

    /// Runs all batches once.
    pub(crate) fn run(&self, model: &Model) -> Result<Speed, Error> {
        run(model, &self.batches.iter().collect::<Vec<_>>(), self.sessions)
    }
}

impl Speed {
    pub(crate) fn new() -> Result<Self, Error> {
        Ok(Self { items: 0, elapsed: Duration::ZERO, runs: Histogram::new_with_bounds(1, MAX_MICROS, 3)? })
    }

    /// Counts what another pass did here too.
    pub(crate) fn add(&mut self, other: &Self) {
        self.items += other.items;
        self.elapsed += other.elapsed;
        // Both have the same bounds, so adding cannot fail.
        let _ = self.runs.add(&other.runs);
    }

    pub(crate) fn items_per_s(&self) -> f64 {
        self.items as f64 / self.elapsed.as_secs_f64()
    }
}

/// Runs batches on so many threads, each of which takes the next one when it is done.
fn run(model: &Model, batches: &[&Batch], sessions: usize) -> Result<Speed, Error> {
    let next = AtomicUsize::new(0);
    let mut total = Speed::new()?;
    let began = Instant::now();
    let histograms = thread::scope(|scope| {
        let threads: Vec<_> = (0..sessions).map(|_| scope.spawn(|| session(model, batches, &next))).collect();
        threads.into_iter().map(|thread| thread.join().map_err(|_| LimitError::Lost)).collect::<Vec<_>>()
    });
    total.elapsed = began.elapsed();
    for micros in histograms {
        for micros in micros?.map_err(LimitError::Run)? {
            total.runs.saturating_record(micros);
        }
    }
    total.items = batches.iter().map(|batch| batch.items).sum();
    Ok(total)
}

/// Runs batches until none is left, and returns how long each took.
fn session(model: &Model, batches: &[&Batch], next: &AtomicUsize) -> Result<Vec<u64>, ModelError> {
    let mut micros = Vec::new();
    while let Some(batch) = batches.get(next.fetch_add(1, Ordering::Relaxed)) {
        let began = Instant::now();
        drop(batch.run(model)?);
        micros.push(u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX));
    }
    Ok(micros)
}
