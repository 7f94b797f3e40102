//! Facts of an HTTP service, with a real one that errs, stalls and breaks off.
#![allow(clippy::expect_used, clippy::panic, reason = "a failed expectation is what a test ends with")]

mod support;

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use ml_core::{BreakerOptions, LookupError, RetryOptions, Source};
use ml_sources::{HttpFacts, HttpOptions};

use support::service::service;
use support::{ask, engine};

fn facts(address: SocketAddr) -> Source<impl ml_core::Lookup<Value = String>> {
    let options = HttpOptions { body_bytes_max: 100, ..HttpOptions::default() };
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).map_err(LookupError::new);
    let facts =
        HttpFacts::new(format!("http://{address}/facts/"), options, text).expect("no roots are needed");
    let wait = Duration::from_millis(1);
    // What is tested here is single answers, not what goes for many.
    let patient = BreakerOptions { failures: u32::MAX, ..BreakerOptions::default() };
    let retry = RetryOptions { times: 1, first_wait: wait, longest_wait: wait };
    Source::new(facts).retry(retry).breaker(patient)
}

#[test]
fn each_answer_is_a_fact_none_or_an_error_that_is_retried_if_that_may_help() {
    const LARGE: &str = "HTTP/1.1 200 OK\r\ncontent-length: 101\r\nconnection: close\r\n\r\n";
    let chunks = |chunks: &str| format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{chunks}");
    let large_chunk = chunks(&format!("80\r\n{}\r\n0\r\n\r\n", "x".repeat(0x80)));
    let (address, asked) = service(move |asked| {
        let answer = match asked.path.as_str() {
            "/facts/good" => "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello",
            "/facts/unknown" => "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
            "/facts/bad" => "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
            "/facts/busy" => "HTTP/1.1 503 Busy\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
            "/facts/cut" => "HTTP/1.1 200 OK\r\ncontent-length: 50\r\nconnection: close\r\n\r\nhel",
            "/facts/chunks" => &chunks("2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"),
            "/facts/cut_chunk" => &chunks("5\r\nhel"),
            "/facts/cut_between_chunks" => &chunks("5\r\nhello\r\n"),
            "/facts/cut_before_the_end" => &chunks("5\r\nhello\r\n0\r\n"),
            "/facts/endless" => "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nhello",
            "/facts/compressed" => "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\nhello",
            "/facts/large" => LARGE,
            "/facts/large_chunk" => &large_chunk,
            _ => "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
        };
        Some(answer.to_owned())
    });
    let engine = engine(facts(address));
    for (id, expected, requests) in [
        ("good", Ok(Some("hello".to_owned())), 1),
        ("unknown", Ok(None), 1),
        ("bad", Err("400 Bad Request"), 1),
        ("busy", Err("503 Service Unavailable"), 2),
        ("cut", Err("end of file before message length reached"), 2),
        ("chunks", Ok(Some("hello".to_owned())), 1),
        ("cut_chunk", Err("end of file"), 2),
        ("cut_between_chunks", Err("unexpected EOF"), 2),
        ("cut_before_the_end", Err("unexpected EOF"), 2),
        ("endless", Err("the answer does not say where it ends"), 1),
        ("compressed", Err("the answer does not say where it ends"), 1),
        ("large", Err("the answer has more than 100 bytes"), 1),
        ("large_chunk", Err("the answer has more than 100 bytes"), 1),
        ("../secret", Ok(Some(String::new())), 1),
    ] {
        asked.lock().expect("no panic").clear();
        match (ask(&engine, id), expected) {
            (Err(text), Err(reason)) => assert!(text.contains(reason), "{id}: {text}"),
            (got, expected) => assert_eq!(got, expected.map_err(ToOwned::to_owned), "{id}"),
        }
        let asked = asked.lock().expect("no panic");
        assert_eq!(asked.len(), requests, "{id}");
        let one_segment = |path: &str| path.strip_prefix("/facts/").is_some_and(|rest| !rest.contains('/'));
        assert!(asked.iter().all(|asked| asked.method == "GET" && one_segment(&asked.path)), "{asked:?}");
    }
}

#[test]
fn a_service_that_is_silent_costs_the_budget_and_no_more() {
    let (address, _) = service(|_| None);
    let engine = engine(facts(address).budget(Duration::from_millis(50)));
    assert_eq!(ask(&engine, "a"), Err("the lookup in facts failed: no answer within 50 ms".to_owned()));
}

#[test]
fn a_service_that_is_not_there_is_an_error() {
    let nobody = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port");
    let engine = engine(facts(nobody));
    let text = ask(&engine, "a").expect_err("nobody is there");
    assert!(text.to_lowercase().contains("connect"), "{text}");
}
