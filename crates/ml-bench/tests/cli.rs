//! Whole command lines, from the arguments to the exit status.

#![allow(clippy::unwrap_used, reason = "clippy takes the helpers of a test file for no tests")]

mod toy;

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use ml_bench::cli::{Exit, run};
use serde_json::Value;
use toy::{Toy, file};

fn cli(line: &str, json: &Path) -> (Exit, String, Value) {
    let json = [OsString::from("--json"), json.into()];
    let mut table = Vec::new();
    let exit = run(line.split(' ').map(OsString::from).chain(json.clone()), &mut table).unwrap();
    let report = serde_json::from_slice(&std::fs::read(&json[1]).unwrap()).unwrap();
    (exit, String::from_utf8(table).unwrap(), report)
}

#[test]
fn eval_prints_a_table_and_writes_json() {
    let toy = Toy::start();
    let json = file("eval.json", "");
    for (label, exit) in [("odd", Exit::Passed), ("even", Exit::Failed)] {
        let data = file("cli-eval", &format!("{{\"item\": {{\"n\": 1}}, \"label\": \"{label}\"}}\n"));
        let (url, data) = (&toy.url, data.display());
        let line = format!("eval --url {url} --model toy --data {data} --min-accuracy 0.5");
        let (found, table, report) = cli(&line, &json);
        assert_eq!(found, exit, "{table}");
        assert_eq!(report["accuracy"]["right"], u64::from(label == "odd"));
        assert!(table.contains("accuracy"), "{table}");
    }
}

#[test]
fn load_prints_a_table_and_writes_json() {
    let toy = Toy::start();
    let json = file("load.json", "");
    let data = file("cli-load", "{\"item\": {\"n\": 1}}\n");
    let window = "--warm-up-s 0.05 --duration-s 0.2";
    for (model, exit) in [("toy", Exit::Passed), ("unknown", Exit::Failed)] {
        let (url, data) = (&toy.url, data.display());
        let line = format!("load --url {url} --model {model} --data {data} --clients 2 {window}");
        let (found, table, report) = cli(&line, &json);
        assert_eq!(found, exit, "{table}");
        assert_eq!(report["clients"], 2);
        assert_eq!(report["latency_ms"]["p99_9"].is_number(), model == "toy");
        assert_eq!(report["errors"]["404 unknown_model"]["count"].is_number(), model == "unknown");
    }
}

#[test]
fn a_mistyped_flag_exits_with_2_and_names_the_right_one() {
    let output =
        Command::new(env!("CARGO_BIN_EXE_ml-bench")).args(["load", "--duraton-s", "3"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(message, "ml-bench: unknown flag --duraton-s; did you mean --duration-s?\n");
}
