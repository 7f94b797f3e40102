//! Shows what the lookups do: the same load while the other side is well, slow, failing, and gone.
#![allow(clippy::print_stdout, reason = "what it shows is what it is for")]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use actix_web::rt::{System, time};

use crate::store::POSTCODES;
use crate::travel::{Switch, Trouble};

/// Houses in a request.
const HOUSES: u32 = 64;

/// Requests in a phase.
const REQUESTS: u32 = 20;

/// Asks the server at `server` through all phases, printing a line for each; `kill_store` ends Redis before the last.
pub fn run(server: SocketAddr, kill_store: impl Fn(), switch: &Switch) {
    System::new().block_on(async {
        let client = awc::Client::builder().timeout(Duration::from_secs(10)).finish();
        wait_until_ready(&client, server).await;
        println!("\n{HOUSES} houses a request, {REQUESTS} requests a line:\n");
        let phase = async |name: &str, trouble: Trouble| {
            switch.set(trouble);
            let before = switch.requests();
            let seen = ask(&client, server).await;
            println!(
                "{name:40} {:5} priced {:4} failed {:6.1} ms {:4} calls of the service   {}",
                seen.priced,
                seen.failed,
                seen.millis,
                switch.requests() - before,
                seen.lookup
            );
        };
        phase("all is well, nothing is remembered yet", slow_by(20)).await;
        phase("all is well", slow_by(20)).await;
        phase("the travel service takes 2 s", slow_by(2000)).await;
        phase("every other call of it fails", Trouble { errors_percent: 50, ..slow_by(20) }).await;
        phase("it is down", Trouble { outage: true, ..slow_by(0) }).await;
        kill_store();
        phase("it is down, and Redis is killed", Trouble { outage: true, ..slow_by(0) }).await;
        switch.set(slow_by(20));
        println!("\nIt goes on serving, with all well but Redis: Ctrl-C ends it.");
    });
}

fn slow_by(latency_ms: u64) -> Trouble {
    Trouble { latency_ms, ..Trouble::default() }
}

/// What came of a phase.
#[derive(Default)]
struct Seen {
    priced: usize,
    failed: usize,
    /// The median of the requests.
    millis: f64,
    /// The last answer's lookup stage.
    lookup: String,
}

async fn ask(client: &awc::Client, server: SocketAddr) -> Seen {
    let mut seen = Seen::default();
    let mut times = Vec::new();
    for request in 0..REQUESTS {
        let began = Instant::now();
        let answer = client
            .post(format!("http://{server}/models/house_price/predict_batch"))
            .send_json(&houses(request));
        let Ok(mut answer) = answer.await else {
            seen.failed += HOUSES as usize;
            continue;
        };
        times.push(began.elapsed().as_secs_f64() * 1e3);
        let timing = answer.headers().get("server-timing").and_then(|timing| timing.to_str().ok());
        let stage = timing.and_then(|timing| timing.split(", ").find(|stage| stage.starts_with("lookup")));
        seen.lookup = stage.unwrap_or_default().to_owned();
        let results: Vec<serde_json::Value> = answer.json().await.unwrap_or_default();
        let priced = results.iter().filter(|result| result.get("output").is_some()).count();
        seen.priced += priced;
        seen.failed += HOUSES as usize - priced;
        time::sleep(Duration::from_millis(50)).await;
    }
    times.sort_by(f64::total_cmp);
    seen.millis = times.get(times.len() / 2).copied().unwrap_or_default();
    seen
}

fn houses(request: u32) -> Vec<serde_json::Value> {
    let house = |number: u32| {
        let seed = request * HOUSES + number;
        let postcode = POSTCODES.start + seed % (POSTCODES.end - POSTCODES.start);
        serde_json::json!({
            "area_m2": 40 + seed % 150, "rooms": 1 + seed % 6, "age_years": seed % 90,
            "postcode": postcode.to_string(),
        })
    };
    (0..HOUSES).map(house).collect()
}

async fn wait_until_ready(client: &awc::Client, server: SocketAddr) {
    while client.get(format!("http://{server}/health/ready")).send().await.is_err() {
        time::sleep(Duration::from_millis(20)).await;
    }
}
