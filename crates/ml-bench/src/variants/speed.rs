//! How fast variants are: ratios to the original, of runs that take turns.

use std::num::NonZeroUsize;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use serde::Serialize;

use super::{Measured, batches};
use crate::Error;
use crate::limit::{Batch, Item, LimitError, Order};
use crate::progress::Progress;
use crate::random::Random;
use crate::stats::{Estimate, geometric_interval};

/// Items that run alone, items that run in batches, and items in a batch.
const SINGLES: usize = 32;
const BATCHED: usize = 160;
const BATCH: usize = 16;

/// Runs of a variant before the next one has its turn.
const TURN: usize = 5;

/// The original's time over the variant's: above 1 the variant is faster.
///
/// Times are of the CPUs that work for this process, which does nothing else, so that other work on the machine counts little.
/// The thread that runs the model would not do: rten computes on another.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Speeds {
    /// One item at a time.
    pub single: Estimate,
    /// Batches of 16 items of similar length.
    pub sorted: Estimate,
    /// Batches of 16 items in the order in which they come.
    pub arrival: Estimate,
}

/// The batches of each way to run, for one model.
struct Work<'a> {
    measured: &'a Measured,
    ways: [Vec<Batch>; 3],
}

/// Returns the speeds of all models, the first of which is the original.
pub(super) fn measure(
    models: &[Measured],
    items: &[Item],
    rounds: NonZeroUsize,
    progress: &Progress,
) -> Result<Vec<Speeds>, Error> {
    let mut chosen: Vec<usize> = (0..items.len()).collect();
    Random::new(2).shuffle(&mut chosen);
    chosen.truncate(BATCHED);
    let items: Vec<&Item> = chosen.iter().map(|index| &items[*index]).collect();
    let works = models.iter().map(|measured| Work::new(measured, &items)).collect::<Result<Vec<_>, _>>()?;
    works.iter().try_for_each(Work::warm_up)?;
    // By way, model and round.
    let mut seconds: [Vec<Vec<f64>>; 3] = std::array::from_fn(|_| vec![Vec::new(); works.len()]);
    for round in 0..rounds.get() {
        progress.bar(round as f64 / rounds.get() as f64, &format!("timing: round {} of {rounds}", round + 1));
        for (way, seconds) in seconds.iter_mut().enumerate() {
            for (seconds, elapsed) in seconds.iter_mut().zip(turns(&works, way, round as u64)?) {
                seconds.push(elapsed);
            }
        }
    }
    let [single, sorted, arrival] = &seconds;
    let speeds = |model: usize| {
        let speeds = Speeds {
            single: ratio(single, model)?,
            sorted: ratio(sorted, model)?,
            arrival: ratio(arrival, model)?,
        };
        Ok(speeds)
    };
    (0..works.len()).map(speeds).collect()
}

/// Returns how many times faster than the first model another one is, from the seconds of each in each round.
fn ratio(seconds: &[Vec<f64>], model: usize) -> Result<Estimate, Error> {
    let pairs = seconds[0].iter().zip(&seconds[model]);
    let ratios: Vec<f64> = pairs.map(|(original, own)| original / own).collect();
    geometric_interval(&ratios).ok_or_else(|| Error::Variants("a run took no time".to_owned()))
}

/// Runs all batches of one way, some of each model at a time, and returns the seconds of each model.
fn turns(works: &[Work<'_>], way: usize, round: u64) -> Result<Vec<f64>, Error> {
    let mut seconds = vec![0.0; works.len()];
    let mut order: Vec<usize> = (0..works.len()).collect();
    Random::new(round).shuffle(&mut order);
    let batches = works.first().map_or(0, |work| work.ways[way].len());
    for start in (0..batches).step_by(TURN) {
        for model in &order {
            let work = &works[*model];
            let turn = &work.ways[way][start..(start + TURN).min(batches)];
            // The model before has filled the caches with its own weights.
            run(work.measured, &turn[..1])?;
            let began = cpu_time()?;
            run(work.measured, turn)?;
            seconds[*model] += (cpu_time()? - began).as_secs_f64();
        }
    }
    Ok(seconds)
}

impl<'a> Work<'a> {
    fn new(measured: &'a Measured, items: &[&Item]) -> Result<Self, LimitError> {
        let lengths: Vec<usize> = items.iter().map(|item| item.length()).collect();
        let sorted: Vec<&Item> =
            Order::Sorted.indices(&lengths).into_iter().map(|index| items[index]).collect();
        let batches = |items: &[&Item], size| {
            items
                .chunks(size)
                .map(|items| batches::make(&measured.model, items))
                .collect::<Result<Vec<_>, _>>()
        };
        let singles = &items[..items.len().min(SINGLES)];
        Ok(Self { measured, ways: [batches(singles, 1)?, batches(&sorted, BATCH)?, batches(items, BATCH)?] })
    }

    fn warm_up(&self) -> Result<(), Error> {
        self.ways.iter().try_for_each(|batches| run(self.measured, &batches[..batches.len().min(2)]))
    }
}

fn run(measured: &Measured, batches: &[Batch]) -> Result<(), Error> {
    for batch in batches {
        drop(batch.run(&measured.model).map_err(LimitError::Run)?);
    }
    Ok(())
}

/// Returns the CPU time of this process.
fn cpu_time() -> Result<Duration, Error> {
    let time = clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID);
    time.map(Duration::from)
        .map_err(|error| Error::Variants(format!("the process' clock cannot be read: {error}")))
}
