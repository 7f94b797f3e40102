//! Redis as a source and as a tier, with a real server that is killed, and one that breaks off in the middle.
#![allow(clippy::expect_used, clippy::panic, reason = "a failed expectation is what a test ends with")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use ml_core::{
    BreakerOptions, Lookup, LookupCache, LookupError, RetryOptions, Source, Tier, TierEntry, TierOptions,
    each,
};
use ml_sources::{Redis, RedisFacts, RedisOptions, RedisTier};
use redis::Commands;

use support::broken::{BrokenRedis, Fault};
use support::server::RedisServer;
use support::{ask, engine, patient};

const HOUR: Duration = Duration::from_secs(3600);

/// Knows every identifier, and counts how often it is asked.
fn counting(length: usize) -> (impl Lookup<Value = String>, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    let source = each(move |id: String| {
        counter.fetch_add(1, Ordering::SeqCst);
        async move { Ok(Some(id.repeat(length))) }
    });
    (source, asked)
}

fn cached() -> LookupCache<String> {
    LookupCache::lru(1000).fresh_for(HOUR)
}

fn text(bytes: &[u8]) -> Result<String, LookupError> {
    std::str::from_utf8(bytes).map(str::to_owned).map_err(LookupError::new)
}

/// What is put after callers have their answer is there a moment later; a minute is no moment on any machine.
fn wait_for(mut what: impl FnMut() -> bool) {
    let began = Instant::now();
    while !what() {
        assert!(began.elapsed() < Duration::from_secs(60), "it does not come");
        std::thread::yield_now();
    }
}

#[test]
fn facts_in_redis_are_read_and_a_bad_one_costs_only_its_items() {
    let server = RedisServer::start();
    let mut connection = server.connection();
    // The prefix is no text.
    let prefix = b"\xff\xfe\0:";
    for (id, value) in [("good", b"3.5".as_slice()), ("bad", b"\xff"), ("empty", b"")] {
        let key = [prefix, id.as_bytes()].concat();
        let () = connection.set(key, value).expect("it is taken");
    }
    let engine = engine(RedisFacts::new(server.client(), prefix, text));
    let items = ["good", "bad", "empty", "unknown"].map(|id| (id.to_owned(), 0));
    let results = engine.predict_many_blocking(items.to_vec());
    assert_eq!(results[0], Ok(Some("3.5".to_owned())));
    assert!(results[1].as_ref().is_err_and(|error| error.to_string().contains("invalid utf-8")));
    assert_eq!(results[2..], [Ok(Some(String::new())), Ok(None)]);
}

#[test]
fn what_one_replica_has_fetched_the_others_find_in_the_tier() {
    let server = RedisServer::start();
    let (tenth, whole) = (1 << 20, 10 << 20);
    for (id, length) in [("a", 1), ("b", tenth), ("c", whole)] {
        let (source, asked) = counting(length);
        let tier = || RedisTier::new(server.client());
        let first = engine(Source::new(source).cache(cached()).tier(tier(), patient(b"\xff:", 1)));
        assert_eq!(ask(&first, id), Ok(Some(id.repeat(length))));
        let key = [b"\xff:", id.as_bytes()].concat();
        wait_for(|| server.connection().exists(&key).expect("it answers"));
        let (other_source, other_asked) = counting(length);
        let second = engine(Source::new(other_source).cache(cached()).tier(tier(), patient(b"\xff:", 1)));
        assert_eq!(ask(&second, id), Ok(Some(id.repeat(length))), "{length} bytes");
        assert_eq!((asked.load(Ordering::SeqCst), other_asked.load(Ordering::SeqCst)), (1, 0));
        let seconds: i64 = server.connection().ttl(&key).expect("it answers");
        assert!((3200..=3600).contains(&seconds), "an hour, cut by the jitter: {seconds}");
    }
}

#[test]
fn a_value_that_is_too_large_is_not_put_there() {
    let server = RedisServer::start();
    let (source, _) = counting(2000);
    let options = TierOptions { value_bytes_max: 1000, ..patient("", 1) };
    let engine = engine(Source::new(source).cache(cached()).tier(RedisTier::new(server.client()), options));
    assert_eq!(ask(&engine, "a").map(|fact| fact.map(|text| text.len())), Ok(Some(2000)));
    drop(engine);
    assert!(!server.connection().exists::<_, bool>("a").expect("it answers"));
}

#[test]
fn what_cannot_be_read_is_fetched_and_replaced() {
    let server = RedisServer::start();
    let older = || {
        let (source, _) = counting(1);
        let tier = RedisTier::new(server.client());
        let engine = engine(Source::new(source).cache(cached()).tier(tier, patient("", 1)));
        assert!(ask(&engine, "k").is_ok());
        wait_for(|| server.connection().exists("k").expect("it answers"));
        server.connection().get::<_, Vec<u8>>("k").expect("it answers")
    };
    let of_older_schema = older();
    let cut = of_older_schema[..of_older_schema.len() - 1].to_vec();
    for (value, schema) in [(of_older_schema, 2), (cut, 1), (b"not ours".to_vec(), 1), (vec![0xff; 100], 1)] {
        let () = server.connection().set("k", &value).expect("it is taken");
        let (source, asked) = counting(2);
        let tier = RedisTier::new(server.client());
        let engine = engine(Source::new(source).cache(cached()).tier(tier, patient("", schema)));
        assert_eq!(ask(&engine, "k"), Ok(Some("kk".to_owned())));
        assert_eq!(asked.load(Ordering::SeqCst), 1, "{value:?} is as good as not there");
        wait_for(|| server.connection().get::<_, Vec<u8>>("k").expect("it answers") != value);
    }
}

#[test]
fn a_tier_that_breaks_off_costs_no_prediction_and_is_then_passed_over() {
    for fault in [Fault::Partial, Fault::CutMidAnswer, Fault::Garbage, Fault::Silence] {
        let server = BrokenRedis::start(fault);
        let redis = Redis::open(&server.url(), RedisOptions { connections: 1, ..Default::default() });
        let (source, asked) = counting(1);
        let breaker = BreakerOptions { failures: 2, probe_interval: HOUR };
        let budget = Duration::from_millis(200);
        let options = TierOptions { breaker, budget, ..TierOptions::new("", 1) };
        let tier = RedisTier::new(redis.expect("a URL"));
        let engine = engine(Source::new(source).cache(cached()).tier(tier, options).budget(HOUR));
        for number in 0..10 {
            // Two keys, of which a partial answer has one.
            let items = ["a", "b"].map(|name| (format!("{name}{number}"), 0));
            let results = engine.predict_many_blocking(items.to_vec());
            assert!(results.iter().all(|result| result.as_ref().is_ok_and(Option::is_some)), "{fault:?}");
        }
        assert_eq!(asked.load(Ordering::SeqCst), 20, "{fault:?}: one fetch a key");
        assert!(
            server.asked() <= 4,
            "{fault:?}: two failures, each sent twice at most, not {}",
            server.asked()
        );
    }
}

#[test]
fn a_source_in_redis_that_breaks_off_is_an_error_and_gives_nobody_the_fact_of_another() {
    for (fault, reason) in [
        (Fault::Partial, "1 values for 2 keys"),
        // Where the client notices first differs from run to run: while it reads, or when it sends again.
        (Fault::CutMidAnswer, ""),
        (Fault::Garbage, ""),
        (Fault::Silence, "no answer within 50 ms"),
    ] {
        let server = BrokenRedis::start(fault);
        let redis = Redis::open(&server.url(), RedisOptions { connections: 1, ..Default::default() });
        let facts = Source::new(RedisFacts::new(redis.expect("a URL"), "", text)).cache(cached());
        let budget = if fault == Fault::Silence { Duration::from_millis(50) } else { HOUR };
        let engine = engine(facts.budget(budget).retry(RetryOptions { times: 0, ..Default::default() }));
        // Asked again, they would be known if the failure of the first were remembered as a fact.
        for _ in 0..2 {
            let items = ["a", "b"].map(|id| (id.to_owned(), 0));
            for result in engine.predict_many_blocking(items.to_vec()) {
                let text = result.expect_err("no answer is whole").to_string();
                assert!(text.contains(reason), "{fault:?}: {text}");
            }
        }
    }
}

#[test]
fn redis_killed_and_restarted_under_load_costs_no_prediction_and_no_second_fetch() {
    let mut server = RedisServer::start();
    let (source, asked) = counting(1);
    let breaker = BreakerOptions { failures: 1, probe_interval: Duration::ZERO };
    let options = TierOptions { breaker, ..patient("", 1) };
    let tier = RedisTier::new(server.client());
    let engine = engine(Source::new(source).cache(cached()).tier(tier, options));
    let load = |keys: std::ops::Range<usize>| {
        let clients: Vec<_> = (0..8).map(|client| (client, engine.clone(), keys.clone())).collect();
        let run =
            |(client, engine, keys): (usize, ml_core::Engine<support::Echo>, std::ops::Range<usize>)| {
                std::thread::spawn(move || {
                    for key in keys {
                        let id = format!("key {key}");
                        assert_eq!(engine.predict_blocking((id.clone(), client)), Ok(Some(id)));
                    }
                })
            };
        clients.into_iter().map(run).collect::<Vec<_>>()
    };
    let join = |clients: Vec<std::thread::JoinHandle<()>>| {
        clients.into_iter().for_each(|client| client.join().expect("no prediction failed"));
    };
    let clients = load(0..300);
    wait_for(|| asked.load(Ordering::SeqCst) > 20);
    server.kill();
    join(clients);
    join(load(200..400));
    let clients = load(300..600);
    server.restart();
    join(clients);
    join(load(0..600));
    assert_eq!(asked.load(Ordering::SeqCst), 600, "one fetch a key");
    // The tier is in use again: what is fetched now is put there.
    let new = (600..u32::MAX).any(|key| {
        assert!(ask(&engine, &format!("key {key}")).is_ok());
        redis::cmd("DBSIZE").query::<usize>(&mut server.connection()).expect("it answers") > 0
    });
    assert!(new);
}

#[test]
fn a_source_in_redis_that_is_killed_bridges_the_time_with_stale_facts() {
    let mut server = RedisServer::start();
    let () = server.connection().set("k", "old").expect("it is taken");
    let source = Source::new(RedisFacts::new(server.client(), "", text))
        .cache(LookupCache::lru(10).fresh_for(Duration::ZERO).stale_on_failure(HOUR))
        .retry(RetryOptions { times: 0, ..Default::default() })
        .breaker(BreakerOptions { failures: 3, probe_interval: Duration::ZERO });
    let engine = engine(source);
    assert_eq!(ask(&engine, "k"), Ok(Some("old".to_owned())));
    server.kill();
    for _ in 0..20 {
        assert_eq!(ask(&engine, "k"), Ok(Some("old".to_owned())));
    }
    server.restart();
    let () = server.connection().set("k", "new").expect("it is taken");
    assert_eq!(ask(&engine, "k"), Ok(Some("new".to_owned())), "the first probe brings it");
}

#[test]
fn bytes_of_any_kind_are_keys_and_values() {
    let server = RedisServer::start();
    let tier = RedisTier::new(server.client());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let key = vec![0, 0xff, b'\r', b'\n', b' '];
    let entry = TierEntry { key: key.clone(), value: vec![0xfe; 3], time_to_live: Duration::MAX };
    let got = runtime.block_on(async {
        tier.put_many(&[entry]).await?;
        tier.get_many(&[key, b"unknown".to_vec()]).await
    });
    assert_eq!(got, Ok(vec![Some(vec![0xfe; 3]), None]));
}
