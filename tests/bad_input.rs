//! What no caller should send: each gets a clear refusal, and none costs the next caller its answer.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "these are all tests")]

mod support;

use serde_json::Value;
use support::http::{Connection, Response, chunk, get, head, post, request};
use support::process::{Program, Server};

const PREDICT: &str = "/models/iris/predict";
const BATCH: &str = "/models/iris/predict_batch";
const GOOD: &str = r#"{"features":[5.1,3.5,1.4,0.2]}"#;

/// How the sending of a case ends.
#[derive(Clone, Copy, PartialEq)]
enum Ending {
    /// The request is whole.
    Whole,
    /// The client has not sent all it announced, and waits.
    Waiting,
    /// The client has not sent all it announced, and closes its side.
    Closed,
}
use Ending::{Closed, Waiting, Whole};

type Case<'a> = (&'a str, Vec<u8>, Ending, u16, &'a str);

/// Sends each case to one server: expects its status and code, and a 200 for the good requests that follow it.
fn check(cases: Vec<Case<'_>>) {
    let server = Program::iris(&[]).serve();
    for (name, bytes, ending, status, code) in cases {
        let mut connection = server.connect();
        // A server that answers early need not read the rest.
        let sent = connection.send(&bytes);
        assert!(sent.is_ok() || ending == Waiting, "{name}: {sent:?}");
        if ending == Closed {
            connection.half_close();
        }
        let response = connection.receive().unwrap_or_else(|error| panic!("{name}: {error}"));
        let response = response.unwrap_or_else(|| panic!("{name}: no answer"));
        check_refusal(name, &response, status, code);
        if ending == Whole && response.keeps_connection() {
            assert_eq!(connection.ask(&post(PREDICT, GOOD)).head.status, 200, "{name}: the same connection");
        }
        assert_eq!(server.ask(&post(PREDICT, GOOD)).head.status, 200, "{name}: the next connection");
    }
    check_unharmed(server);
}

fn check_refusal(name: &str, response: &Response, status: u16, code: &str) {
    let body = response.json();
    assert_eq!(
        (response.head.status, &body["code"]),
        (status, &Value::from(code)),
        "{name}: {}",
        response.text()
    );
    assert!(body["message"].as_str().is_some_and(|message| message.len() > 10), "{name}: {body}");
    assert_eq!(response.head.header("content-type"), Some("application/json"), "{name}");
    assert!(response.head.header("x-request-id").is_some_and(|id| !id.is_empty()), "{name}");
}

/// Expects that no request was answered with 5xx, that none is forgotten, and that nothing panicked.
fn check_unharmed(server: Server) {
    let metrics = server.ask(&get("/metrics")).text();
    assert!(!metrics.contains(r#"status="5"#), "{metrics}");
    server.wait_until_idle();
    let ended = server.stop();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
}

/// An item of the iris model, padded with spaces to a size.
fn padded(bytes: usize) -> String {
    format!("{}{GOOD}", " ".repeat(bytes - GOOD.len()))
}

fn nested(opening: &str, closing: &str) -> String {
    [opening.repeat(100_000), closing.repeat(100_000)].concat()
}

#[test]
fn a_body_that_is_no_item_is_refused() {
    let in_item = |value: &str| format!(r#"{{"features":{value}}}"#);
    let cases = [
        ("empty", String::new(), 400, "empty_body"),
        ("broken JSON", r#"{"features":[5.1,,1.4,0.2]}"#.to_owned(), 400, "malformed_json"),
        ("cut JSON", r#"{"features":[5.1,3.5"#.to_owned(), 400, "malformed_json"),
        ("text after the item", format!("{GOOD}{GOOD}"), 400, "malformed_json"),
        ("an array", "[5.1,3.5,1.4,0.2]".to_owned(), 422, "invalid_item"),
        ("a text", r#""setosa""#.to_owned(), 422, "invalid_item"),
        ("null", "null".to_owned(), 422, "invalid_item"),
        ("a field of the wrong type", in_item(r#"["a","b","c","d"]"#), 422, "invalid_item"),
        ("a field of the wrong shape", in_item("[5.1,3.5,1.4]"), 422, "invalid_item"),
        ("a field that is null", in_item("null"), 422, "invalid_item"),
        ("a missing field", "{}".to_owned(), 422, "invalid_item"),
        ("an unknown field", r#"{"features":[1,2,3,4],"colour":"blue"}"#.to_owned(), 422, "invalid_item"),
        ("NaN", in_item("[NaN,3.5,1.4,0.2]"), 400, "malformed_json"),
        ("Infinity", in_item("[Infinity,3.5,1.4,0.2]"), 400, "malformed_json"),
        ("over 64-bit floats", in_item("[1e999,3.5,1.4,0.2]"), 422, "invalid_item"),
        ("over 32-bit floats", in_item("[1e39,3.5,1.4,0.2]"), 422, "invalid_item"),
        ("deep arrays", nested("[", "]"), 422, "invalid_item"),
        ("deep arrays without an end", nested("[", ""), 400, "malformed_json"),
        ("a deep field", in_item(&nested("[", "]")), 422, "invalid_item"),
        ("deep objects", nested(r#"{"features":"#, "}"), 413, "item_too_large"),
        ("deep objects within the size", nested(r#"{"":"#, "")[..200_000].to_owned(), 400, "malformed_json"),
        ("an item of 1 MB", padded(1_000_000), 413, "item_too_large"),
    ];
    let mut cases: Vec<_> = cases
        .into_iter()
        .map(|(name, body, status, code)| (name, post(PREDICT, body), Whole, status, code))
        .collect();
    cases.push(("no UTF-8", post(PREDICT, b"{\"features\":\"\xff\"}"), Whole, 400, "invalid_utf8"));
    check(cases);
}

#[test]
fn a_body_that_is_no_batch_is_refused() {
    let many = format!("[{}]", vec![GOOD; 1025].join(","));
    let cases: [(&str, &str, u16, &str); 9] = [
        ("empty", "", 400, "empty_body"),
        ("broken JSON", "[{]", 400, "malformed_json"),
        ("cut JSON", &format!("[{GOOD},"), 400, "malformed_json"),
        ("an object", GOOD, 422, "not_a_batch"),
        ("null", "null", 422, "not_a_batch"),
        ("no items", "[]", 422, "empty_batch"),
        ("too many items", &many, 413, "too_many_items"),
        ("NaN", r#"[{"features":[NaN,1,1,1]}]"#, 400, "malformed_json"),
        ("deep arrays without an end", &nested("[", ""), 400, "malformed_json"),
    ];
    let mut cases: Vec<_> = cases
        .into_iter()
        .map(|(name, body, status, code)| (name, post(BATCH, body), Whole, status, code))
        .collect();
    cases.push(("no UTF-8", post(BATCH, b"[\"\xc3\x28\"]"), Whole, 400, "invalid_utf8"));
    check(cases);
}

#[test]
fn a_content_type_that_is_not_taken_is_refused() {
    let typed = |path: &str, media: &str| request("POST", path, &[("Content-Type", media)], GOOD);
    let compressed = |path: &str| request("POST", path, &[("Content-Encoding", "gzip")], GOOD);
    let (status, code) = (415, "unsupported_media_type");
    check(vec![
        ("text", typed(PREDICT, "text/plain"), Whole, status, code),
        ("a form", typed(PREDICT, "application/x-www-form-urlencoded"), Whole, status, code),
        ("a form with a file", typed(PREDICT, "multipart/form-data; boundary=x"), Whole, status, code),
        ("another character set", typed(PREDICT, "application/json; charset=latin1"), Whole, status, code),
        ("lines for one item", typed(PREDICT, "application/x-ndjson"), Whole, status, code),
        ("no media type at all", typed(PREDICT, "nonsense"), Whole, status, code),
        ("text for a batch", typed(BATCH, "text/plain"), Whole, status, code),
        ("a compressed body", compressed(PREDICT), Whole, status, "unsupported_encoding"),
        ("a compressed batch", compressed(BATCH), Whole, status, "unsupported_encoding"),
        (
            "lines in another character set",
            typed(BATCH, "application/x-ndjson; charset=latin1"),
            Whole,
            status,
            code,
        ),
    ]);
}

#[test]
fn a_body_over_the_limit_is_refused_before_it_is_read() {
    let json = ("Content-Type", "application/json");
    let declared = |path| head("POST", path, &[json, ("Content-Length", "100000000")]);
    // The client waits for its answer with 80 of its 100 MB sent, or fewer where the server stops reading.
    let chunked = |path| {
        let megabyte = chunk(vec![b' '; 1_000_000]).repeat(80);
        [head("POST", path, &[json, ("Transfer-Encoding", "chunked")]), megabyte].concat()
    };
    check(vec![
        ("declared", declared(PREDICT), Waiting, 413, "body_too_large"),
        ("a batch, declared", declared(BATCH), Waiting, 413, "body_too_large"),
        (
            "declared, and some of it sent",
            [declared(PREDICT), vec![b' '; 3_000_000]].concat(),
            Waiting,
            413,
            "body_too_large",
        ),
        ("chunked", chunked(PREDICT), Waiting, 413, "body_too_large"),
        ("a batch, chunked", chunked(BATCH), Waiting, 413, "body_too_large"),
    ]);
}

#[test]
fn a_body_that_is_not_whole_is_refused() {
    let chunked =
        |body: &str| [head("POST", PREDICT, &[("Transfer-Encoding", "chunked")]), body.into()].concat();
    let counted = |body: &str| [head("POST", PREDICT, &[("Content-Length", "40")]), body.into()].concat();
    check(vec![
        ("a chunk without a size", chunked("ZZ\r\n{}\r\n0\r\n\r\n"), Waiting, 400, "unreadable_body"),
        (
            "a chunk that is longer than its size",
            chunked("1\r\n{}\r\n0\r\n\r\n"),
            Waiting,
            400,
            "unreadable_body",
        ),
        (
            "a size that no machine has",
            chunked("fffffffffffffffff\r\n{}\r\n"),
            Waiting,
            400,
            "unreadable_body",
        ),
        ("cut chunks", chunked("5\r\n{\"f"), Closed, 400, "unreadable_body"),
        (
            "no last chunk",
            chunked(&format!("{:x}\r\n{GOOD}\r\n", GOOD.len())),
            Closed,
            400,
            "unreadable_body",
        ),
        ("fewer bytes than announced", counted(GOOD), Closed, 400, "unreadable_body"),
    ]);
}

#[test]
fn a_body_that_does_not_come_is_waited_for_only_so_long() {
    let server = Program::iris(&["--request-timeout-ms", "100"]).serve();
    let begun = |path: &str, media: &str| {
        let headers = [("Content-Type", media), ("Content-Length", "40")];
        [head("POST", path, &headers), b"{\"fea".to_vec()].concat()
    };
    for path in [PREDICT, BATCH] {
        let mut connection = server.connect();
        connection.send(&begun(path, "application/json")).expect("it is read");
        let response = connection.receive().expect("the answer is whole").expect("there is an answer");
        check_refusal(path, &response, 408, "body_timeout");
    }
    // A stream's answer has begun with 200: its last line says why it ends.
    let mut connection = server.connect();
    connection.send(&begun(BATCH, "application/x-ndjson")).expect("it is read");
    let response = connection.receive().expect("the answer is whole").expect("there is an answer");
    assert_eq!((response.head.status, &response.json()["error"]["code"]), (200, &"body_timeout".into()));
    check_unharmed(server);
}

#[test]
fn a_path_that_leads_nowhere_is_refused() {
    let long = format!("/models/{}/predict", "a".repeat(8_000));
    let unknown = |path: &str| post(path, GOOD);
    check(vec![
        ("an unknown model", unknown("/models/rose/predict"), Whole, 404, "unknown_model"),
        ("an unknown model's batch", unknown("/models/rose/predict_batch"), Whole, 404, "unknown_model"),
        ("an unknown model's description", get("/models/rose"), Whole, 404, "unknown_model"),
        ("no UTF-8 in the name", unknown("/models/%FF%FE/predict"), Whole, 404, "unknown_model"),
        ("a zero in the name", unknown("/models/iris%00/predict"), Whole, 404, "unknown_model"),
        ("a slash in the name", unknown("/models/..%2F..%2Fetc/predict"), Whole, 404, "unknown_model"),
        ("a wrong escape in the name", unknown("/models/%zz/predict"), Whole, 404, "unknown_model"),
        ("half an escape in the name", unknown("/models/iris%/predict"), Whole, 404, "unknown_model"),
        ("a line end in the name", unknown("/models/a%0D%0Ab/predict"), Whole, 404, "unknown_model"),
        ("a very long name", unknown(&long), Whole, 404, "unknown_model"),
        ("an unknown path", get("/favicon.ico"), Whole, 404, "not_found"),
        ("an unknown action", unknown("/models/iris/train"), Whole, 404, "not_found"),
        ("a slash too many", unknown("/models/iris/predict/"), Whole, 404, "not_found"),
        ("an empty name", unknown("/models//predict"), Whole, 404, "not_found"),
    ]);
}

#[test]
fn a_method_that_a_path_does_not_take_is_refused() {
    let server = Program::iris(&[]).serve();
    let index = server.ask(&get("/")).json();
    let routes = index["routes"].as_array().unwrap();
    assert!(routes.len() >= 35, "{index}");
    for route in routes {
        let pattern = route["path"].as_str().unwrap();
        let takes = routes.iter().filter(|other| other["path"] == pattern);
        let allowed: Vec<&str> = takes.map(|other| other["method"].as_str().unwrap()).collect();
        let allow = allowed.join(", ").replace("GET", "GET, HEAD");
        let path = pattern.replace("{model}", "iris").replace("{version}", "1").replace("{repository}", "r");
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "BREW"] {
            if allowed.contains(&method) {
                continue;
            }
            let response = server.ask(&head(method, &path, &[]));
            if path.starts_with("/v2") {
                assert_eq!(
                    (response.head.status, response.text()),
                    (405, r#"{"error":"Method Not Allowed"}"#.to_owned())
                );
            } else if path.starts_with("/v1") {
                let error = &response.json()["error"];
                assert_eq!(
                    (response.head.status, &error["code"]),
                    (405, &Value::from("method_not_allowed")),
                    "{path}"
                );
            } else if ["/embed", "/predict", "/rerank", "/tei/"].iter().any(|own| path.starts_with(own)) {
                let error = response.json();
                assert_eq!(
                    (response.head.status, &error["error_type"]),
                    (405, &Value::from("Validation")),
                    "{path}"
                );
            } else {
                check_refusal(&format!("{method} {path}"), &response, 405, "method_not_allowed");
            }
            assert_eq!(response.head.header("allow"), Some(&*allow), "{method} {path}");
        }
        assert_eq!(server.ask(&post(PREDICT, GOOD)).head.status, 200);
    }
    check_unharmed(server);
}

/// No request comes of these, so they get a status without a body from the HTTP library, and the connection ends.
#[test]
fn a_head_that_is_none_ends_the_connection() {
    let server = Program::iris(&[]).serve();
    let endless = format!("GET / HTTP/1.1\r\nHost: x\r\n{}", "X-More: and more\r\n".repeat(20_000));
    let cases: [(&str, &[u8], &[u16]); 8] = [
        ("not HTTP", b"\x16\x03\x01\x02\x00\x01\r\n\r\n", &[400]),
        ("no known version", b"GET / HTTP/9.1\r\nHost: x\r\n\r\n", &[400]),
        ("control characters", b"GET /\x01 HTTP/1.1\r\nHost: x\r\n\r\n", &[400]),
        ("a length that is no number", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: a\r\n\r\n", &[400]),
        (
            "two lengths",
            b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            &[400],
        ),
        ("a URL of 200 KB", &head("GET", &format!("/{}", "a".repeat(200_000)), &[]), &[414, 431]),
        ("ever more headers", endless.as_bytes(), &[431]),
        ("a client that stops in the head", b"GET / HTTP/1.1\r\nHost: x\r\n", &[408]),
    ];
    for (name, bytes, expected) in cases {
        let mut connection = server.connect();
        // The server may have closed the connection before all is sent.
        drop(connection.send(bytes));
        let status = connection.receive().expect("the answer is whole").map(|response| response.head.status);
        assert!(status.is_some_and(|status| expected.contains(&status)), "{name}: {status:?}");
        assert!(ends(&mut connection), "{name}: the connection stays open");
        assert_eq!(server.ask(&post(PREDICT, GOOD)).head.status, 200, "{name}");
    }
    check_unharmed(server);
}

fn ends(connection: &mut Connection) -> bool {
    matches!(connection.receive(), Ok(None))
}
