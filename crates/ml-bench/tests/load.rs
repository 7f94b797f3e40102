//! Load on a server whose answers are known. A run takes as long as its window, here some tenths of a second.

#![allow(clippy::unwrap_used, reason = "clippy takes the helpers of a test file for no tests")]

mod toy;

use std::net::TcpListener;
use std::num::NonZeroUsize;
use std::time::Duration;

use ml_bench::load::{Arrivals, Goal, Idle, LoadOptions, Pace, Window, load, sweep};
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
    LoadOptions {
        server,
        data,
        pace,
        batch: nonzero(batch),
        window: WINDOW,
        threads: nonzero(1),
        goal: None,
        duplicates: 0.0,
        seed: 1,
        idle: None,
        pid: None,
    }
}

fn poisson(per_second: f64, seed: u64, max_in_flight: usize) -> Pace {
    Pace::Rate { per_second, arrivals: Arrivals::Poisson { seed }, max_in_flight }
}

/// Returns how many arrivals are due in the counted time.
fn due(per_second: f64, arrivals: Arrivals) -> u64 {
    arrivals.until(WINDOW.end(), per_second).iter().filter(|due| WINDOW.counts(**due)).count() as u64
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
    let mut options = options(toy.server("toy"), "open", poisson(300.0, 5, 1000), 1);
    options.threads = nonzero(2);
    let report = load(&options).unwrap();
    assert_eq!(report.requests, due(300.0, Arrivals::Poisson { seed: 5 }));
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
    let server = Server { timeout: Duration::from_secs(5), ..toy.server("gate") };
    let mut options = options(server, "gate", poisson(300.0, 5, 1000), 1);
    options.window = Window { warm_up: Duration::ZERO, duration: WINDOW.end() };
    let report = load(&options).unwrap();
    assert_eq!(report.errors.of(&FailureKind::Timeout), 0, "{report}");
    let instants = Arrivals::Poisson { seed: 5 }.until(WINDOW.end(), 300.0);
    let waited = (instants[GATE - 1] - instants[0]).as_secs_f64() * 1000.0;
    let latency = report.latency_ms.unwrap();
    assert!(latency.max >= 0.999 * waited, "{latency:?}, {waited} ms");
}

#[test]
fn what_is_not_answered_is_counted_by_kind() {
    let toy = Toy::start();
    let mut held = toy.server("held");
    held.timeout = Duration::from_millis(40);
    let report = load(&options(held, "held", poisson(500.0, 1, 2), 1)).unwrap();
    let (late, unsent) = (report.errors.of(&FailureKind::Timeout), report.errors.of(&FailureKind::NotSent));
    assert_eq!(late + unsent, due(500.0, Arrivals::Poisson { seed: 1 }), "{report}");
    assert!(late > 0 && unsent > 0, "{report}");
    assert_eq!((report.answered, report.latency_ms), (0, None));
    assert_eq!(
        (report.accounts.failed, report.accounts.not_sent, report.accounts.unaccounted),
        (late, unsent, 0)
    );

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

#[test]
fn a_fixed_rate_is_sent_whole_and_every_request_is_accounted_for() {
    let toy = Toy::start();
    let pace = Pace::Rate { per_second: 200.0, arrivals: Arrivals::Fixed, max_in_flight: 1000 };
    let report = load(&options(toy.server("toy"), "fixed", pace, 1)).unwrap();
    let accounts = report.accounts;
    assert_eq!((accounts.due, accounts.sent), (60, 60), "{report}");
    // Every fifth item is not valid, and refused.
    assert_eq!((accounts.answered, accounts.refused), (48, 12), "{report}");
    assert_eq!((accounts.failed, accounts.not_sent, accounts.unaccounted), (0, 0, 0), "{report}");
    assert!(report.passed());
}

#[test]
fn duplicates_equal_a_request_in_flight() {
    // The first request is the only one with its own item: all after it find another in flight, since the
    // server answers none.
    let toy = Toy::start();
    let mut server = toy.server("held");
    server.timeout = Duration::from_millis(600);
    let mut options = options(server, "duplicates", poisson(200.0, 1, 1000), 1);
    options.window = Window { warm_up: Duration::ZERO, duration: WINDOW.end() };
    options.duplicates = 1.0;
    let report = load(&options).unwrap();
    assert!(report.accounts.sent > 2, "{report}");
    assert_eq!(report.duplicates, report.accounts.sent - 1, "{report}");
    let bodies = toy.seen.bodies.lock().unwrap();
    assert!(bodies.iter().all(|body| *body == bodies[0]), "{bodies:?}");
}

#[test]
fn goodput_needs_a_goal_that_is_met() {
    let toy = Toy::start();
    for (goal, good) in [(Duration::from_nanos(1), 0), (Duration::from_secs(60), 60)] {
        let pace = Pace::Rate { per_second: 200.0, arrivals: Arrivals::Fixed, max_in_flight: 1000 };
        let mut options = options(toy.server("toy"), "goal", pace, 2);
        options.goal = Some(Goal(goal));
        let report = load(&options).unwrap();
        let per_s = report.good_per_s.unwrap().mean;
        assert!((per_s * WINDOW.duration.as_secs_f64() - f64::from(good)).abs() < 1e-6, "{report}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn the_memory_of_a_process_is_reported() {
    let toy = Toy::start();
    let mut options = options(toy.server("toy"), "memory", clients(1), 1);
    options.pid = Some(std::process::id());
    let report = load(&options).unwrap();
    assert!(report.memory.unwrap().max_bytes > 1 << 20 && !report.memory_over_time.is_empty());
    options.pid = Some(u32::MAX);
    let error = load(&options).unwrap_err().to_string();
    assert_eq!(error, "no process 4294967295, so its memory cannot be read");
}

#[test]
fn a_sweep_is_one_page_with_a_point_for_each_run() {
    let toy = Toy::start();
    let options = options(toy.server("toy"), "sweep", clients(1), 1);
    let report = sweep(&options, &[poisson(100.0, 1, 10), poisson(200.0, 1, 10)]).unwrap();
    assert_eq!(report.runs.iter().map(|run| run.rate).collect::<Vec<_>>(), [Some(100.0), Some(200.0)]);
    let page = report.html();
    for title in ["Latency distribution", "Throughput against latency", "Goodput under overload"] {
        assert!(page.contains(title), "{title}");
    }
    assert!(!page.contains("Resident memory"), "there was no process to look at");
}

#[test]
fn idle_connections_stay_open_beside_the_load() {
    let toy = Toy::start();
    let options =
        LoadOptions { idle: Some(nonzero(20)), ..options(toy.server("toy"), "idle", clients(1), 1) };
    let report = load(&options).unwrap();
    assert_eq!(report.idle, Some(Idle { opened: 20, open_at_end: 20 }));
    assert!(report.to_string().contains("20 beside the load, 20 of them open"), "{report}");
}

#[test]
fn idle_connections_that_cannot_be_opened_are_an_error_that_counts_them() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let server = Server { url: format!("http://{free}"), ..Toy::start().server("toy") };
    let error = load(&LoadOptions { idle: Some(nonzero(3)), ..options(server, "no_idle", clients(1), 1) });
    let message = error.unwrap_err().to_string();
    assert!(message.starts_with("cannot open 3 idle connections to http://127.0.0.1:"), "{message}");
    assert!(message.contains(", only 0: "), "{message}");
}
