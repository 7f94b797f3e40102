//! The headers of an answer: whose it is, and where its time went.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "these are all tests")]

mod support;

use std::collections::HashSet;

use support::http::{get, head, post};
use support::process::Program;

const PREDICT: &str = "/models/iris/predict";
const GOOD: &str = r#"{"features":[5.1,3.5,1.4,0.2]}"#;

#[test]
fn a_fit_request_id_comes_back_and_another_is_replaced() {
    let server = Program::iris(&[]).serve();
    let longest = "x".repeat(128);
    let too_long = "x".repeat(129);
    let cases: [(&str, bool); 8] = [
        ("7", true),
        ("order-42/attempt_1", true),
        ("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", true),
        (&longest, true),
        (&too_long, false),
        ("two words", false),
        ("a\ttab", false),
        ("", false),
    ];
    for (given, fit) in cases {
        for path in ["/version", "/nowhere"] {
            let response = server.ask(&head("GET", path, &[("X-Request-Id", given)]));
            let id = response.head.header("x-request-id").expect("every answer has one");
            assert_eq!(id == given, fit, "{given:?} on {path} comes back as {id:?}");
            assert!(!id.is_empty() && id.len() <= 128, "{given:?} on {path} comes back as {id:?}");
        }
    }
}

#[test]
fn requests_without_an_id_get_one_each() {
    let server = Program::iris(&[]).serve();
    let mut connection = server.connect();
    let id = |response: support::http::Response| response.head.header("x-request-id").unwrap().to_owned();
    let ids: HashSet<String> = (0..100).map(|_| id(connection.ask(&get("/version")))).collect();
    assert_eq!(ids.len(), 100);
}

/// Reads `name;dur=1.5, …` into names and milliseconds.
fn times(header: &str) -> Vec<(&str, f64)> {
    let entry = |entry| {
        let (name, milliseconds): (&str, &str) =
            str::split_once(entry, ";dur=").expect("an entry has a time");
        (name.trim(), milliseconds.parse().expect("a time is a number"))
    };
    header.split(',').map(entry).collect()
}

#[test]
fn the_time_of_every_stage_is_told() {
    let server = Program::iris(&[]).serve();
    let batch = format!("[{GOOD}]");
    for request in [post(PREDICT, GOOD), post("/models/iris/predict_batch", batch)] {
        let response = server.ask(&request);
        let times = times(response.head.header("server-timing").expect("every answer has it"));
        let names: Vec<&str> = times.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["validate", "clean", "queue", "predict", "format", "total"]);
        let (total, stages) = times.split_last().unwrap();
        let sum: f64 = stages.iter().map(|(_, milliseconds)| milliseconds).sum();
        // The stages follow each other inside the request; each is rounded.
        assert!(total.1 > 0.0 && sum <= total.1 + 0.01, "{times:?}");
    }
    for path in ["/version", "/nowhere"] {
        let response = server.ask(&get(path));
        let times = times(response.head.header("server-timing").expect("every answer has it"));
        assert!(matches!(times.as_slice(), [("total", _)]), "{path}: {times:?}");
    }
}

#[test]
fn head_answers_as_get_does_without_the_body() {
    let server = Program::iris(&[]).serve();
    for path in ["/", "/models", "/models/iris", "/health/live", "/health/ready", "/version"] {
        let mut connection = server.connect();
        connection.send(&head("HEAD", path, &[])).expect("it is read");
        let answered = connection.head().expect("a whole head").expect("an answer");
        assert_eq!(answered.status, 200, "{path}");
        // Nothing lies between this head and the next answer.
        assert_eq!(connection.ask(&get(path)).head.status, 200, "{path}");
    }
}
