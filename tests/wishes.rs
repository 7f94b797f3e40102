//! What callers may ask for, and what is not computed for them: late items, callers that left, equal items.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "these are all tests")]

mod support;

use std::time::{Duration, Instant};

use serde_json::json;
use support::http::{Response, request};
use support::keeper::{Held, answer};
use support::process::Program;

const MODEL: &str = r#"model="held""#;

fn check(response: &Response, status: u16, code: &str) {
    let body = response.json();
    assert_eq!((response.head.status, &body["code"]), (status, &json!(code)), "{}", response.text());
}

fn check_output(response: &Response, output: &str) {
    assert_eq!((response.head.status, response.json()), (200, json!(output)), "{}", response.text());
}

#[test]
fn a_wish_that_means_nothing_is_refused() {
    const TIMEOUT: (&str, &str) = ("x-request-timeout-ms", "whole milliseconds, 1 or more");
    const PRIORITY: (&str, &str) = ("x-request-priority", "interactive or bulk");
    let cases = [
        (TIMEOUT, "0"),
        (TIMEOUT, "-1"),
        (TIMEOUT, "1.5"),
        (TIMEOUT, "1e3"),
        (TIMEOUT, "soon"),
        (TIMEOUT, "1000ms"),
        (TIMEOUT, ""),
        (TIMEOUT, "99999999999999999999999"),
        (PRIORITY, "urgent"),
        (PRIORITY, "Bulk"),
        (PRIORITY, "interactive, bulk"),
        (PRIORITY, ""),
    ];
    let good = r#"{"features":[5.1,3.5,1.4,0.2]}"#;
    let many = format!("[{good}]");
    let calls = [
        ("/models/iris/predict", "application/json", good),
        ("/models/iris/predict_batch", "application/json", &many),
        ("/models/iris/predict_batch", "application/x-ndjson", good),
    ];
    let server = Program::iris(&[]).serve();
    for (path, media, body) in calls {
        let ask =
            |name, value| server.ask(&request("POST", path, &[("Content-Type", media), (name, value)], body));
        for ((name, wanted), value) in cases {
            let response = ask(name, value);
            check(&response, 400, "invalid_header");
            let message = format!("the header {name} is {value:?}; send {wanted}");
            assert_eq!(response.json()["message"], message, "{path} as {media}");
        }
        for (name, value) in [(TIMEOUT.0, "60000"), (PRIORITY.0, "interactive"), (PRIORITY.0, "bulk")] {
            assert_eq!(ask(name, value).head.status, 200, "{path} as {media}, {name}: {value}");
        }
    }
}

#[test]
fn an_item_whose_time_is_over_is_not_computed() {
    let held = Held::serve(&[]);
    let first = held.send("first", &[]);
    let at_work = held.expect(&["first"]);
    let sent = Instant::now();
    let late = answer(held.send("late", &[("X-Request-Timeout-Ms", "80")]));
    check(&late, 504, "deadline_exceeded");
    assert!(sent.elapsed() >= Duration::from_millis(80), "it had its time");
    let patient = held.send("patient", &[("X-Request-Timeout-Ms", "60000")]);
    held.wait_for_waiting(2);
    at_work.pass();
    held.expect(&["patient"]).pass();
    check_output(&answer(first), "FIRST");
    check_output(&answer(patient), "PATIENT");
}

#[test]
fn a_line_of_a_stream_has_the_time_that_its_call_wishes() {
    let held = Held::serve(&[]);
    let first = held.send("first", &[]);
    let at_work = held.expect(&["first"]);
    let late = held.send_lines(&["late", "later"], &[("X-Request-Timeout-Ms", "80")]);
    let patient = held.send_lines(&["patient"], &[("X-Request-Timeout-Ms", "60000")]);
    held.wait_for_waiting(3);
    // A request that is sent later, with as much time, says when that of the lines is over.
    check(&answer(held.send("clock", &[("X-Request-Timeout-Ms", "80")])), 504, "deadline_exceeded");
    at_work.pass();
    held.expect(&["patient"]).pass();
    check_output(&answer(first), "FIRST");
    let late = answer(late).text();
    let lines: Vec<serde_json::Value> =
        late.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let codes: Vec<_> = lines.iter().map(|line| &line["error"]["code"]).collect();
    assert_eq!(codes, ["deadline_exceeded", "deadline_exceeded"], "{late}");
    assert_eq!(answer(patient).text(), "{\"output\":\"PATIENT\"}\n");
}

#[test]
fn what_would_be_late_is_refused_with_the_time_after_which_it_is_not() {
    let held = Held::serve(&[]);
    // An item that takes 300 ms makes the server expect much of those that wait.
    let first = held.send("first", &[]);
    let at_work = held.expect(&["first"]);
    check(&answer(held.send("clock", &[("X-Request-Timeout-Ms", "300")])), 504, "deadline_exceeded");
    at_work.pass();
    check_output(&answer(first), "FIRST");

    let _second = held.send("second", &[]);
    let at_work = held.expect(&["second"]);
    let many: Vec<String> = (0..200).map(|number| format!("item-{number}")).collect();
    let _many = held.send_many(&many, &[("X-Request-Priority", "interactive")]);
    held.wait_for_waiting(200);
    let refused = answer(held.send("hurried", &[("X-Request-Timeout-Ms", "500")]));
    check(&refused, 429, "overloaded");
    let seconds: u64 = refused.head.header("retry-after").unwrap().parse().unwrap();
    assert!((1..60).contains(&seconds), "{seconds}");
    assert_eq!(held.number("ml_calls_refused_total", &format!(r#"{MODEL},reason="queue_time""#)), 1);
    at_work.pass();
}

#[test]
fn who_waits_goes_before_who_does_not() {
    let held = Held::serve(&["--batch-items-max", "1"]);
    let first = held.send("first", &[]);
    let at_work = held.expect(&["first"]);
    let bulk = held.send("bulk", &[("X-Request-Priority", "bulk")]);
    held.wait_for_waiting(1);
    // A batch is bulk work where nothing else is said.
    let batch = held.send_many(&["batch".to_owned()], &[]);
    held.wait_for_waiting(2);
    let interactive = held.send("interactive", &[]);
    held.wait_for_waiting(3);
    at_work.pass();
    for item in ["interactive", "bulk", "batch"] {
        held.expect(&[item]).pass();
    }
    for (connection, output) in [(first, "FIRST"), (bulk, "BULK"), (interactive, "INTERACTIVE")] {
        check_output(&answer(connection), output);
    }
    assert_eq!(answer(batch).json(), json!([{"output": "BATCH"}]));
}

#[test]
fn what_a_caller_that_hangs_up_asked_for_is_not_computed() {
    let held = Held::serve(&[]);
    let first = held.send("first", &[]);
    let at_work = held.expect(&["first"]);
    let leaves = held.send("left", &[]);
    held.wait_for_waiting(1);
    drop(leaves);
    let outcome = r#"route="/models/{model}/predict",status="499",outcome="abandoned""#;
    held.wait_for_number("ml_http_requests_total", outcome, 1);
    let stays = held.send("stays", &[]);
    held.wait_for_waiting(2);
    at_work.pass();
    held.expect(&["stays"]).pass();
    check_output(&answer(first), "FIRST");
    check_output(&answer(stays), "STAYS");
    assert_eq!(held.number("ml_items_abandoned_total", MODEL), 1);
    assert_eq!(held.number("ml_http_requests_total", outcome), 1, "each request counts once");
}

#[test]
fn equal_items_in_flight_are_computed_once() {
    let held = Held::serve(&[]);
    let first = held.send("first", &[]);
    let at_work = held.expect(&["first"]);
    let equal: Vec<_> = (0..3).map(|_| held.send("equal", &[])).collect();
    held.wait_for_number("ml_items_coalesced_total", MODEL, 2);
    at_work.pass();
    held.expect(&["equal"]).pass();
    check_output(&answer(first), "FIRST");
    for connection in equal {
        check_output(&answer(connection), "EQUAL");
    }
    held.expect_nothing();
}

#[test]
fn an_answer_is_remembered_where_there_is_a_cache_and_an_error_is_not() {
    let held = Held::serve(&["--cache-bytes-max", "1MiB"]);
    for _ in 0..2 {
        let fails = held.send("known", &[]);
        held.expect(&["known"]).fail();
        check(&answer(fails), 500, "model_failed");
    }
    let computed = held.send("known", &[]);
    held.expect(&["known"]).pass();
    check_output(&answer(computed), "KNOWN");
    for hits in 1..4 {
        check_output(&answer(held.send("known", &[])), "KNOWN");
        assert_eq!(held.number("ml_cache_hits_total", MODEL), hits);
    }
    held.expect_nothing();
}

#[test]
fn readiness_is_a_real_inference_whatever_is_remembered() {
    let held = Held::serve(&["--cache-bytes-max", "1MiB"]);
    let example = held.send("example", &[]);
    held.expect(&["example"]).pass();
    check_output(&answer(example), "EXAMPLE");
    // An inference that succeeded within a second would do as proof, so more than that must pass without one.
    let clock = held.send("clock", &[("X-Request-Timeout-Ms", "1200")]);
    let at_work = held.expect(&["clock"]);
    check(&answer(clock), 504, "deadline_exceeded");
    at_work.fail();
    check_output(&answer(held.send("example", &[])), "EXAMPLE");
    assert_eq!(held.number("ml_cache_hits_total", MODEL), 1, "the answer came from the cache");

    let probe = held.probe();
    held.expect(&["example"]).fail();
    check(&answer(probe), 503, "not_ready");
    let probe = held.probe();
    held.expect(&["example"]).pass();
    assert_eq!(answer(probe).head.status, 200);
    assert_eq!(answer(held.probe()).head.status, 200);
    held.expect_nothing();
}
