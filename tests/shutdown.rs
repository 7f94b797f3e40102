//! The end under load: what was accepted is answered, and what hangs cannot hold the process for ever.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "these are all tests")]

mod support;

use std::collections::HashMap;
use std::io::{BufRead, Write};
use std::net::SocketAddr;
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::http::{Connection, Head, chunk, get, head, request};
use support::keeper::{Held, answer};
use support::process::{PATIENCE, Program, Server};

const BATCH: &str = "/models/iris/predict_batch";
const ITEMS: usize = 500;
const CLIENTS: usize = 8;

/// What a client saw of one request.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Seen {
    /// The whole answer.
    Answered,
    /// The connection ended before the first byte of an answer.
    Nothing,
}

/// Sends batches in a closed loop until nobody listens any more; tells of each request under its identifier.
fn drive(address: SocketAddr, client: usize, seen: &Sender<(String, Seen)>) {
    let items = (0..ITEMS).map(|index| json!({"features": [5.0, 3.0, index as f64 / 100.0, 0.2]}));
    let body = Value::from_iter(items).to_string();
    let mut requests = 0;
    while let Ok(mut connection) = Connection::open(address) {
        loop {
            let id = format!("client-{client}-{requests}");
            requests += 1;
            let json = ("Content-Type", "application/json");
            let sent = connection.send(&request("POST", BATCH, &[json, ("X-Request-Id", &id)], &body));
            // A request that cannot be sent whole must not have been worked on either.
            let received = connection.receive();
            let answer = received.unwrap_or_else(|error| panic!("{id}: {error}, sent: {sent:?}"));
            let Some(answer) = answer else {
                seen.send((id, Seen::Nothing)).unwrap();
                break;
            };
            assert_eq!(answer.head.status, 200, "{id}: {}", answer.text());
            assert_eq!(answer.json().as_array().map(Vec::len), Some(ITEMS), "{id}");
            seen.send((id, Seen::Answered)).unwrap();
            if !answer.keeps_connection() {
                break;
            }
        }
    }
}

/// Reads from the server's log how each request of the clients ended: its identifier and its outcome.
fn accepted(log: &str) -> HashMap<String, String> {
    let line = |line| {
        let line: Value = serde_json::from_str(line).ok()?;
        let id = line["id"].as_str()?.to_owned();
        let outcome = line["outcome"].as_str()?.to_owned();
        id.starts_with("client-").then_some((id, outcome))
    };
    log.lines().filter_map(line).collect()
}

#[test]
fn everything_that_was_accepted_is_answered() {
    let server = Program::iris(&["--log-level", "info,ml_serve=debug", "--log-format", "json"]).serve();
    let (address, (sender, seen)) = (server.address, channel());
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let sender = sender.clone();
            std::thread::spawn(move || drive(address, client, &sender))
        })
        .collect();
    drop(sender);
    // The load runs: four requests a client have ended when the signal comes.
    let before: Vec<_> = seen.iter().take(CLIENTS * 4).collect();
    let ended = server.stop();
    let requests: Vec<_> = before.into_iter().chain(seen).collect();
    for client in clients {
        client.join().expect("no client saw half an answer or a refusal");
    }

    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let mut accepted = accepted(&ended.stderr);
    for (id, seen) in requests {
        let expected = (seen == Seen::Answered).then(|| "ok".to_owned());
        assert_eq!(accepted.remove(&id), expected, "{id} was {seen:?}");
    }
    assert!(accepted.is_empty(), "nobody knows of {accepted:?}");
}

/// Opens a stream of lines, which hangs until it gets its lines or its end.
fn hang(server: &Server) -> (Connection, Head) {
    let headers = [("Content-Type", "application/x-ndjson"), ("Transfer-Encoding", "chunked")];
    let mut connection = server.connect();
    connection.send(&head("POST", BATCH, &headers)).unwrap();
    let head = connection.head().unwrap().expect("there is an answer");
    assert_eq!(head.status, 200);
    (connection, head)
}

#[test]
fn a_server_that_is_told_to_stop_is_not_ready() {
    let server = Program::iris(&[]).serve();
    let _stream = hang(&server);
    let mut probe = server.connect();
    assert_eq!(probe.ask(&get("/health/ready")).head.status, 200);
    server.signal("TERM");
    let started = Instant::now();
    let refused = loop {
        let answer = probe.ask(&get("/health/ready"));
        if answer.head.status != 200 {
            break answer;
        }
        assert!(started.elapsed() < PATIENCE, "it stays ready");
    };
    assert_eq!(refused.head.status, 503, "{}", refused.text());
    assert_eq!(refused.json()["code"], "not_ready");
    assert!(refused.head.header("retry-after").is_some());
    assert!(!refused.keeps_connection(), "the caller's next request must go to another server");
}

#[test]
fn a_stream_goes_on_after_the_first_signal_and_ends_with_the_second() {
    let server = Program::iris(&[]).serve();
    let (mut connection, head) = hang(&server);
    let mut sender = connection.sender();
    let mut answers = connection.body(&head).lines();
    server.signal("TERM");
    server.wait_for_log("stopping");
    // A connection without a request ends when the last call is over: the server only waits for the stream then.
    if let Ok(mut idle) = Connection::open(server.address) {
        assert!(matches!(idle.receive(), Ok(None)));
    }
    for _ in 0..3 {
        sender.write_all(&chunk("{\"features\":[5.1,3.5,1.4,0.2]}\n")).unwrap();
        let answer = answers.next().expect("the stream goes on").unwrap();
        assert!(answer.starts_with(r#"{"output":"#), "{answer}");
    }
    let told = Instant::now();
    server.signal("TERM");
    let ended = server.wait();
    assert!(told.elapsed() < Duration::from_secs(5), "it took {:?}", told.elapsed());
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains("stopped with 1 requests unanswered"), "{}", ended.stderr);
}

#[test]
fn the_drain_limit_ends_a_server_with_a_request_that_hangs() {
    let server = Program::iris(&["--drain-timeout-ms", "300"]).serve();
    let streams = [hang(&server), hang(&server)];
    let told = Instant::now();
    server.signal("TERM");
    let ended = server.wait();
    let took = told.elapsed();
    assert!((Duration::from_millis(300)..Duration::from_secs(5)).contains(&took), "it took {took:?}");
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains("stopped with 2 requests unanswered"), "{}", ended.stderr);
    drop(streams);
}

#[test]
fn a_model_that_hangs_does_not_keep_the_process() {
    let held = Held::serve(&[]);
    let hangs = held.send("hangs", &[("X-Request-Timeout-Ms", "100")]);
    let at_work = held.expect(&["hangs"]);
    assert_eq!(answer(hangs).head.status, 504);
    let told = Instant::now();
    let ended = held.stop();
    assert!(told.elapsed() < Duration::from_secs(10), "it took {:?}", told.elapsed());
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains("with a model that still runs"), "{}", ended.stderr);
    drop(at_work);
}

#[test]
fn an_idle_server_ends_well_on_either_signal() {
    for signal in ["TERM", "INT"] {
        let server = Program::iris(&[]).serve();
        let mut idle = server.connect();
        assert_eq!(idle.ask(&get("/health/live")).head.status, 200);
        server.signal(signal);
        let ended = server.wait();
        assert_eq!(ended.code, Some(0), "{signal}: {}", ended.stderr);
        assert!(matches!(idle.receive(), Ok(None)), "{signal}: the idle connection is closed");
    }
}
