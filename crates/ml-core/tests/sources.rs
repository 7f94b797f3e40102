//! Sources with a policy: each key is fetched once, and what happens on the other side stays there.
#![allow(clippy::expect_used, clippy::panic, reason = "a failed expectation is what a test ends with")]

mod support;

use std::time::{Duration, Instant};

use futures_util::future::{Either, join, join_all, poll_immediate, select};
use ml_core::{
    BreakerOptions, CacheOptions, CallOptions, Engine, LookupCache, LookupCounts, LookupError, Otherwise,
    RetryOptions, Source, blocking, each,
};
use pollster::block_on;

use support::desk::{Act, Desk};
use support::{Item, Scripted, gate, one_runner};

const HOUR: Duration = Duration::from_secs(3600);

fn engine(source: Source<Desk>) -> Engine<Scripted> {
    one_runner(Scripted::default()).lookup("desk", source).start()
}

/// Asks for the fact `id`; what comes back is that fact, or the text of the error.
fn ask(engine: &Engine<Scripted>, id: &'static str) -> Result<i64, String> {
    // The pipeline answers (number + fact) × 2, and takes -1000 for a fact that it does not get.
    let answer = engine.predict_blocking(Item::WithFact(0, "desk", id));
    answer.map(|doubled| doubled / 2).map_err(|error| error.to_string())
}

const NONE: Result<i64, String> = Ok(-1000);

fn failed<T>(reason: &str) -> Result<T, String> {
    Err(format!("the lookup in desk failed: {reason}"))
}

fn once() -> RetryOptions {
    RetryOptions { times: 0, ..RetryOptions::default() }
}

fn breaker(failures: u32, probe_interval: Duration) -> BreakerOptions {
    BreakerOptions { failures, probe_interval }
}

/// A cache whose facts are never fresh, so that a test need not wait until they are old.
fn never_fresh() -> LookupCache<i64> {
    LookupCache::lru(10).fresh_for(Duration::ZERO)
}

#[test]
fn ten_thousand_callers_of_one_cold_key_are_one_fetch() {
    for cache in [LookupCache::lru(10), LookupCache::tiny_lfu(1 << 20, |_| 0)] {
        let desk = Desk::scripted(&[Act::AnswerWhenOpened]);
        let source = Source::new(desk.clone()).cache(cache).budget(HOUR);
        // All of them may wait for the one runner when the fact has come.
        let engine = one_runner(Scripted::default()).queue_items_max(10_000).lookup("desk", source).start();
        let calls =
            join_all((0..10_000).map(|number| engine.predict(Item::WithFact(number, "desk", "cold"))));
        // The calls are polled first: all of them have asked when the door opens.
        let (results, ()) = block_on(join(calls, async { desk.open(1) }));
        let wrong = results.iter().zip(0..).find(|(result, number)| **result != Ok((number + 1) * 2));
        assert_eq!(wrong, None);
        assert_eq!(desk.asked(), [["cold"]]);
    }
}

#[test]
fn what_is_remembered_is_not_fetched_again_nor_is_what_is_unknown() {
    for (unknown_for, fetches) in [(HOUR, 2), (Duration::ZERO, 3)] {
        for cache in [LookupCache::lru(10), LookupCache::tiny_lfu(1 << 20, |_| 0)] {
            let desk = Desk::default();
            let engine = engine(Source::new(desk.clone()).cache(cache.unknown_for(unknown_for)));
            assert_eq!(["anna", "anna"].map(|id| ask(&engine, id)), [Ok(1), Ok(1)]);
            assert_eq!(["nobody", "nobody"].map(|id| ask(&engine, id)), [NONE, NONE]);
            assert_eq!(desk.fetches(), fetches);
        }
    }
}

#[test]
fn the_counts_of_a_call_say_where_its_facts_came_from() {
    let source = Source::new(Desk::scripted(&[Act::Answer, Act::Fail])).cache(LookupCache::lru(10));
    let engine = engine(source);
    let call = |ids: &[&'static str]| {
        let items = ids.iter().map(|id| Item::WithFact(1, "desk", id)).collect();
        block_on(engine.call(items, CallOptions::default())).timings.lookups()
    };
    let none = LookupCounts::default();
    assert_eq!(call(&["a", "b"]), LookupCounts { fetched: 2, ..none });
    let counts = call(&["a", "c", "b"]);
    assert_eq!(counts, LookupCounts { hits: 2, failed: 1, ..none });
    assert_eq!(counts.to_string(), "hits=2 failed=1");
}

#[test]
fn a_fresh_answer_may_be_made_of_remembered_facts() {
    let desk = Desk::scripted(&[Act::Answer, Act::Fail]);
    let engine = engine(Source::new(desk.clone()).cache(LookupCache::lru(10)));
    let options = CallOptions { fresh: true, ..CallOptions::default() };
    for _ in 0..2 {
        let answer = block_on(engine.call(vec![Item::WithFact(1, "desk", "anna")], options));
        assert_eq!(answer.results, [Ok(4)]);
    }
    assert_eq!(desk.fetches(), 1);
}

#[test]
fn an_answer_made_without_its_fact_is_not_remembered_beyond_the_sources_return() {
    let sources = [
        Source::new(Desk::scripted(&[Act::Fail])).when_failing(Otherwise::Value(5)).retry(once()),
        Source::new(Desk::scripted(&[Act::Fail])).when_failing(Otherwise::Nothing).retry(once()),
        Source::new(Desk::scripted(&[Act::Answer, Act::Fail]))
            .cache(never_fresh().stale_on_failure(HOUR))
            .retry(once()),
    ];
    for (source, [first, then]) in sources.into_iter().zip([[5, 2], [-1000, 2], [1, 3]]) {
        let builder = one_runner(Scripted::default()).cache(CacheOptions::default(), |_| 8);
        let engine = builder.lookup("desk", source).start();
        if then == 3 {
            // Its first answer is remembered as a fact, which the failure after it makes use of.
            assert_eq!(engine.predict_blocking(Item::WithFact(7, "desk", "anna")), Ok(16));
        }
        assert_eq!(ask(&engine, "anna"), Ok(first), "the source is down");
        assert_eq!(["anna"; 2].map(|id| ask(&engine, id)), [Ok(then), Ok(then)], "the source is back");
    }
}

#[test]
fn keys_of_different_calls_gather_while_the_source_is_busy_and_are_asked_for_together() {
    let desk = Desk::scripted(&[Act::AnswerWhenOpened]);
    let engine = engine(Source::new(desk.clone()).concurrency(1).budget(HOUR));
    let calls = join_all(["a", "b", "c", "b"].map(|id| engine.predict(Item::WithFact(0, "desk", id))));
    let (results, ()) = block_on(join(calls, async { desk.open(1) }));
    assert_eq!(results, [Ok(2), Ok(4), Ok(4), Ok(4)], "the first fetch brings 1, the second 2");
    assert_eq!(desk.asked(), [vec!["a"], vec!["b", "c"]]);
}

#[test]
fn a_key_that_fails_costs_only_the_items_that_named_it() {
    let source = each(|id: String| async move {
        if id == "bad" { Err(LookupError::new("no such desk")) } else { Ok(Some(id.len() as i64)) }
    });
    let engine = one_runner(Scripted::default()).lookup("desk", source).start();
    let items = ["good", "bad", "better"].map(|id| Item::WithFact(0, "desk", id));
    let results = engine.predict_many_blocking(items.to_vec());
    assert_eq!((&results[0], &results[2]), (&Ok(8), &Ok(12)));
    assert_eq!(results[1].as_ref().map_err(ToString::to_string), failed("no such desk"));
}

#[test]
fn a_caller_that_leaves_takes_no_fetch_along() {
    let desk = Desk::scripted(&[Act::AnswerWhenOpened]);
    let engine = engine(Source::new(desk.clone()));
    let mut leaves = Box::pin(engine.predict(Item::WithFact(1, "desk", "anna")));
    let mut stays = Box::pin(engine.predict(Item::WithFact(2, "desk", "anna")));
    block_on(async {
        // Each is polled once; then the one that began the fetch is dropped.
        assert!(poll_immediate(&mut leaves).await.is_none());
        assert!(poll_immediate(&mut stays).await.is_none());
    });
    drop(leaves);
    desk.open(1);
    assert_eq!(block_on(stays), Ok(6));
    assert_eq!(desk.fetches(), 1);
}

#[test]
fn a_call_waits_until_its_deadline_or_the_budget() {
    let soon = Duration::from_millis(20);
    let over_budget = failed("no answer within 20 ms");
    let too_late = Err("the deadline passed before the item was answered".to_owned());
    for (budget, deadline, expected) in [(soon, HOUR, over_budget), (HOUR, soon, too_late)] {
        let engine = engine(Source::new(Desk::scripted(&[Act::Hang])).budget(budget).retry(once()));
        let options = CallOptions { deadline: Some(Instant::now() + deadline), ..CallOptions::default() };
        let items = vec![Item::WithFact(0, "desk", "anna"), Item::Good(1)];
        // How long that takes is tested in simulated time, beside the code.
        let answer = block_on(engine.call(items, options));
        assert_eq!(answer.results[0].as_ref().map_err(ToString::to_string), expected);
    }
}

#[test]
fn a_call_that_follows_an_equal_one_waits_no_longer_than_its_own_deadline() {
    let desk = Desk::scripted(&[Act::Hang]);
    // Were it to wait for the first, it would get that one's error.
    let engine = engine(Source::new(desk.clone()).budget(Duration::from_secs(5)).retry(once()));
    let soon = Instant::now() + Duration::from_millis(20);
    let call = |deadline| {
        let options = CallOptions { deadline, ..CallOptions::default() };
        Box::pin(engine.call(vec![Item::WithFact(0, "desk", "anna")], options))
    };
    // Asked in this order: the first one leads.
    let Either::Right((answer, _)) = block_on(select(call(None), call(Some(soon)))) else {
        panic!("the first one is answered before the second, which could not wait");
    };
    assert_eq!(answer.results[0].as_ref().map_err(|error| error.code()), Err("deadline_exceeded"));
    assert_eq!(desk.fetches(), 1);
}

#[test]
fn a_stale_fact_is_taken_while_there_is_still_time_for_the_model() {
    let (gate, keeper) = gate();
    let desk = Desk::scripted(&[Act::Answer, Act::Hang]);
    let source = Source::new(desk).cache(never_fresh().stale_on_failure(HOUR)).budget(HOUR);
    let pipeline = Scripted { gate: Some(gate), ..Scripted::default() };
    let engine = one_runner(pipeline).lookup("desk", source).start();
    let call = |number, time| {
        let options = CallOptions { deadline: Some(Instant::now() + time), ..CallOptions::default() };
        let engine = engine.clone();
        let items = vec![Item::WithFact(number, "desk", "anna")];
        std::thread::spawn(move || block_on(engine.call(items, options)).results)
    };
    // The engine learns that the model takes its time.
    let first = call(0, HOUR);
    keeper.next_batch();
    let (_held, nobody) = std::sync::mpsc::channel::<()>();
    assert!(nobody.recv_timeout(Duration::from_millis(400)).is_err());
    keeper.let_pass();
    assert_eq!(first.join().expect("no panic"), [Ok(2)]);
    // At the deadline itself it would be too late for a prediction.
    keeper.let_pass();
    assert_eq!(call(1, Duration::from_secs(1)).join().expect("no panic"), [Ok(4)]);
}

#[test]
fn a_call_that_is_late_already_fetches_nothing() {
    let desk = Desk::default();
    let engine = engine(Source::new(desk.clone()));
    let options = CallOptions { deadline: Some(Instant::now()), ..CallOptions::default() };
    let answer = block_on(engine.call(vec![Item::WithFact(0, "desk", "anna")], options));
    assert_eq!(answer.results[0].as_ref().map_err(|error| error.code()), Err("deadline_exceeded"));
    assert_eq!(desk.fetches(), 0);
}

#[test]
fn errors_that_may_be_gone_in_a_moment_are_retried_and_others_are_not() {
    use Act::{Fail, Panic, Stumble};
    let busy = failed("one moment, please");
    for (script, expected, fetches) in [
        (&[Stumble, Stumble] as &[Act], Ok(3), 3),
        (&[Stumble, Stumble, Stumble], busy, 3),
        (&[Fail], failed("the desk is closed"), 1),
        (&[Panic], failed("the source panicked: scripted panic at the desk"), 1),
    ] {
        let desk = Desk::scripted(script);
        let wait = Duration::from_millis(1);
        let retry = RetryOptions { times: 2, first_wait: wait, longest_wait: wait };
        let engine = engine(Source::new(desk.clone()).retry(retry));
        assert_eq!(ask(&engine, "anna"), expected, "{script:?}");
        assert_eq!(desk.fetches(), fetches, "{script:?}");
        assert!(ask(&engine, "anna").is_ok(), "it goes on");
    }
}

#[test]
fn a_source_that_is_down_is_left_alone_but_for_the_probes() {
    let down = || failed("the source has failed too often, and is left alone for a while");
    let desk = Desk::of_one_key(Act::Fail);
    let source = Source::new(desk.clone()).retry(once()).concurrency(1).breaker(breaker(3, HOUR));
    let engine = engine(source);
    let closed = || failed("the desk is closed");
    let answers = ["a", "b", "c", "d", "e"].map(|id| ask(&engine, id));
    assert_eq!(answers, [closed(), closed(), closed(), down(), down()]);
    assert_eq!(desk.fetches(), 3);
}

#[test]
fn the_first_probe_after_an_outage_ends_it() {
    let desk = Desk::of_one_key(Act::Fail);
    let source = Source::new(desk.clone()).retry(once()).breaker(breaker(1, Duration::ZERO));
    let engine = engine(source);
    assert!(ask(&engine, "a").is_err() && ask(&engine, "a").is_err());
    desk.does_from_now_on(Act::Answer);
    assert_eq!(ask(&engine, "a"), Ok(3));
}

#[test]
fn stale_facts_bridge_an_outage() {
    let desk = Desk::of_one_key(Act::Answer);
    let source = Source::new(desk.clone())
        .cache(never_fresh().stale_on_failure(HOUR))
        .retry(once())
        .breaker(breaker(2, HOUR));
    let engine = engine(source);
    assert_eq!(ask(&engine, "anna"), Ok(1));
    assert_eq!(ask(&engine, "anna"), Ok(2), "an old fact is no reason not to ask");
    desk.does_from_now_on(Act::Fail);
    for _ in 0..100 {
        assert_eq!(ask(&engine, "anna"), Ok(2));
    }
    assert_eq!(desk.fetches(), 4, "two failed, and then the source was left alone");
    assert!(ask(&engine, "berta").is_err(), "what was never known cannot be stale");
}

#[test]
fn a_stale_fact_is_served_while_it_is_fetched_again() {
    let desk = Desk::scripted(&[Act::Answer, Act::AnswerWhenOpened]);
    let engine = engine(Source::new(desk.clone()).cache(never_fresh().stale_while_refreshing(HOUR)));
    assert_eq!(ask(&engine, "anna"), Ok(1));
    for _ in 0..100 {
        assert_eq!(ask(&engine, "anna"), Ok(1), "nobody waits for the second fetch");
    }
    desk.open(1);
    assert!((0..u64::MAX).any(|_| ask(&engine, "anna").expect("known") >= 2), "until it has come");
}

#[test]
fn a_fact_near_its_end_is_fetched_ahead() {
    let cache = LookupCache::lru(10).fresh_for(HOUR).refresh_ahead(HOUR);
    let engine = engine(Source::new(Desk::default()).cache(cache));
    assert_eq!(ask(&engine, "anna"), Ok(1));
    assert!((0..u64::MAX).any(|_| ask(&engine, "anna").expect("known") >= 2));
}

#[test]
fn what_an_item_gets_instead_of_a_fact_is_the_sources_choice() {
    let fail = |text: &str| failed(text);
    for (otherwise, unknown, failing) in [
        (Otherwise::Fail, fail("the source does not know this key"), fail("the desk is closed")),
        (Otherwise::Nothing, NONE, NONE),
        (Otherwise::Value(7), Ok(7), Ok(7)),
    ] {
        let desk = Desk::scripted(&[Act::Answer, Act::Fail]);
        let source = Source::new(desk).when_unknown(otherwise).when_failing(otherwise);
        let engine = engine(source);
        assert_eq!(ask(&engine, "nobody"), unknown);
        assert_eq!(ask(&engine, "anna"), failing);
    }
}

#[test]
fn no_more_fetches_are_out_and_no_more_keys_wait_than_may() {
    let desk = Desk::of_one_key(Act::AnswerWhenOpened);
    let source = Source::new(desk.clone()).concurrency(3).waiting_keys_max(10).budget(HOUR);
    let engine = engine(source);
    let items = (0..20).map(|number| Item::WithFact(0, "desk", leaked(number))).collect();
    let (results, ()) = block_on(join(engine.predict_many(items), async {
        while desk.fetches() < 3 {
            std::thread::yield_now();
        }
        desk.open(20);
    }));
    let refused = "the lookup in desk failed: 10 keys are waiting, the source takes 10";
    let texts = results.iter().filter_map(|result| result.as_ref().err().map(ToString::to_string));
    // All keys of a call come at once, before the first of them is sent.
    assert_eq!(texts.collect::<Vec<_>>(), [refused; 10]);
    assert_eq!((desk.fetches(), desk.most_out()), (10, 3));
}

#[test]
fn a_fetch_takes_no_more_keys_than_it_may() {
    let desk = Desk::default();
    let engine = engine(Source::new(desk.clone()).keys_per_fetch_max(4).concurrency(1));
    let items = (0..10).map(|number| Item::WithFact(0, "desk", leaked(number))).collect();
    assert!(engine.predict_many_blocking(items).iter().all(Result::is_ok));
    assert_eq!(desk.asked().iter().map(Vec::len).collect::<Vec<_>>(), [4, 4, 2]);
}

#[test]
fn a_function_that_blocks_has_threads_of_its_own() {
    let names = blocking(2, |id: &str| match id {
        "bad" => panic!("scripted panic"),
        _ => Ok(std::thread::current().name().map(|name| i64::from(name.starts_with("lookup-blocking")))),
    });
    let engine = one_runner(Scripted::default()).lookup("desk", names.expect("threads")).start();
    assert_eq!(ask(&engine, "anna"), Ok(1));
    assert_eq!(ask(&engine, "bad"), failed("the source panicked: scripted panic"));
    assert_eq!(ask(&engine, "berta"), Ok(1));
}

/// Keys of the scripted items are literals; a test's handful may stay.
fn leaked(number: usize) -> &'static str {
    Box::leak(number.to_string().into_boxed_str())
}
