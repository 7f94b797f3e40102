//! What sources count: after a known sequence of calls, every number of the metrics page is a known one.
#![allow(clippy::expect_used, clippy::panic, reason = "a failed expectation is what a test ends with")]

mod support;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::{join, join_all, poll_immediate};
use ml_core::{
    BreakerOptions, Engine, LookupCache, LookupError, Metrics, Otherwise, RetryOptions, Source, Tier,
    TierEntry, TierOptions,
};
use pollster::block_on;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

use support::desk::{Act, Desk};
use support::{Item, Scripted, one_runner};

const HOUR: Duration = Duration::from_secs(3600);

/// An engine, and the page that its numbers are on.
struct Counted {
    engine: Engine<Scripted>,
    page: Registry,
}

impl Counted {
    fn new(source: Source<Desk>) -> Self {
        let (metrics, mut page) = (Metrics::default(), Registry::default());
        metrics.register(&mut page);
        let engine = one_runner(Scripted::default()).metrics(&metrics, "model").lookup("desk", source);
        Self { engine: engine.start(), page }
    }

    /// Asks for facts one after the other; the answers do not matter here.
    fn ask(&self, ids: &[&'static str]) {
        for id in ids {
            drop(self.engine.predict_blocking(Item::WithFact(0, "desk", id)));
        }
    }

    /// Returns what was counted of lookups and is not zero; of histograms how often.
    fn counts(&self) -> BTreeMap<String, u64> {
        let mut text = String::new();
        encode(&mut text, &self.page).expect("it can be written");
        let counted = text.lines().filter_map(|line| {
            let (series, number) = line.strip_prefix("lookup_")?.split_once(' ')?;
            let name = series.strip_suffix(r#"{model="model",source="desk"}"#)?;
            let name = name.trim_end_matches("_total");
            Some((name.to_owned(), number.parse().ok()?))
        });
        counted.filter(|(_, number)| *number > 0).collect()
    }

    #[track_caller]
    fn expect(&self, expected: &[(&str, u64)]) {
        let expected: BTreeMap<_, _> =
            expected.iter().map(|(name, number)| ((*name).to_owned(), *number)).collect();
        // Sums of times are not numbers that a test can know.
        let mut counts = self.counts();
        counts.remove("load_seconds_sum");
        assert_eq!(counts, expected);
    }
}

fn cached() -> LookupCache<i64> {
    LookupCache::lru(10).fresh_for(HOUR)
}

fn never_fresh() -> LookupCache<i64> {
    LookupCache::lru(10).fresh_for(Duration::ZERO)
}

fn once() -> RetryOptions {
    RetryOptions { times: 0, ..RetryOptions::default() }
}

#[test]
fn keys_are_hits_or_misses_and_a_fetch_has_a_time() {
    for cache in [cached(), LookupCache::tiny_lfu(1 << 20, |_| 0)] {
        let counted = Counted::new(Source::new(Desk::default()).cache(cache));
        counted.ask(&["a", "a", "b", "nobody", "nobody", "a"]);
        counted.expect(&[("hits", 3), ("misses", 3), ("fetches", 3), ("load_seconds_count", 3)]);
    }
}

#[test]
fn keys_without_a_cache_are_neither_hits_nor_misses() {
    let counted = Counted::new(Source::new(Desk::default()));
    counted.ask(&["a", "a"]);
    counted.expect(&[("fetches", 2), ("load_seconds_count", 2)]);
}

#[test]
fn equal_keys_in_flight_are_coalesced_and_others_wait() {
    let desk = Desk::of_one_key(Act::AnswerWhenOpened);
    let counted = Counted::new(Source::new(desk.clone()).cache(cached()).concurrency(1).budget(HOUR));
    // Items differ, so that only their facts are shared.
    let ids = ["a", "a", "a", "b", "c", "b"].into_iter().enumerate();
    let calls = ids.map(|(number, id)| counted.engine.predict(Item::WithFact(number as i64, "desk", id)));
    let mut calls = Box::pin(join_all(calls));
    assert!(block_on(poll_immediate(&mut calls)).is_none(), "all have asked");
    assert_eq!(counted.counts()["waiting_keys"], 2);
    block_on(join(calls, async { desk.open(3) }));
    counted.expect(&[("misses", 6), ("coalesced", 3), ("fetches", 3), ("load_seconds_count", 3)]);
}

#[test]
fn an_outage_is_counted_from_its_first_failure() {
    let desk = Desk::of_one_key(Act::Answer);
    let breaker = BreakerOptions { failures: 2, probe_interval: HOUR };
    let source = Source::new(desk.clone()).cache(never_fresh().stale_on_failure(HOUR)).breaker(breaker);
    let counted = Counted::new(source.retry(once()));
    counted.ask(&["a"]);
    desk.does_from_now_on(Act::Fail);
    counted.ask(&["a"; 5]);
    counted.expect(&[
        ("misses", 6),
        ("fetches", 3),
        ("load_seconds_count", 3),
        ("fetches_failed", 2),
        ("stale_served", 5),
        // Since the second failure it is left alone.
        ("refused", 3),
        ("breaker_state", 2),
    ]);
}

#[test]
fn what_waited_while_the_source_went_down_is_refused_and_no_fetch() {
    let desk = Desk::of_one_key(Act::FailWhenOpened);
    let breaker = BreakerOptions { failures: 1, probe_interval: HOUR };
    let source = Source::new(desk.clone()).cache(cached()).retry(once()).breaker(breaker);
    let counted = Counted::new(source.concurrency(1).budget(HOUR));
    let calls = ["a", "b", "c"].map(|id| counted.engine.predict(Item::WithFact(0, "desk", id)));
    block_on(join(join_all(calls), async { desk.open(1) }));
    counted.expect(&[
        ("misses", 3),
        ("fetches", 1),
        ("load_seconds_count", 1),
        ("fetches_failed", 1),
        ("refused", 2),
        ("breaker_state", 2),
    ]);
}

#[test]
fn stale_facts_are_counted_when_they_are_served() {
    let desk = Desk::scripted(&[Act::Answer, Act::Hang]);
    let counted = Counted::new(Source::new(desk).cache(never_fresh().stale_while_refreshing(HOUR)));
    counted.ask(&["a", "a", "a"]);
    let counts = counted.counts();
    assert_eq!((counts["misses"], counts["stale_served"]), (1, 2));
    assert!(!counts.contains_key("hits"));
}

#[test]
fn facts_that_are_pushed_out_are_evictions() {
    let counted = Counted::new(Source::new(Desk::default()).cache(LookupCache::lru(1).fresh_for(HOUR)));
    counted.ask(&["a", "b", "a"]);
    counted.expect(&[("misses", 3), ("fetches", 3), ("load_seconds_count", 3), ("evictions", 2)]);
}

#[test]
fn retries_are_counted_and_are_fetches() {
    let wait = Duration::from_millis(1);
    let retry = RetryOptions { times: 2, first_wait: wait, longest_wait: wait };
    let source = Source::new(Desk::scripted(&[Act::Stumble, Act::Stumble])).retry(retry);
    let counted = Counted::new(source);
    counted.ask(&["a"]);
    counted.expect(&[("fetches", 3), ("retries", 2), ("load_seconds_count", 1)]);
}

#[test]
fn defaults_are_counted_by_the_key() {
    let desk = Desk::scripted(&[Act::Fail]);
    let source = Source::new(desk).when_failing(Otherwise::Value(7)).when_unknown(Otherwise::Value(8));
    let counted = Counted::new(source);
    counted.ask(&["a", "nobody", "a"]);
    counted.expect(&[("defaults", 2), ("fetches", 3), ("fetches_failed", 1), ("load_seconds_count", 3)]);
}

/// A shared store in this process, which can break. Clones are the same store.
#[derive(Clone, Default)]
struct Shelf(Arc<Mutex<HashMap<Vec<u8>, Vec<u8>>>>, bool);

impl Tier for Shelf {
    async fn get_many(&self, keys: &[Vec<u8>]) -> Result<Vec<Option<Vec<u8>>>, LookupError> {
        let shelf = self.0.lock().expect("no panic");
        if self.1 {
            Err(LookupError::new("it fell"))
        } else {
            Ok(keys.iter().map(|key| shelf.get(key).cloned()).collect())
        }
    }

    async fn put_many(&self, entries: &[TierEntry]) -> Result<(), LookupError> {
        let mut shelf = self.0.lock().expect("no panic");
        shelf.extend(entries.iter().map(|entry| (entry.key.clone(), entry.value.clone())));
        Ok(())
    }
}

#[test]
fn keys_are_hits_or_misses_of_the_tier_and_its_errors_are_both() {
    let replica = |shelf: Shelf| {
        let breaker = BreakerOptions { failures: 2, probe_interval: HOUR };
        let options = TierOptions { breaker, budget: HOUR, ..TierOptions::new("", 1) };
        Counted::new(Source::new(Desk::default()).cache(cached()).tier(shelf, options))
    };
    let shelf = Shelf::default();
    let first = replica(shelf.clone());
    first.ask(&["a", "b", "a"]);
    let fetched = [("misses", 2), ("hits", 1), ("fetches", 2), ("load_seconds_count", 2)];
    first.expect(&[fetched.as_slice(), &[("tier_misses", 2)]].concat());
    // What is put after callers have their answer is there a moment later.
    while shelf.0.lock().expect("no panic").len() < 2 {
        std::thread::yield_now();
    }
    let second = replica(shelf.clone());
    second.ask(&["a", "b", "c"]);
    second.expect(&[
        ("misses", 3),
        ("fetches", 1),
        ("load_seconds_count", 1),
        ("tier_hits", 2),
        ("tier_misses", 1),
    ]);
    let third = replica(Shelf(shelf.0, true));
    third.ask(&["a", "b", "c"]);
    third.expect(&[
        ("misses", 3),
        ("fetches", 3),
        ("load_seconds_count", 3),
        ("tier_errors", 2),
        ("tier_misses", 2),
        // The third key went past it.
        ("tier_breaker_state", 2),
    ]);
}
