//! One item alone: what a lone caller would wait for the model itself.

use std::num::NonZeroUsize;
use std::thread;

use ml_core::Model;
use serde::Serialize;

use super::item::Item;
use super::pass::{Pass, Speed};
use super::{Case, LimitError, Order, Width, Workload};
use crate::Error;
use crate::load::Latency;

/// The time of one item alone.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct AloneReport {
    /// Threads of the one session.
    pub threads: usize,
    /// The time of a run, over all rounds.
    pub latency_ms: Option<Latency>,
}

/// Times each item alone with 1 thread up to all CPUs, in interleaved rounds.
pub(super) fn run(
    workload: &Workload,
    items: &[Item],
    rounds: NonZeroUsize,
) -> Result<Vec<AloneReport>, Error> {
    let cpus = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let prepared = (1..=cpus).filter_map(NonZeroUsize::new).map(|threads| prepare(workload, items, threads));
    let mut prepared = prepared.collect::<Result<Vec<_>, Error>>()?;
    for _ in 0..rounds.get() {
        for (_, model, pass, speed) in &mut prepared {
            speed.add(&pass.run(model)?);
        }
    }
    let report = |(threads, _, _, speed): (NonZeroUsize, Model, Pass, Speed)| AloneReport {
        threads: threads.get(),
        latency_ms: Latency::of(&speed.runs),
    };
    Ok(prepared.into_iter().map(report).collect())
}

fn prepare(
    workload: &Workload,
    items: &[Item],
    threads: NonZeroUsize,
) -> Result<(NonZeroUsize, Model, Pass, Speed), Error> {
    let width = Width { sessions: NonZeroUsize::MIN, threads };
    let model = workload.load(width)?;
    let case = Case { width, batch: NonZeroUsize::MIN, order: Order::Arrival };
    let pass = Pass::new(&model, items, case).map_err(|error: LimitError| Error::from(error))?;
    pass.warm_up(&model)?;
    Ok((threads, model, pass, Speed::new()?))
}
