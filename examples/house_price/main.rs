//! Serves house prices: facts about a district come from a feature store in Redis and from an HTTP service.
//!
//! `cargo run --release --example house_price` starts all three, shows what happens when the other side is slow,
//! fails or is gone, and goes on serving. The flags are those of `ml-serve`; with `--port 0` nothing is shown.
#![allow(clippy::print_stdout, reason = "who runs it by hand wants to know where its parts are")]

mod pipeline;
mod show;
mod store;
mod travel;

use std::error::Error;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ml_core::{BreakerOptions, LookupCache, Source, TierOptions};
use ml_serve::{ModelInfo, Server};
use ml_sources::{HttpFacts, HttpOptions, Redis, RedisFacts, RedisOptions, RedisTier};

use self::pipeline::{District, HousePrice, Minutes};
use self::store::Store;
use self::travel::Switch;

const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/models/house_price/model.onnx");

/// The feature store: whoever ends it takes it out.
type SharedStore = Arc<Mutex<Option<Store>>>;

fn main() -> ExitCode {
    let store = SharedStore::default();
    let code = ml_serve::main(|server| serve(server, &store));
    end(&store);
    code
}

fn end(store: &SharedStore) {
    drop(store.lock().unwrap_or_else(PoisonError::into_inner).take());
}

fn serve(server: Server, shared: &SharedStore) -> Result<Server, Box<dyn Error + Send + Sync>> {
    let house_price = HousePrice::load(Path::new(MODEL), &server.model_options())?;
    let store = Store::start()?;
    let switch = Switch::default();
    let service = travel::start(switch.clone())?;
    let redis = Redis::open(&store.url, RedisOptions::default())?;
    let (districts, travel) = (districts(redis.clone()), travel(redis, service)?);
    println!("feature store at {}, travel service at http://{service}", store.url);
    println!("trouble: curl -X POST 'http://{service}/switch?latency_ms=300&errors_percent=50&outage=true'");
    *shared.lock().unwrap_or_else(PoisonError::into_inner) = Some(store);
    show_in_background(&server, shared, switch);
    let info = ModelInfo {
        description: Some("the price of a house in thousands of euros, by a made-up formula".to_owned()),
        example: Some(serde_json::json!({"area_m2": 90, "rooms": 4, "age_years": 30, "postcode": "10115"})),
        ..ModelInfo::default()
    };
    Ok(server.pipeline_with("house_price", info, house_price, |engine| {
        engine.lookup("districts", districts).lookup("travel", travel)
    }))
}

/// What is known about districts changes once a day: an hour old is good, and a day old better than none.
fn districts(redis: Redis) -> Source<impl ml_core::Lookup> {
    Source::new(RedisFacts::new(redis, "district:", District::read))
        .cache(LookupCache::lru(10_000).fresh_for(hours(1)).stale_on_failure(hours(24)))
        .budget(Duration::from_millis(200))
}

/// Times to the centre are of now: they are fresh for a second, here and for all replicas, and a minute old will do
/// while a new one is fetched. A travel service that is down is tried twice a second.
fn travel(redis: Redis, service: SocketAddr) -> std::io::Result<Source<impl ml_core::Lookup>> {
    let minutes =
        HttpFacts::new(format!("http://{service}/minutes/"), HttpOptions::default(), Minutes::read)?;
    let cache = LookupCache::tiny_lfu(16 << 20, |_| 0)
        .fresh_for(Duration::from_secs(1))
        .stale_while_refreshing(Duration::from_secs(60))
        .stale_on_failure(hours(24));
    Ok(Source::new(minutes)
        .cache(cache)
        .tier(RedisTier::new(redis), TierOptions::new("cache:minutes:", 1))
        .budget(Duration::from_millis(500))
        .concurrency(32)
        .breaker(BreakerOptions { failures: 5, probe_interval: Duration::from_millis(500) })
        .hedged())
}

fn hours(hours: u64) -> Duration {
    Duration::from_secs(hours * 3600)
}

/// Shows the phases once the server answers, where its port is known.
fn show_in_background(server: &Server, store: &SharedStore, switch: Switch) {
    let address = SocketAddr::from(([127, 0, 0, 1], server.config().port));
    let store = Arc::clone(store);
    if address.port() != 0 {
        std::thread::spawn(move || show::run(address, || end(&store), &switch));
    }
}
