//! How long a call waits at most: until its deadline or the budget, to the millisecond, whatever the other side does.

use futures_util::future::join;

use super::*;
use crate::{LookupCache, Otherwise, RetryOptions, TierOptions};

const DEADLINE: Duration = millis(50);

/// All that can keep a call waiting.
fn slow_sources() -> Vec<(&'static str, Source<Shop>)> {
    let never = || Source::new(Shop::taking(secs(3600)));
    let busy = Shop::default();
    busy.be_busy();
    let wait = millis(40);
    let retry = RetryOptions { times: 10, first_wait: wait, longest_wait: wait };
    let tier = TierOptions::new("", 1);
    let cache = LookupCache::lru(10);
    vec![
        ("no answer", never()),
        ("no answer, hedged", never().hedged()),
        ("an answer a moment late", Source::new(Shop::taking(DEADLINE + millis(1)))),
        ("an answer ten times as slow", Source::new(Shop::taking(DEADLINE * 10))),
        ("a retry after the deadline", Source::new(busy).retry(retry)),
        ("a fetch that waits for another", Source::new(Shop::taking(millis(30))).concurrency(1)),
        ("no answer of the tier", Source::new(Shop::default()).cache(cache).tier(Silence, tier)),
    ]
}

#[tokio::test(start_paused = true)]
async fn a_call_ends_at_its_deadline_and_no_later() {
    for (name, source) in slow_sources() {
        let running = running(source.keys_per_fetch_max(1));
        let (_, got) = join(ask(&running, "another"), ask_within(&running, "anna", Some(DEADLINE))).await;
        assert_eq!((got.fact, got.took), (Err("deadline_exceeded"), DEADLINE), "{name}");
        assert_eq!(got.counts, LookupCounts { failed: 1, ..LookupCounts::default() }, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_in_time_is_taken_however_close_it_is() {
    let running = running(Source::new(Shop::taking(DEADLINE - millis(1))));
    let got = ask_within(&running, "anna", Some(DEADLINE)).await;
    assert_eq!((got.fact, got.took), (Ok(Some(1)), DEADLINE - millis(1)));
}

#[tokio::test(start_paused = true)]
async fn a_call_ends_with_the_budget_where_its_deadline_is_later() {
    for deadline in [None, Some(secs(10))] {
        for (otherwise, fact) in [
            (Otherwise::Fail, Err("lookup_failed")),
            (Otherwise::Nothing, Ok(None)),
            (Otherwise::Value(7), Ok(Some(7))),
        ] {
            let source = Source::new(Shop::taking(secs(3600))).budget(DEADLINE).when_failing(otherwise);
            let got = ask_within(&running(source), "anna", deadline).await;
            assert_eq!((got.fact, got.took), (fact, DEADLINE), "{deadline:?} {otherwise:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_source_costs_no_time_of_the_others() {
    let mut sources = Sources::default();
    sources.add("slow", Source::new(Shop::taking(secs(3600))));
    sources.add("shop", Source::new(Shop::taking(millis(20))));
    let running = sources.start_here(&LookupMetrics::default(), "model");
    let slow = async {
        let mut facts = Facts::default();
        facts.name(Key::new("slow", "anna"));
        running.gather(&mut facts, None).await;
    };
    let (got, ()) = join(ask_within(&running, "anna", None), slow).await;
    assert_eq!((got.fact, got.took), (Ok(Some(1)), millis(20)));
}

#[tokio::test(start_paused = true)]
async fn what_can_be_had_instead_is_taken_at_the_deadline() {
    let cache = LookupCache::lru(10).fresh_for(millis(1)).jitter(0.0).stale_on_failure(secs(60));
    let shop = Shop::default();
    let running = running(Source::new(shop.clone()).cache(cache).when_failing(Otherwise::Value(7)));
    assert_eq!(ask(&running, "anna").await, Ok(Some(1)));
    sleep(millis(1)).await;
    shop.take(secs(3600));
    // A call that is late already fetches nothing, and takes what there is all the same.
    for time in [DEADLINE, Duration::ZERO] {
        let (stale, default) =
            join(ask_within(&running, "anna", Some(time)), ask_within(&running, "berta", Some(time))).await;
        assert_eq!((stale.fact, stale.took), (Ok(Some(1)), time));
        assert_eq!(stale.counts, LookupCounts { stale: 1, ..LookupCounts::default() });
        assert_eq!((default.fact, default.took), (Ok(Some(7)), time));
        assert_eq!(default.counts, LookupCounts { failed: 1, ..LookupCounts::default() });
    }
    assert_eq!(shop.fetches(), 3);
}
