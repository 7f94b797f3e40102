//! Many items in one call: every item has its own result, in its own place.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "these are all tests")]

mod support;

use serde_json::{Value, json};
use support::http::post;
use support::process::{Program, Server};

const BATCH: &str = "/models/iris/predict_batch";

/// A flower unlike every other: its petals are longer by a two-hundredth of a centimetre than those of the one before.
fn flower(index: usize) -> Value {
    json!({"features": [5.8, 3.0, 1.0 + index as f64 / 200.0, 0.1 + index as f64 / 400.0]})
}

fn batch(server: &Server, items: &[Value]) -> Vec<Value> {
    let response = server.ask(&post(BATCH, Value::from(items).to_string()));
    assert_eq!(response.head.status, 200, "{}", response.text());
    serde_json::from_slice(&response.body).unwrap()
}

/// Expects equal probabilities, but for what another batch size does to the last digit.
fn assert_same(index: usize, one: &Value, other: &Value) {
    let numbers = |output: &Value| -> Vec<f64> {
        output["probabilities"].as_array().unwrap().iter().map(|p| p.as_f64().unwrap()).collect()
    };
    let (one, other) = (numbers(one), numbers(other));
    let same = one.iter().zip(&other).all(|(one, other)| (one - other).abs() < 1e-6);
    assert!(one.len() == 3 && other.len() == 3 && same, "item {index}: {one:?} and {other:?}");
}

#[test]
fn one_invalid_item_of_a_thousand_costs_no_other_its_answer() {
    let server = Program::iris(&[]).serve();
    let mut items: Vec<Value> = (0..1000).map(flower).collect();
    items[617] = json!({"features": [5.8, 3.0, "long", 1.0]});
    let results = batch(&server, &items);
    assert_eq!(results.len(), 1000);
    assert_eq!(results.iter().filter(|result| result["output"].is_object()).count(), 999);
    assert_eq!(results[617]["error"]["code"], "invalid_item", "{}", results[617]);
    assert_eq!(results[617]["error"]["field"], "features[2]", "{}", results[617]);
    // Neighbours' answers differ by more than the tolerance, so that an exchange would show.
    for index in (0..1000).step_by(37).chain([616, 618, 999]) {
        let alone = server.ask(&post("/models/iris/predict", items[index].to_string()));
        assert_same(index, &results[index]["output"], &alone.json());
    }
}

#[test]
fn every_wrong_item_has_its_own_error_in_its_own_place() {
    let server = Program::iris(&[]).serve();
    let deep = format!("{{\"features\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    let cases: [(&str, &str); 8] = [
        (&deep, "invalid_item"),
        ("\"\"", "invalid_item"),
        ("null", "invalid_item"),
        ("{}", "invalid_item"),
        ("[]", "invalid_item"),
        (r#"{"features":[1e999,1,1,1]}"#, "invalid_item"),
        (r#"{"features":[1,1,1,1],"more":1}"#, "invalid_item"),
        (&format!("\"{}\"", "a".repeat(1_000_000)), "item_too_large"),
    ];
    let good = flower(3).to_string();
    let items: Vec<&str> = cases.iter().flat_map(|(item, _)| [*item, &good]).collect();
    let response = server.ask(&post(BATCH, format!("[{}]", items.join(","))));
    assert_eq!(response.head.status, 200, "{}", response.text());
    let results = response.json();
    for (index, (item, code)) in cases.iter().enumerate() {
        let shown: String = item.chars().take(40).collect();
        assert_eq!(results[2 * index]["error"]["code"], *code, "{shown}");
        assert!(results[2 * index]["error"]["message"].is_string(), "{shown}");
        assert!(results[2 * index + 1]["output"].is_object(), "after {shown}");
    }
}
