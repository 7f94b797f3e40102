//! The sentiment example on a tiny model, against what Python computes: tokenizer, padding, model and both runtimes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "these are all tests")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use support::http::{post, request};
use support::process::{Program, Server};
use support::programs::example;

const FOLDER: &str = "tests/data/tiny-sentiment";
const EXPECTED: &str = include_str!("data/tiny-sentiment/expected.ndjson");
const PREDICT: &str = "/models/sentiment/predict";
const BATCH: &str = "/models/sentiment/predict_batch";

fn program(folder: &str, runtime: &str) -> Program {
    Program::new(example("sentiment")).args(&[folder, "--runtime", runtime, "--port", "0"])
}

/// Returns every item with what Python answers.
fn reference() -> Vec<(Value, Value)> {
    let line = |line| {
        let mut line: Value = serde_json::from_str(line).unwrap();
        (line["item"].take(), line["expected"].take())
    };
    EXPECTED.lines().map(line).collect()
}

/// Expects what Python answers; a text without a word is refused, though the model would judge it too.
fn assert_result(result: &Value, (item, expected): &(Value, Value), tolerance: f64) {
    if item["text"].as_str().unwrap().trim().is_empty() {
        assert_eq!(result["error"]["rule"], "not_empty", "{item}: {result}");
    } else {
        assert_close(&result["output"], expected, tolerance);
    }
}

/// Expects the label, and the numbers to within a tolerance.
fn assert_close(output: &Value, expected: &Value, tolerance: f64) {
    let numbers = |value: &Value| -> Vec<f64> {
        let embedding = value["embedding"].as_array().into_iter().flatten();
        embedding.chain([&value["score"]]).map(|number| number.as_f64().expect("a number")).collect()
    };
    assert_eq!(output["label"], expected["label"], "{output} is not {expected}");
    let (output, expected) = (numbers(output), numbers(expected));
    assert_eq!(output.len(), expected.len());
    let furthest = output.iter().zip(&expected).map(|(one, other)| (one - other).abs()).fold(0.0, f64::max);
    assert!(furthest <= tolerance, "off by {furthest}: {output:?} is not {expected:?}");
}

/// Sends every item alone, all in one batch, and all as lines.
fn check(folder: &str, runtime: &str, tolerance: f64) {
    let server = program(folder, runtime).serve();
    let reference = reference();
    assert!(reference.len() > 40);
    for pair in &reference {
        let response = server.ask(&post(PREDICT, pair.0.to_string()));
        let side = if response.head.status == 200 { "output" } else { "error" };
        assert_result(&json!({side: response.json()}), pair, tolerance);
    }
    let batch = Value::from_iter(reference.iter().map(|(item, _)| item.clone())).to_string();
    let lines: String = reference.iter().map(|(item, _)| format!("{item}\n")).collect();
    let ndjson = request("POST", BATCH, &[("Content-Type", "application/x-ndjson")], lines);
    let in_lines = server.ask(&ndjson).text();
    let in_lines: Value = in_lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).collect();
    for results in [server.ask(&post(BATCH, batch)).json(), in_lines] {
        let results = results.as_array().expect("a result for each item");
        assert_eq!(results.len(), reference.len());
        for (result, pair) in results.iter().zip(&reference) {
            assert_result(result, pair, tolerance);
        }
    }
    check_equal_items(&server, &reference);
}

/// Equal items in one batch get equal answers, to the last digit, however unlike their neighbours are.
fn check_equal_items(server: &Server, reference: &[(Value, Value)]) {
    let same = &reference[3].0;
    let items: Vec<&Value> = reference.iter().flat_map(|(item, _)| [item, same]).collect();
    let results = server.ask(&post(BATCH, json!(items).to_string())).json();
    let of_same: Vec<&Value> = results.as_array().unwrap().iter().skip(1).step_by(2).collect();
    assert_eq!(of_same.len(), reference.len());
    assert!(of_same[0]["output"].is_object(), "{}", of_same[0]);
    assert!(of_same.iter().all(|result| *result == of_same[0]));
}

#[test]
fn rten_answers_as_python_does() {
    check(FOLDER, "rten", 1e-4);
}

/// Needs ONNX Runtime; without it this fails with the server's own advice on how to get it.
#[test]
fn onnx_runtime_answers_as_python_does() {
    check(FOLDER, "onnxruntime", 1e-5);
}

#[test]
fn packed_batches_answer_as_python_does() {
    const PACKED: &[u8] = include_bytes!("data/tiny-sentiment/packed.onnx");
    const TOKENIZER: &[u8] = include_bytes!("data/tiny-sentiment/tokenizer.json");
    // The other file proves that the packed one is preferred.
    let files = [("model.packed.onnx", PACKED), ("model.onnx", b"broken"), ("tokenizer.json", TOKENIZER)];
    let folder = folder("packed", &files);
    for (runtime, tolerance) in [("rten", 1e-4), ("onnxruntime", 1e-5)] {
        check(folder.to_str().unwrap(), runtime, tolerance);
    }
}

/// Makes a model folder of the named files, with what each holds.
fn folder(name: &str, files: &[(&str, &[u8])]) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("sentiment-{name}"));
    drop(fs::remove_dir_all(&folder));
    fs::create_dir_all(&folder).unwrap();
    for (name, bytes) in files {
        fs::write(folder.join(name), bytes).unwrap();
    }
    folder
}

#[test]
fn a_broken_model_folder_is_refused_with_the_file_and_the_reason() {
    const MODEL: &[u8] = include_bytes!("data/tiny-sentiment/model.onnx");
    const TOKENIZER: &[u8] = include_bytes!("data/tiny-sentiment/tokenizer.json");
    const IRIS: &[u8] = include_bytes!("../examples/models/iris/model.onnx");
    type Files<'a> = &'a [(&'a str, &'a [u8])];
    let text = b"This is a text file, and no model at all.\n".repeat(20);
    let (model, tokenizer) = ("model.onnx", "tokenizer.json");
    let cases: [(&str, Files<'_>, &str, &str); 8] = [
        ("no-tokenizer", &[(model, MODEL)], tokenizer, "No such file"),
        ("empty-tokenizer", &[(model, MODEL), (tokenizer, b"")], tokenizer, "EOF"),
        ("text-tokenizer", &[(model, MODEL), (tokenizer, &text)], tokenizer, "expected"),
        (
            "empty-model",
            &[(model, b""), (tokenizer, TOKENIZER)],
            model,
            "not an ONNX model: the file is empty",
        ),
        ("text-model", &[(model, &text), (tokenizer, TOKENIZER)], model, "not an ONNX model: "),
        (
            "cut-model",
            &[(model, &MODEL[..MODEL.len() / 2]), (tokenizer, TOKENIZER)],
            model,
            "not an ONNX model: ",
        ),
        (
            "another-model",
            &[(model, IRIS), (tokenizer, TOKENIZER)],
            model,
            "the wrong model: it has no input input_ids",
        ),
        ("nothing", &[], model, "cannot read the file: No such file"),
    ];
    for (name, files, file, reason) in cases {
        let folder = folder(name, files);
        for runtime in ["rten", "auto"] {
            let ended = program(folder.to_str().unwrap(), runtime).run();
            assert_eq!(ended.code, Some(1), "{name} on {runtime}: {}", ended.stderr);
            let last = ended.stderr.lines().last().unwrap_or_default();
            let path = folder.join(file).display().to_string();
            assert!(last.contains(&path) && last.contains(reason), "{name} on {runtime}: {last}");
            assert!(!ended.stderr.contains("panicked"), "{name} on {runtime}: {}", ended.stderr);
            assert_eq!(ended.stdout, "", "{name} on {runtime}");
        }
    }
}
