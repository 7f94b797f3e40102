//! When facts are fetched again: their time, the time of what is unknown, idleness, jitter, ahead of time, stale.

use super::*;
use crate::LookupCache;

/// Both policies, with facts that all have their whole time.
fn caches() -> [LookupCache<usize>; 2] {
    [LookupCache::lru(1000), LookupCache::tiny_lfu(1 << 20, |_| 0)].map(|cache| cache.jitter(0.0))
}

const HIT: LookupCounts = LookupCounts { hits: 1, stale: 0, fetched: 0, failed: 0 };
const STALE: LookupCounts = LookupCounts { hits: 0, stale: 1, fetched: 0, failed: 0 };
const FETCHED: LookupCounts = LookupCounts { hits: 0, stale: 0, fetched: 1, failed: 0 };

fn got(fact: usize, counts: LookupCounts, took: Duration) -> Got {
    Got { fact: Ok(Some(fact)), counts, took }
}

#[tokio::test(start_paused = true)]
async fn a_fact_and_that_there_is_none_are_each_remembered_for_their_time() {
    for cache in caches() {
        let shop = Shop::default();
        let running =
            running(Source::new(shop.clone()).cache(cache.fresh_for(secs(60)).unknown_for(secs(5))));
        let began = Instant::now();
        for (time, id, fact, fetches) in [
            (millis(0), "anna", Some(1), 1),
            (millis(0), "nobody", None, 2),
            (millis(4_999), "nobody", None, 2),
            (millis(5_000), "nobody", None, 3),
            (millis(59_999), "anna", Some(1), 3),
            (millis(60_000), "anna", Some(4), 4),
            (millis(119_999), "anna", Some(4), 4),
        ] {
            until(began, time).await;
            assert_eq!(ask(&running, id).await, Ok(fact), "{id} after {time:?}");
            assert_eq!(shop.fetches(), fetches, "{id} after {time:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn facts_that_were_fetched_together_do_not_all_end_together() {
    for cache in caches() {
        let shop = Shop::default();
        let cache = cache.fresh_for(secs(60)).jitter(0.5);
        let running = running(Source::new(shop.clone()).cache(cache).keys_per_fetch_max(1));
        let began = Instant::now();
        let mut fetched = Vec::new();
        for time in [0, 30, 45] {
            until(began, secs(time)).await;
            let before = shop.fetches();
            for number in 0..100 {
                assert!(ask(&running, &number.to_string()).await.is_ok());
            }
            fetched.push(shop.fetches() - before);
        }
        assert_eq!(fetched[..2], [100, 0], "half of the time is theirs whatever the jitter");
        // That all hundred fall on one side is as likely as a coin that falls on it a hundred times.
        assert!((1..100).contains(&fetched[2]), "{fetched:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_fact_that_nobody_uses_is_forgotten() {
    let shop = Shop::default();
    let cache = LookupCache::lru(10).fresh_for(secs(3600)).idle_for(secs(60));
    let running = running(Source::new(shop.clone()).cache(cache));
    let began = Instant::now();
    // Each use gives it another minute.
    for (time, fact) in [(0, 1), (59, 1), (118, 1), (178, 2)] {
        until(began, secs(time)).await;
        assert_eq!(ask(&running, "anna").await, Ok(Some(fact)), "after {time} s");
    }
    // moka has a clock of its own, which nobody can hold: idle from the first moment on says as much.
    for (idle_for, fetches) in [(Duration::ZERO, 2), (secs(3600), 1)] {
        let shop = Shop::default();
        let cache = LookupCache::tiny_lfu(1 << 20, |_| 0).idle_for(idle_for);
        let running = super::running(Source::new(shop.clone()).cache(cache));
        assert!(ask(&running, "anna").await.is_ok() && ask(&running, "anna").await.is_ok());
        assert_eq!(shop.fetches(), fetches, "{idle_for:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_fact_near_its_end_is_served_at_once_and_fetched_ahead() {
    for cache in caches() {
        let shop = Shop::taking(millis(20));
        let cache = cache.fresh_for(secs(60)).refresh_ahead(secs(10));
        let running = running(Source::new(shop.clone()).cache(cache));
        let began = Instant::now();
        for (time, expected, fetches) in [
            (millis(0), got(1, FETCHED, millis(20)), 1),
            (millis(50_019), got(1, HIT, millis(0)), 1),
            (millis(50_020), got(1, HIT, millis(0)), 2),
            (millis(50_030), got(1, HIT, millis(0)), 2),
            // The second one has come, and has a minute of its own from then on.
            (millis(50_041), got(2, HIT, millis(0)), 2),
            (millis(100_039), got(2, HIT, millis(0)), 2),
            (millis(100_040), got(2, HIT, millis(0)), 3),
        ] {
            until(began, time).await;
            assert_eq!(ask_within(&running, "anna", None).await, expected, "after {time:?}");
            tokio::task::yield_now().await;
            assert_eq!(shop.fetches(), fetches, "after {time:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_stale_fact_is_served_at_once_while_it_is_fetched_again_and_not_for_ever() {
    for cache in caches() {
        let shop = Shop::taking(millis(20));
        let cache = cache.fresh_for(secs(60)).stale_while_refreshing(secs(20));
        let running = running(Source::new(shop.clone()).cache(cache));
        let began = Instant::now();
        for (time, expected) in [
            (millis(0), got(1, FETCHED, millis(20))),
            (millis(60_019), got(1, HIT, millis(0))),
            (millis(60_020), got(1, STALE, millis(0))),
            (millis(60_041), got(2, HIT, millis(0))),
            // The second ended 60.040 s after it began, and 20 s more were its last.
            (millis(140_040), got(3, FETCHED, millis(20))),
        ] {
            until(began, time).await;
            assert_eq!(ask_within(&running, "anna", None).await, expected, "after {time:?}");
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_old_fact_is_served_while_the_source_fails_and_not_for_ever() {
    for cache in caches() {
        let shop = Shop::default();
        let cache = cache.fresh_for(secs(60)).stale_on_failure(secs(100));
        let running = running(Source::new(shop.clone()).cache(cache));
        let began = Instant::now();
        assert_eq!(ask(&running, "anna").await, Ok(Some(1)));
        shop.be_busy();
        for (time, fact) in [
            (secs(59), Ok(Some(1))),
            (secs(60), Ok(Some(1))),
            (secs(159), Ok(Some(1))),
            (secs(160), Err("lookup_failed")),
        ] {
            until(began, time).await;
            assert_eq!(ask(&running, "anna").await, fact, "after {time:?}");
        }
    }
}
