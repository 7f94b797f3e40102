//! Load on a server whose answers are known. A run takes as long as its window, here some tenths of a second.

#![allow(clippy::unwrap_used, reason = "clippy takes the helpers of a test file for no tests")]

mod toy;

use std::net::TcpListener;
use std::num::NonZeroUsize;
use std::time::Duration;

use ml_bench::load::{Arrivals, LoadOptions, Pace, Window, load};
use ml_bench::{FailureKind, Server};
use serde_json::{Value, json};
use toy::{GATE, Toy, file};

const WINDOW: Window = Window { warm_up: Duration::from_millis(50), duration: Duration::from_millis(300) };

fn nonzero(count: usize) -> NonZeroUsize {
    NonZeroUsize::new(count).unwrap()
}

fn clients(count: usize) -> Pace {
    Pace::Clients(nonzero(count))
}

/// Load in batches on five items, of which the last is not valid.
fn options(server: Server, name: &str, pace: Pace, batch: usize) -> LoadOptions {
    let text: String = (0..5)
        .map(|n| json!({"item": if n < 4 { json!({"n": n}) } else { json!({}) }}))
        .fold(String::new(), |text, line| format!("{text}{line}\n"));
    let data = file(name, &text);
    LoadOptions { server, data, pace, batch: nonzero(batch), window: WINDOW, threads: nonzero(1) }
}

/// Returns how many arrivals are due in the counted time.
fn due(per_second: f64, seed: u64) -> u64 {
    Arrivals::new(per_second, seed)
        .take_while(|due| *due < WINDOW.end())
        .filter(|due| WINDOW.counts(*due))
        .count() as u64
}

#[test]
fn a_closed_loop_sends_the_items_in_order_again_and_again() {
    let toy = Toy::start();
    let report = load(&options(toy.server("toy"), "closed", clients(1), 3)).unwrap();
    let bodies = toy.seen.bodies.lock().unwrap();
    assert!(report.requests > 0 && bodies.len() as u64 > report.requests, "{report}");
    assert_eq!(report.answered, report.requests);
    let sent: Vec<&Value> = bodies.iter().flat_map(|body| body.as_array().unwrap()).collect();
    for (index, item) in sent.iter().enumerate() {
        assert_eq!(item["n"].as_u64(), Some(index as u64 % 5).filter(|n| *n < 4));
    }
    let failed = report.errors.of(&FailureKind::Item { code: Some("invalid_item".to_owned()) });
    assert_eq!(report.items + failed, 3 * report.requests, "{report}");
    assert!(failed > 0, "{report}");
}

#[test]
fn an_open_loop_sends_what_is_due() {
    let toy = Toy::start();
    let pace = Pace::Rate { per_second: 300.0, seed: 5, max_in_flight: 1000 };
    let mut options = options(toy.server("toy"), "open", pace, 1);
    options.threads = nonzero(2);
    let report = load(&options).unwrap();
    assert_eq!(report.requests, due(300.0, 5));
    assert_eq!(report.answered + report.errors.total(), report.requests, "{report}");
    assert!(
        report.errors.of(&FailureKind::Status { status: 422, code: Some("invalid_item".to_owned()) }) > 0
    );
}

#[test]
fn an_open_loop_charges_a_stalled_server_from_the_due_instant() {
    // The server answers nothing until GATE requests wait. Only a client that does not wait for answers ever
    // gets there, and then the first has waited at least from its own instant to the last one's.
    let toy = Toy::start();
    let pace = Pace::Rate { per_second: 300.0, seed: 5, max_in_flight: 1000 };
    let server = Server { timeout: Duration::from_secs(5), ..toy.server("gate") };
    let mut options = options(server, "gate", pace, 1);
    options.window = Window { warm_up: Duration::ZERO, duration: WINDOW.end() };
    let report = load(&options).unwrap();
    assert_eq!(report.errors.of(&FailureKind::Timeout), 0, "{report}");
    let instants: Vec<Duration> = Arrivals::new(300.0, 5).take(GATE).collect();
    let waited = (instants[GATE - 1] - instants[0]).as_secs_f64() * 1000.0;
    let latency = report.latency_ms.unwrap();
    assert!(latency.max >= 0.999 * waited, "{latency:?}, {waited} ms");
}

#[test]
fn what_is_not_answered_is_counted_by_kind() {
    let toy = Toy::start();
    let mut held = toy.server("held");
    held.timeout = Duration::from_millis(40);
    let rate = Pace::Rate { per_second: 500.0, seed: 1, max_in_flight: 2 };
    let report = load(&options(held, "held", rate, 1)).unwrap();
    let (late, unsent) = (report.errors.of(&FailureKind::Timeout), report.errors.of(&FailureKind::NotSent));
    assert_eq!(late + unsent, due(500.0, 1), "{report}");
    assert!(late > 0 && unsent > 0, "{report}");
    assert_eq!((report.answered, report.latency_ms), (0, None));

    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let nobody = Server { url: format!("http://{free}"), ..toy.server("toy") };
    let unknown = FailureKind::Status { status: 404, code: Some("unknown_model".to_owned()) };
    let cases = [(nobody, FailureKind::Connection), (toy.server("unknown"), unknown)];
    for (server, kind) in cases {
        let report = load(&options(server, "kinds", clients(2), 1)).unwrap();
        assert!(report.requests > 0, "{report}");
        assert_eq!(report.errors.of(&kind), report.requests, "{report}");
    }
}
