//! Facts that an HTTP service gives many at once, with a real one that errs, forgets and breaks off.
#![allow(clippy::expect_used, clippy::panic, reason = "a failed expectation is what a test ends with")]

mod support;

use std::net::SocketAddr;
use std::time::Duration;

use ml_core::{BreakerOptions, Engine, RetryOptions, Source};
use ml_sources::{HttpManyFacts, HttpOptions};

use support::service::{ok, service};
use support::{Echo, engine};

fn facts(address: SocketAddr) -> Source<HttpManyFacts<String>> {
    let options = HttpOptions { body_bytes_max: 100, ..HttpOptions::default() };
    let facts = HttpManyFacts::new(format!("http://{address}/facts"), options).expect("no roots are needed");
    let wait = Duration::from_millis(1);
    // What is tested here is single answers, not what goes for many.
    let patient = BreakerOptions { failures: u32::MAX, ..BreakerOptions::default() };
    let retry = RetryOptions { times: 1, first_wait: wait, longest_wait: wait };
    Source::new(facts).retry(retry).breaker(patient)
}

/// Asks for facts in one call; each is what came back, or the text of the error.
fn ask(engine: &Engine<Echo>, ids: &[&str]) -> Vec<Result<Option<String>, String>> {
    let items = ids.iter().map(|id| ((*id).to_owned(), 0)).collect();
    let results = engine.predict_many_blocking(items);
    results.into_iter().map(|result| result.map_err(|error| error.to_string())).collect()
}

fn known(fact: &str) -> Result<Option<&str>, &'static str> {
    Ok(Some(fact))
}

#[test]
fn an_answer_has_the_facts_by_identifier_or_in_order() {
    let unknown = Ok(None);
    let all = |reason| [Err(reason); 3];
    let status = |line: &str| format!("HTTP/1.1 {line}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    let cut = "HTTP/1.1 200 OK\r\ncontent-length: 50\r\nconnection: close\r\n\r\n[\"x\",\"y\",";
    let whole_but_endless = "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n[\"x\",\"y\",null]";
    for (answer, expected, requests) in [
        (ok(r#"{"a": "x", "b": "y"}"#), [known("x"), known("y"), unknown], 1),
        (ok(r#" {"nobody": null, "b": "y", "else": 1, "a": "x"} "#), [known("x"), known("y"), unknown], 1),
        (ok(r#"["x", "y", null]"#), [known("x"), known("y"), unknown], 1),
        (ok("{}"), [unknown; 3], 1),
        // One bad fact is no reason to lose the others.
        (ok(r#"{"a": "x", "b": 5}"#), [known("x"), Err("invalid type: integer `5`"), unknown], 1),
        (ok(r#"["x", {"y": 1}, null]"#), [known("x"), Err("invalid type: map"), unknown], 1),
        // Whose facts these are, nobody knows.
        (ok(r#"["x", "y"]"#), all("2 values for 3 keys"), 1),
        (ok(r#"["x", "y", null, "z"]"#), all("4 values for 3 keys"), 1),
        (ok(r#"{"a": "x", "b": "y""#), all("EOF while parsing"), 1),
        (ok("5"), all("invalid type: integer `5`"), 1),
        (ok(""), all("EOF while parsing"), 1),
        (ok(&format!("[{}]", "1".repeat(100))), all("the answer has more than 100 bytes"), 1),
        (status("404 Not Found"), all("the service has nothing under this URL"), 1),
        (status("400 Bad Request"), all("400 Bad Request"), 1),
        (status("503 Busy"), all("503 Service Unavailable"), 2),
        (cut.to_owned(), all("end of file before message length reached"), 2),
        (whole_but_endless.to_owned(), all("the answer does not say where it ends"), 1),
    ] {
        let sent = answer.clone();
        let (address, asked) = service(move |_| Some(sent.clone()));
        let got = ask(&engine(facts(address)), &["a", "b", "nobody"]);
        for (got, expected) in got.iter().zip(expected) {
            match (got, expected) {
                (Err(text), Err(reason)) => assert!(text.contains(reason), "{answer}: {text}"),
                (Ok(fact), Ok(expected)) => assert_eq!(fact.as_deref(), expected, "{answer}"),
                (got, expected) => panic!("{answer}: {got:?} instead of {expected:?}"),
            }
        }
        let asked = asked.lock().expect("no panic");
        assert_eq!(asked.len(), requests, "{answer}");
        let request =
            |asked: &support::service::Asked| (asked.method.clone(), asked.path.clone(), asked.body.clone());
        let expected = ("POST".to_owned(), "/facts".to_owned(), r#"["a","b","nobody"]"#.to_owned());
        assert!(asked.iter().all(|asked| request(asked) == expected), "{asked:?}");
    }
}

#[test]
fn a_request_takes_no_more_keys_than_the_source_may_ask_for() {
    let (address, asked) = service(|asked| Some(ok(&asked.body)));
    let engine = engine(facts(address).keys_per_fetch_max(2));
    // Whatever can be in a text is an identifier.
    let ids = ["a", "ü \"quoted\"", "\\ \n \0", "", "../e"];
    let got = ask(&engine, &ids);
    assert_eq!(got, ids.map(|id| Ok(Some(id.to_owned()))), "the service answers each with itself");
    let mut keys: Vec<_> = asked.lock().expect("no panic").iter().map(|asked| asked.body.clone()).collect();
    keys.sort();
    assert_eq!(keys, [r#"["../e"]"#, r#"["\\ \n \u0000",""]"#, r#"["a","ü \"quoted\""]"#]);
}

#[test]
fn a_service_that_is_silent_costs_the_budget_and_no_more() {
    let (address, _) = service(|_| None);
    let engine = engine(facts(address).budget(Duration::from_millis(50)));
    let got = ask(&engine, &["a"]);
    assert_eq!(got, [Err("the lookup in facts failed: no answer within 50 ms".to_owned())]);
}
