//! Evaluations of a server whose answers are known.

#![allow(clippy::unwrap_used, reason = "clippy takes the helpers of a test file for no tests")]

mod toy;

use std::num::NonZeroUsize;

use ml_bench::eval::{EvalOptions, EvalReport, Limits, evaluate};
use ml_bench::{Error, FailureKind, Target};
use serde_json::{Value, json};
use toy::{Toy, file, output};

/// Evaluates lines against the toy server, in batches of 2.
fn eval(toy: &Toy, name: &str, model: &str, lines: &[Value]) -> EvalReport {
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    evaluate(&options(toy, name, model, &text)).unwrap()
}

fn options(toy: &Toy, name: &str, model: &str, text: &str) -> EvalOptions {
    EvalOptions {
        server: toy.server(model),
        data: vec![file(name, text)],
        limit: None,
        batch: NonZeroUsize::new(2).unwrap(),
        clients: NonZeroUsize::new(2).unwrap(),
        field: "label".to_owned(),
        limits: Limits { tolerance: 1e-4, min_accuracy: Some(0.7) },
    }
}

/// A line whose truth is the toy's answer, as is the expected output with these changes.
fn line(n: f64, changes: &[(&str, Value)]) -> Value {
    let mut expected = output(n);
    let label = expected["label"].clone();
    for (pointer, value) in changes {
        *expected.pointer_mut(pointer).unwrap() = value.clone();
    }
    json!({"item": {"n": n}, "label": label, "expected": expected})
}

#[test]
fn accuracy_is_counted_with_its_error_beside_the_references() {
    let toy = Toy::start();
    let mut lines: Vec<Value> = (0..8).map(|n| line(n.into(), &[])).collect();
    lines[3]["label"] = json!("even");
    lines[5]["label"] = json!("even");
    lines[6]["expected"]["label"] = json!("odd");
    let report = eval(&toy, "accuracy", "toy", &lines);
    let accuracy = report.accuracy.unwrap();
    assert_eq!((accuracy.right, accuracy.count, accuracy.share), (6, 8, 0.75));
    assert!((accuracy.standard_error - (0.75 * 0.25 / 8.0_f64).sqrt()).abs() < 1e-12);
    assert_eq!(report.reference_accuracy.unwrap().right, 5);
    assert_eq!((report.items, report.answered, report.errors.total()), (8, 8, 0));
    assert_eq!(toy.seen.bodies.lock().unwrap().len(), 4);
}

#[test]
fn right_answers_pass() {
    let toy = Toy::start();
    let lines: Vec<Value> =
        (0..5).map(|n| line(n.into(), &[("/score", json!(f64::from(n) / 10.0 + 5e-5))])).collect();
    let report = eval(&toy, "right", "toy", &lines);
    assert!(report.verdict.passed(), "{report}");
    let worst = report.agreement.unwrap().worst.unwrap();
    assert!((worst.difference - 5e-5).abs() < 1e-9, "{worst:?}");
}

#[test]
fn each_fault_is_found_and_named() {
    let toy = Toy::start();
    let far = "each-fault:3 differs by 5.000e-1 at /scores/1, tolerance 1e-4";
    let flip = "1 of 4 predictions differ and are no ties";
    type Case<'a> = (&'a [(&'a str, Value)], &'a [&'a str]);
    let cases: [Case<'_>; 6] = [
        (&[], &[]),
        (&[("/label", json!("odd"))], &[]),
        (&[("/label", json!("odd")), ("/scores/1", json!(2.5))], &[flip, far]),
        (&[("/scores/1", json!(2.5))], &[far]),
        (&[("/scores", json!("none"))], &["1 places differ in shape or word"]),
        (&[("/label", json!(1))], &["1 places differ in shape or word"]),
    ];
    for (changes, expected) in cases {
        let lines = [line(0.0, &[]), line(1.0, &[]), line(2.0, changes), line(3.0, &[])];
        let report = eval(&toy, "each-fault", "toy", &lines);
        let directory = format!("{}/ml-bench-", env!("CARGO_TARGET_TMPDIR"));
        let reasons: Vec<_> =
            report.verdict.reasons.iter().map(|reason| reason.replace(&directory, "")).collect();
        assert_eq!(reasons, expected, "{changes:?}");
    }
}

#[test]
fn a_structural_difference_has_its_path_and_line() {
    let toy = Toy::start();
    let mut lines = vec![line(1.0, &[]), line(2.0, &[])];
    lines[1]["expected"]["tokens"] = json!([1, 2]);
    let agreement = eval(&toy, "structural", "toy", &lines).agreement.unwrap();
    let broken = &agreement.breaks[0];
    assert_eq!((agreement.broken, broken.path.as_str(), broken.what.as_str()), (1, "/tokens", "missing"));
    assert!(broken.place.to_string().ends_with("structural:2"));
}

#[test]
fn exchanged_predictions_are_no_ties_though_all_numbers_agree() {
    let toy = Toy::start();
    let verdict = |exchanged: u32| {
        let other = |n: u32| json!(if n.is_multiple_of(2) { "odd" } else { "even" });
        let changes = |n: u32| if n < exchanged { vec![("/label", other(n))] } else { Vec::new() };
        let lines: Vec<Value> = (0..8).map(|n| line(n.into(), &changes(n))).collect();
        eval(&toy, "exchanged", "toy", &lines).verdict.reasons
    };
    let too_many = |ties: u32| {
        vec![format!("{ties} of 8 predictions differ where all numbers agree, too many for ties")]
    };
    assert_eq!((verdict(0), verdict(1)), (vec![], vec![]));
    assert_eq!((verdict(2), verdict(8)), (too_many(2), too_many(8)));
}

#[test]
fn another_prediction_without_numbers_is_no_tie() {
    let toy = Toy::start();
    let lines = [json!({"item": {"n": 1}, "expected": {"label": "even"}})];
    let agreement = eval(&toy, "no-numbers", "toy", &lines).agreement.unwrap();
    assert_eq!((agreement.flipped, agreement.ties), (1, 0));
    assert_eq!((agreement.flips[0].expected.as_str(), agreement.flips[0].found.as_str()), ("even", "odd"));
}

#[test]
fn an_item_without_output_fails_the_verdict() {
    let toy = Toy::start();
    let lines = [line(1.0, &[]), json!({"item": {}}), line(3.0, &[])];
    let item = FailureKind::Item { code: Some("invalid_item".to_owned()) };
    let status = FailureKind::Status { status: 429, code: Some("overloaded".to_owned()) };
    let cases = [("toy", item, 1), ("overloaded", status, 3), ("forgetful", FailureKind::Answer, 3)];
    for (model, kind, count) in cases {
        let report = eval(&toy, "per-item", model, &lines);
        assert_eq!(report.errors.of(&kind), count, "{report}");
        assert_eq!(report.errors.total(), count, "{report}");
        assert_eq!(report.verdict.reasons[0], format!("{count} of 3 items got no output"));
    }
}

#[test]
fn an_accuracy_that_is_asked_for_must_be_measured_and_reached() {
    let toy = Toy::start();
    let mut wrong = line(1.0, &[]);
    wrong["label"] = json!("even");
    let cases = [
        (json!({"item": {"n": 1}}), "no answered item has a label, accuracy 0.7 was asked for"),
        (wrong, "accuracy 0.0000 is under the least of 0.7"),
    ];
    for (line, reason) in cases {
        assert_eq!(eval(&toy, "least", "toy", &[line]).verdict.reasons, [reason]);
    }
}

#[test]
fn a_rival_is_met_through_its_description() {
    let toy = Toy::start();
    let mut options = options(&toy, "rival", "toy", &line(4.0, &[]).to_string());
    options.server.target = serde_json::from_value::<Target>(json!({
        "path_batch": "/v1/$model:predict", "body_batch": {"instances": "$items", "more": {}},
        "headers": {"x-key": "open"}, "answers": "/predictions", "output": "",
    }))
    .unwrap();
    let report = evaluate(&options).unwrap();
    assert!(report.verdict.passed(), "{report}");
    options.server.target.headers.clear();
    let report = evaluate(&options).unwrap();
    assert_eq!(report.errors.of(&FailureKind::Status { status: 401, code: None }), 1, "{report}");
}

#[test]
fn what_cannot_be_measured_is_an_error() {
    let toy = Toy::start();
    let cases = [
        ("{\"item\": 1}\n\n{\"item\": }\n", "broken:3: expected value at line 1 column 10"),
        ("{\"item\": 1, \"lable\": \"a\"}", "broken:1: unknown field `lable`, expected one of"),
        ("{\"label\": \"a\"}", "broken:1: missing field `item`"),
        ("\n", "broken, at least 1 is needed"),
    ];
    for (text, expected) in cases {
        let error = evaluate(&options(&toy, "broken", "toy", text)).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    let mut options = options(&toy, "usable", "toy", "{\"item\": 1}");
    options.server.target.body_batch = json!(["$items", "$items"]);
    let error = evaluate(&options).unwrap_err().to_string();
    assert_eq!(error, "target body_batch: \"$items\" is there 2 times, must be there once");
    options.server.url = "https://localhost".to_owned();
    options.server.target = Target::default();
    assert!(matches!(evaluate(&options), Err(Error::Url { .. })));
}

#[test]
fn a_limit_ends_reading() {
    let toy = Toy::start();
    let mut options = options(&toy, "limit", "toy", "{\"item\": {\"n\": 1}}\n{\"item\": {\"n\": 2}}\nbroken");
    options.data.push(options.data[0].clone());
    options.limit = Some(2);
    assert_eq!(evaluate(&options).unwrap().items, 2);
}
