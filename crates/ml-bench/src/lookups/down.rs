//! A source that is down for a while under load, with facts that may be stale.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ml_core::{BreakerOptions, LookupCache, Source};

use crate::Error;

use super::remote::{LATENCY, Remote, rest};
use super::scoring::{KEYS, with_lookups};
use super::{Figure, LookupsOptions, Row};

const CLIENTS: usize = 4;

/// What a client waits between two calls: some thousand calls a second are load enough, and leave time to measure.
const PAUSE: Duration = Duration::from_millis(1);

const BREAKER: BreakerOptions = BreakerOptions { failures: 5, probe_interval: Duration::from_millis(500) };

/// Fetches that may be out when the source goes down, each of which may still fail.
const CONCURRENCY: usize = 16;

pub(super) fn run(options: &LookupsOptions) -> Result<Row, Error> {
    let remote = Remote::new(LATENCY, 1);
    let hour = Duration::from_secs(3600);
    let cache = LookupCache::lru(1000).fresh_for(Duration::from_secs(1)).stale_on_failure(hour);
    let source = Source::new(remote.clone()).cache(cache).concurrency(CONCURRENCY).breaker(BREAKER);
    let engine = with_lookups(source);
    let (over, calls, failures) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    let client = |client: usize| {
        while !over.load(Ordering::Relaxed) {
            let call = calls.fetch_add(1, Ordering::Relaxed);
            let item = (call, format!("key {}", (call + client) % KEYS));
            failures.fetch_add(usize::from(engine.predict_blocking(item).is_err()), Ordering::Relaxed);
            rest(PAUSE);
        }
    };
    let (mut probes, mut recovery) = (0, Duration::ZERO);
    thread::scope(|scope| {
        for number in 0..CLIENTS {
            scope.spawn(move || client(number));
        }
        rest(Duration::from_secs(3));
        let before = remote.fetches();
        remote.set_down(true);
        rest(options.outage);
        probes = remote.fetches() - before;
        let asked = remote.fetches();
        let back = Instant::now();
        remote.set_down(false);
        while remote.fetches() == asked && back.elapsed() < options.outage {
            rest(PAUSE);
        }
        recovery = back.elapsed();
        rest(Duration::from_secs(1));
        over.store(true, Ordering::Relaxed);
    });
    let intervals = options.outage.as_secs_f64() / BREAKER.probe_interval.as_secs_f64();
    let allowed = intervals.ceil() + f64::from(BREAKER.failures) + CONCURRENCY as f64;
    let failed = failures.load(Ordering::Relaxed);
    let reached = failed == 0 && probes as f64 <= allowed && recovery <= BREAKER.probe_interval + PAUSE * 10;
    let figures = vec![
        Figure::one("failed predictions", "", failed as f64),
        Figure::one("predictions", "", calls.load(Ordering::Relaxed) as f64),
        Figure::one("fetches during the outage", "", probes as f64),
        Figure::one("recovery", "ms", recovery.as_secs_f64() * 1e3),
    ];
    let goal = format!(
        "{:.0} s down: none fails, back within {} ms, at most {allowed:.0} fetches",
        options.outage.as_secs_f64(),
        BREAKER.probe_interval.as_millis()
    );
    Ok(Row { goal, reached: Some(reached), figures, ..Row::default() })
}
