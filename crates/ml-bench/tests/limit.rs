//! The bare loop on models that are in the repository, run by the runtime that is compiled in.

#![allow(clippy::unwrap_used, reason = "clippy takes the helpers of a test file for no tests")]

mod toy;

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use ml_bench::limit::{LimitOptions, Order, Width, Workload, limit};
use ml_core::RuntimeChoice;
use toy::file;

fn counts(counts: &[usize]) -> Vec<NonZeroUsize> {
    counts.iter().filter_map(|count| NonZeroUsize::new(*count)).collect()
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn options(model: PathBuf, data: PathBuf) -> LimitOptions {
    LimitOptions {
        workload: Workload {
            model,
            runtime: RuntimeChoice::Rten,
            data,
            tokenizer: None,
            field: "text".to_owned(),
            items: NonZeroUsize::new(100).unwrap(),
            optimised_copy: true,
        },
        widths: Width::within(2, &counts(&[1, 2]), &counts(&[1])),
        batches: counts(&[1, 4]),
        orders: vec![Order::Arrival, Order::Sorted],
        rounds: NonZeroUsize::new(3).unwrap(),
        latency: false,
    }
}

/// Iris, whose one input is a row of four features.
fn iris(name: &str, items: usize) -> LimitOptions {
    let line = "{\"item\": {\"features\": [5.1, 3.5, 1.4, 0.2]}}\n";
    options(repository().join("examples/models/iris/model.onnx"), file(name, &line.repeat(items)))
}

#[test]
fn every_combination_runs_every_item_in_every_round() {
    let mut options = iris("limit", 10);
    options.latency = true;
    let report = limit(&options).unwrap();
    assert_eq!((report.items, report.rounds, report.cases.len()), (10, 3, 2 * 2 * 2));
    assert!(report.cases.iter().all(|case| case.items_per_s.mean > 0.0 && case.items_per_s.has_interval()));
    let best = report.best.unwrap().items_per_s.mean;
    assert!(report.cases.iter().all(|case| case.items_per_s.mean <= best));
    assert!(!report.alone.is_empty() && report.alone.iter().all(|alone| alone.latency_ms.is_some()));
    assert!(report.html().contains("One item alone"));
    assert!(report.to_string().contains("items/s with"), "{report}");
}

#[test]
fn texts_are_tokenised_into_the_inputs_that_the_model_names() {
    let folder = repository().join("tests/data/tiny-sentiment");
    let texts = "{\"item\": {\"text\": \"good\"}}\n{\"item\": \"a good, long and winding text\"}\n";
    let mut options = options(folder.join("model.onnx"), file("limit-texts", texts));
    options.workload.tokenizer = Some(folder.join("tokenizer.json"));
    let report = limit(&options).unwrap();
    assert_eq!((report.items, report.cases.len()), (2, 8));

    options.workload.field = "words".to_owned();
    let error = limit(&options).unwrap_err().to_string();
    assert!(error.ends_with("limit-texts:1: no text in the field words"), "{error}");
}

#[test]
fn an_item_without_an_input_is_named() {
    let mut options = iris("limit-missing", 1);
    options.workload.data = file("limit-other", "{\"item\": {\"petals\": [1]}}\n");
    let error = limit(&options).unwrap_err().to_string();
    assert!(error.ends_with("limit-other:1: no input features"), "{error}");
}
