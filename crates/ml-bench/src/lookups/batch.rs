//! A batch of items with some distinct keys, on a cold cache, beside what people write by hand.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::thread;
use std::time::Instant;

use ml_core::Source;

use crate::Error;

use super::remote::{LATENCY, Remote};
use super::scoring::{ITEMS, Item, KEYS, failed, items, with_lookups};
use super::{Figure, LookupsOptions, Row};

/// Fetches of ours that are out at once.
const CONCURRENCY: usize = 16;

/// Threads of the rival's pool.
const POOL: usize = 5;

pub(super) fn one_key(options: &LookupsOptions) -> Result<Row, Error> {
    let ideal_ms = (KEYS.div_ceil(CONCURRENCY) as u128 * LATENCY.as_millis()) as f64;
    let mut row = run(options, 1, 1.15 * ideal_ms);
    let remote = Remote::new(LATENCY, 1);
    let rival = |name: &str, fetch: fn(&Remote, &[Item])| {
        let timed: Vec<f64> =
            (0..options.rounds.get()).map(|round| millis(|| fetch(&remote, &items(round)))).collect();
        Figure::new(name, "ms", &timed)
    };
    row.figures.push(rival("a loop", |remote, items| items.iter().for_each(|item| fetched(remote, item))));
    row.figures.push(rival("a pool of 5 threads", pool));
    row.figures.push(rival("a loop with a memo", memo));
    Ok(row)
}

pub(super) fn many_keys(options: &LookupsOptions) -> Result<Row, Error> {
    Ok(run(options, ITEMS, 25.0))
}

fn run(options: &LookupsOptions, keys_max: usize, goal_ms: f64) -> Row {
    let mut failures = 0;
    let mut timed = Vec::new();
    for round in 0..options.rounds.get() {
        // No cache: each round is cold.
        let engine = with_lookups(Source::new(Remote::new(LATENCY, keys_max)).concurrency(CONCURRENCY));
        timed.push(millis(|| failures += failed(&engine, items(round))));
    }
    let ours = Figure::new(format!("ours, {CONCURRENCY} fetches at once"), "ms", &timed);
    let reached = failures == 0 && ours.median <= goal_ms;
    Row {
        goal: format!("at most {goal_ms:.0} ms"),
        reached: Some(reached),
        figures: vec![ours],
        ..Row::default()
    }
}

fn millis(work: impl FnOnce()) -> f64 {
    let began = Instant::now();
    work();
    began.elapsed().as_secs_f64() * 1e3
}

fn fetched(remote: &Remote, (_, id): &Item) {
    std::hint::black_box(remote.blocking(id));
}

fn pool(remote: &Remote, items: &[Item]) {
    let next = Mutex::new(items.iter());
    let take = || next.lock().unwrap_or_else(PoisonError::into_inner).next();
    thread::scope(|scope| {
        for _ in 0..POOL {
            scope.spawn(|| {
                while let Some(item) = take() {
                    fetched(remote, item);
                }
            });
        }
    });
}

fn memo(remote: &Remote, items: &[Item]) {
    let mut known = HashMap::new();
    for (_, id) in items {
        std::hint::black_box(*known.entry(id).or_insert_with(|| remote.blocking(id)));
    }
}
