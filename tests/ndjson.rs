//! Lines in, lines out, as they come: order, errors in place, streams longer than memory, callers who leave.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "these are all tests")]

mod support;

use std::io::{BufRead, Write};

use serde_json::{Value, json};
use support::http::{Connection, chunk, get, head, post};
use support::process::{Program, Server};
use support::programs::example;

const HEADERS: [(&str, &str); 2] =
    [("Content-Type", "application/x-ndjson"), ("Transfer-Encoding", "chunked")];

/// Serves the model that answers "text" with "TEXT!" and refuses the empty text.
fn shout() -> Server {
    Program::new(example("custom_pipeline")).args(&["--port", "0"]).serve()
}

/// Opens a stream of lines.
fn open(server: &Server) -> Connection {
    let mut connection = server.connect();
    connection.send(&head("POST", "/models/shout/predict_batch", &HEADERS)).unwrap();
    connection
}

/// Sends pieces of a body while the answers are read, and hands each answer to `seen`.
fn stream<T: AsRef<[u8]>>(
    server: &Server,
    pieces: impl Iterator<Item = T> + Send,
    mut seen: impl FnMut(Value),
) {
    let mut connection = open(server);
    let mut sender = connection.sender();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for piece in pieces {
                sender.write_all(&chunk(piece)).expect("the server reads on");
            }
            sender.write_all(&chunk("")).expect("the server reads on");
        });
        let head = connection.head().unwrap().expect("there is an answer");
        assert_eq!((head.status, head.header("content-type")), (200, Some("application/x-ndjson")));
        for line in connection.body(&head).lines() {
            seen(serde_json::from_str(&line.expect("the answer is whole")).expect("a line is JSON"));
        }
    });
}

fn output(text: &str) -> Value {
    json!({"output": format!("{}!", text.to_uppercase())})
}

/// Reads `count` answers of lines that said `line N`, from `first` on.
fn expect_answers(lines: &mut impl BufRead, first: usize, count: usize) {
    for index in first..first + count {
        let mut line = String::new();
        lines.read_line(&mut line).expect("the answer goes on");
        let answer: Value = serde_json::from_str(&line).expect("a line is JSON");
        assert_eq!(answer, output(&format!("line {index}")));
    }
}

/// Writes `"line N"` lines.
fn numbered(first: usize, count: usize) -> String {
    (first..first + count).map(|index| format!("\"line {index}\"\n")).collect()
}

#[test]
fn a_line_gets_its_output_or_its_own_error_in_its_place() {
    let server = shout();
    let cases: [(&str, &[&str]); 12] = [
        ("", &[]),
        ("\n\n  \n\r\n", &[]),
        ("\"a\"\n\"b\"\n", &["A!", "B!"]),
        ("\"a\"\r\n\"b\"\r\n", &["A!", "B!"]),
        ("\"a\"\n\"no end\"", &["A!", "NO END!"]),
        ("\"a\"\n\n \t\n\"b\"\n\n", &["A!", "B!"]),
        ("\"a\"\nnonsense\n\"b\"\n", &["A!", "malformed_json", "B!"]),
        ("\"a\"\n\"\"\n\"b\"\n", &["A!", "invalid_item", "B!"]),
        ("\"a\"\n7\n\"b\"\n", &["A!", "invalid_item", "B!"]),
        ("null\n\"b\"\n[\"c\"]\n", &["invalid_item", "B!", "invalid_item"]),
        ("\"a\" \"b\"\n\"c\"\n", &["malformed_json", "C!"]),
        ("\"cut", &["malformed_json"]),
    ];
    for (body, expected) in cases {
        let mut answers = Vec::new();
        stream(&server, [body].into_iter().filter(|body| !body.is_empty()), |answer| {
            answers.push(answer);
        });
        let shown: Vec<_> =
            answers.iter().map(|it| it["output"].as_str().or(it["error"]["code"].as_str())).collect();
        assert_eq!(shown, expected.iter().copied().map(Some).collect::<Vec<_>>(), "{body:?}");
    }
    let mut codes = Vec::new();
    let bytes: [&[u8]; 2] = [b"\"\xff\"\n", b"\"after\"\n"];
    stream(&server, bytes.into_iter(), |answer| codes.push(answer["error"]["code"].clone()));
    assert_eq!(codes, [Value::from("invalid_utf8"), Value::Null]);
}

#[test]
fn twenty_thousand_lines_keep_their_order_wherever_they_are_cut() {
    let server = shout();
    let body = numbered(0, 20_000).into_bytes();
    // Pieces of a prime length cut lines and windows at every place.
    let mut next = 0;
    stream(&server, body.chunks(7_919), |answer| {
        assert_eq!(answer, output(&format!("line {next}")));
        next += 1;
    });
    assert_eq!(next, 20_000);
}

#[test]
fn answers_come_before_the_body_is_finished() {
    let server = shout();
    let mut connection = open(&server);
    let mut sender = connection.sender();
    sender.write_all(&chunk(numbered(0, 256))).unwrap();
    let head = connection.head().unwrap().expect("there is an answer");
    let mut answers = connection.body(&head);
    expect_answers(&mut answers, 0, 256);
    // One line alone is answered too: nothing waits for a window to fill.
    sender.write_all(&chunk(numbered(256, 1))).unwrap();
    expect_answers(&mut answers, 256, 1);
    sender.write_all(&chunk(numbered(257, 1_000))).unwrap();
    sender.write_all(&chunk("")).unwrap();
    expect_answers(&mut answers, 257, 1_000);
    assert_eq!(answers.lines().count(), 0);
}

#[test]
fn a_caller_who_leaves_in_the_middle_does_not_hurt_the_next() {
    let server = shout();
    for read in [0, 1, 300] {
        let mut connection = open(&server);
        connection.send(&chunk(numbered(0, 1_000))).unwrap();
        if read > 0 {
            let head = connection.head().unwrap().expect("there is an answer");
            expect_answers(&mut connection.body(&head), 0, read);
        }
        drop(connection);
        let mut answers = 0;
        stream(&server, [numbered(0, 600)].into_iter(), |_| answers += 1);
        assert_eq!(answers, 600, "after a caller who read {read}");
    }
    server.wait_until_idle();
    // Whether or not the head of an answer had left by then, its caller was not there for its end.
    let page = server.ask(&get("/metrics")).text();
    let count = |outcome: &str| -> i64 {
        let counted = page.lines().filter(|line| line.starts_with("ml_http_requests_total"));
        let of_batches = counted.filter(|line| line.contains("predict_batch") && line.contains(outcome));
        of_batches.filter_map(|line| line.rsplit(' ').next()?.parse::<i64>().ok()).sum()
    };
    assert_eq!((count("outcome=\"abandoned\""), count("outcome=\"ok\"")), (3, 3), "{page}");
    let ended = server.stop();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
}

/// 256 KiB is what an item may have; memory is looked at where the system tells.
#[test]
fn a_line_or_a_stream_larger_than_memory_may_be_passes_through() {
    const GROWTH_MAX_KIB: u64 = 64 * 1024;
    let server = shout();
    assert_eq!(server.ask(&post("/models/shout/predict", "\"warm\"")).head.status, 200);
    let before = server.peak_memory_kib();

    let megabyte = "a".repeat(1_000_000);
    let long = std::iter::repeat_n(megabyte.as_str(), 100).chain(["\"\n", "\"next\"\n"]);
    let mut answers = Vec::new();
    stream(&server, std::iter::once("\"").chain(long), |answer| answers.push(answer));
    assert_eq!(answers.len(), 2);
    assert_eq!(answers[0]["error"]["code"], "item_too_large");
    assert!(answers[0]["error"]["message"].as_str().unwrap().contains("100000002"), "{}", answers[0]);
    assert_eq!(answers[1], output("next"));

    let text = |index: usize| format!("{index:06}{}", "x".repeat(59_992));
    let lines = (0..5_000).map(|index| format!("\"{}\"\n", text(index)));
    let mut next = 0;
    stream(&server, lines, |answer| {
        assert_eq!(answer, output(&text(next)), "line {next}");
        next += 1;
    });
    assert_eq!(next, 5_000);
    if let (Some(before), Some(after)) = (before, server.peak_memory_kib()) {
        assert!(after < before + GROWTH_MAX_KIB, "grew from {before} KiB to {after} KiB");
    }
}
