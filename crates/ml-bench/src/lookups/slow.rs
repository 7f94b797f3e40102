//! A source that takes ten times as long as it should: its requests end at their deadline, and others do not notice.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use ml_core::{CallOptions, Engine, Source};

use crate::Error;
use crate::stats::geometric_interval;

use super::remote::{LATENCY, Remote};
use super::scoring::{ITEMS, Scoring, failed, items, with_lookups, without_lookups};
use super::{Figure, LookupsOptions, Row};

const DEADLINE: Duration = Duration::from_millis(50);

/// Requests in flight at the slow source.
const CALLERS: usize = 32;

/// How long the other pipeline is measured in one turn.
const TURN: Duration = Duration::from_secs(1);

/// Later than this is later than the deadline: timers have milliseconds, and a busy machine some more.
const TOLERANCE: Duration = Duration::from_millis(10);

pub(super) fn run(options: &LookupsOptions) -> Result<Row, Error> {
    let slow = with_lookups(Source::new(Remote::new(LATENCY * 10, 1)));
    let other = without_lookups();
    // Lets the engine learn what its stages cost.
    failed(&other, items(0));
    let (lateness, wrong) = (Mutex::new(Vec::new()), AtomicUsize::new(0));
    let mut ratios = Vec::new();
    for round in 0..options.rounds.get() * 3 {
        let alone = rate(&other, 2 * round + 1);
        let over = AtomicBool::new(false);
        let beside = thread::scope(|scope| {
            scope.spawn(|| callers(&slow, &over, &lateness, &wrong));
            let beside = rate(&other, 2 * round + 2);
            over.store(true, Ordering::Relaxed);
            beside
        });
        ratios.push(beside / alone);
    }
    let mut lateness = lateness.into_inner().unwrap_or_else(PoisonError::into_inner);
    lateness.sort_by(f64::total_cmp);
    let p99 = lateness.get(lateness.len() * 99 / 100).copied().unwrap_or(f64::NAN);
    let wrong = wrong.into_inner();
    let ratio = geometric_interval(&ratios).map_or(f64::NAN, |ratio| ratio.mean);
    let reached = wrong == 0 && p99 <= TOLERANCE.as_secs_f64() * 1e3 && ratio >= 0.95;
    let figures = vec![
        Figure::one("p99 of the time after the deadline", "ms", p99),
        Figure::new("time after the deadline", "ms", &lateness),
        Figure::one("answers other than deadline_exceeded", "", wrong as f64),
        Figure::one("throughput of another pipeline, mean", "x", ratio),
        Figure::new("throughput of another pipeline", "x", &ratios),
    ];
    let goal =
        format!("fail at {} ms (+{}), others lose at most 5 %", DEADLINE.as_millis(), TOLERANCE.as_millis());
    Ok(Row { goal, reached: Some(reached), figures, ..Row::default() })
}

/// Asks the slow source from many callers until it is over.
fn callers(engine: &Engine<Scoring>, over: &AtomicBool, lateness: &Mutex<Vec<f64>>, wrong: &AtomicUsize) {
    let caller = async |caller: usize| {
        let mut call = 0;
        while !over.load(Ordering::Relaxed) {
            call += 1;
            let deadline = Instant::now() + DEADLINE;
            let options = CallOptions { deadline: Some(deadline), ..CallOptions::default() };
            // Each asks for a key of its own, so that no answer for another comes in time.
            let answer = engine.call(vec![(call, format!("{caller} {call}"))], options).await;
            let late = Instant::now().saturating_duration_since(deadline);
            lateness.lock().unwrap_or_else(PoisonError::into_inner).push(late.as_secs_f64() * 1e3);
            let in_time = answer
                .results
                .iter()
                .all(|result| matches!(result, Err(error) if error.code() == "deadline_exceeded"));
            wrong.fetch_add(usize::from(!in_time), Ordering::Relaxed);
        }
    };
    pollster::block_on(join_all((0..CALLERS).map(caller)));
}

/// Returns how many items a second an engine answers.
fn rate(engine: &Engine<Scoring>, round: usize) -> f64 {
    let began = Instant::now();
    let mut calls = 0;
    while began.elapsed() < TURN {
        let failures = failed(engine, items(round * 100_000 + calls));
        debug_assert_eq!(failures, 0);
        calls += 1;
    }
    (calls * ITEMS) as f64 / began.elapsed().as_secs_f64()
}
