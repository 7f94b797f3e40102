//! A batch whose facts are all remembered, beside the same pipeline without lookups, in turns.

use std::time::{Duration, Instant};

use ml_core::{Engine, LookupCache, Source};

use crate::Error;
use crate::stats::geometric_interval;

use super::remote::{LATENCY, Remote};
use super::scoring::{ITEMS, Scoring, failed, items, with_lookups, without_lookups};
use super::{Figure, LookupsOptions, Row};

/// Calls in one turn.
const CALLS: usize = 200;

const GOAL: f64 = 1.3;

pub(super) fn run(options: &LookupsOptions) -> Result<Row, Error> {
    let hour = Duration::from_secs(3600);
    let cached = |cache: LookupCache<f32>| {
        with_lookups(Source::new(Remote::new(LATENCY, ITEMS)).cache(cache.fresh_for(hour)))
    };
    let engines =
        [without_lookups(), cached(LookupCache::lru(1000)), cached(LookupCache::tiny_lfu(1 << 20, |_| 0))];
    // Warms the caches, and lets the engines learn what their stages cost.
    for engine in &engines {
        turn(engine, 0);
    }
    let mut micros = [const { Vec::new() }; 3];
    for round in 1..=options.rounds.get() * 5 {
        for (engine, micros) in engines.iter().zip(&mut micros) {
            micros.push(turn(engine, round));
        }
    }
    let ratio = |with: &[f64]| {
        let ratios: Vec<f64> = with.iter().zip(&micros[0]).map(|(with, without)| with / without).collect();
        geometric_interval(&ratios).map_or(f64::NAN, |ratio| ratio.mean)
    };
    let ratios = [ratio(&micros[1]), ratio(&micros[2])];
    let figures = vec![
        Figure::one("ratio with lru", "x", ratios[0]),
        Figure::one("ratio with moka", "x", ratios[1]),
        Figure::new("a call without lookups", "us", &micros[0]),
        Figure::new("a call with lru", "us", &micros[1]),
        Figure::new("a call with moka", "us", &micros[2]),
    ];
    let reached = ratios.iter().all(|ratio| *ratio <= GOAL);
    let goal = format!("at most {GOAL} x the same pipeline without lookups");
    Ok(Row { goal, reached: Some(reached), figures, ..Row::default() })
}

/// Runs some calls; returns the microseconds of one. The items are made before the clock runs.
fn turn(engine: &Engine<Scoring>, round: usize) -> f64 {
    let calls: Vec<_> = (0..CALLS).map(|call| items(round * CALLS + call)).collect();
    let began = Instant::now();
    let failures: usize = calls.into_iter().map(|items| failed(engine, items)).sum();
    debug_assert_eq!(failures, 0);
    began.elapsed().as_secs_f64() * 1e6 / CALLS as f64
}
