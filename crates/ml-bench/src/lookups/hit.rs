//! What it costs to find a remembered fact, beside the bare caches below, in turns.

use std::hint::black_box;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use lru::LruCache;
use ml_core::{CacheProbe, LookupCache};

use crate::Error;

use super::{Figure, LookupsOptions, Row};

/// Gets in one turn.
const GETS: usize = 200_000;

/// Facts in each cache.
const FACTS: usize = 1000;

/// Keys of a call, for which ours reads the clock once.
const KEYS_OF_A_CALL: usize = 64;

const GOAL: f64 = 1.5;

pub(super) fn run(options: &LookupsOptions) -> Result<Row, Error> {
    let ids: Vec<String> = (0..FACTS).map(|number| format!("key {number}")).collect();
    let hour = Duration::from_secs(3600);
    let ours_lru = CacheProbe::new(LookupCache::lru(FACTS).fresh_for(hour));
    let ours_moka = CacheProbe::new(LookupCache::tiny_lfu(1 << 20, |_| 0).fresh_for(hour));
    let bare_lru = Mutex::new(LruCache::new(NonZeroUsize::MIN.saturating_add(FACTS - 1)));
    let bare_moka = moka::sync::Cache::builder().max_capacity(1 << 20).time_to_live(hour).build();
    for id in &ids {
        ours_lru.insert(id, 1_f32);
        ours_moka.insert(id, 1_f32);
        let shared: (Arc<str>, Arc<f32>) = (id.as_str().into(), Arc::new(1.0));
        bare_lru.lock().unwrap_or_else(PoisonError::into_inner).put(shared.0.clone(), shared.1.clone());
        bare_moka.insert(shared.0, shared.1);
    }
    let mut nanos = [const { Vec::new() }; 4];
    for _ in 0..options.rounds.get() * 10 {
        nanos[0].push(turn(&ids, |id, now| ours_lru.get(id, now)));
        nanos[1].push(turn(&ids, |id, _| {
            bare_lru.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
        }));
        nanos[2].push(turn(&ids, |id, now| ours_moka.get(id, now)));
        nanos[3].push(turn(&ids, |id, _| bare_moka.get(id)));
    }
    let ratio = |ours: usize, bare: usize| {
        let ratios: Vec<f64> = nanos[ours].iter().zip(&nanos[bare]).map(|(ours, bare)| ours / bare).collect();
        Figure::new(["ratio to bare lru", "ratio to bare moka"][ours / 2], "x", &ratios)
    };
    let ratios = [ratio(0, 1), ratio(2, 3)];
    let reached = ratios.iter().all(|ratio| ratio.median <= GOAL);
    let names = ["ours, lru", "bare lru behind a lock", "ours, moka", "bare moka with a time to live"];
    let times = names.iter().zip(&nanos).map(|(name, nanos)| Figure::new(*name, "ns", nanos));
    let figures = ratios.into_iter().chain(times).collect();
    Ok(Row {
        goal: format!("at most {GOAL} x a bare get"),
        reached: Some(reached),
        figures,
        ..Row::default()
    })
}

/// Gets many times; returns the nanoseconds of one.
fn turn(ids: &[String], get: impl Fn(&str, Instant) -> Option<Arc<f32>>) -> f64 {
    let began = Instant::now();
    let mut now = began;
    for (number, id) in ids.iter().cycle().take(GETS).enumerate() {
        if number % KEYS_OF_A_CALL == 0 {
            now = Instant::now();
        }
        black_box(get(id, now));
    }
    began.elapsed().as_secs_f64() * 1e9 / GETS as f64
}
