//! Variants from their making to their serving: `ml-bench variants` writes the manifest, the servers choose by it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "these are all tests")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Instant;

use serde_json::{Value, json};
use support::http::{get, post};
use support::process::{PATIENCE, Program, Server};
use support::programs::{binary, example};

const DATA: &str = "tests/data/tiny-sentiment";

/// Makes a model folder with variants of the small encoder, once.
fn folder() -> &'static str {
    static FOLDER: OnceLock<String> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("variants");
        drop(fs::remove_dir_all(&folder));
        fs::create_dir_all(&folder).unwrap();
        for file in ["model.onnx", "tokenizer.json"] {
            let data = Path::new(env!("CARGO_MANIFEST_DIR")).join(DATA);
            fs::copy(data.join(file), folder.join(file)).unwrap();
        }
        let file = |name: &str| folder.join(name).to_str().unwrap().to_owned();
        let (model, tokenizer) = (file("model.onnx"), file("tokenizer.json"));
        let data = format!("{DATA}/expected.ndjson");
        let made = Program::new(binary("ml-bench")).args(&["variants", &model, "--tokenizer", &tokenizer]);
        let made = made.args(&["--data", &data, "--rounds", "2", "--min-speed", "0"]);
        let made =
            made.args(&["--variants", "packed,packed-int8-mixed,fp16-weights", "--compare", "int8-dynamic"]);
        let ended = made.run();
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        folder.to_str().unwrap().to_owned()
    })
}

fn sentiment(variant: &str) -> Program {
    Program::new(example("sentiment")).args(&[folder(), "--port", "0", "--variant", variant])
}

fn plain(variant: &str) -> Program {
    Program::new(binary("ml-serve")).args(&[folder(), "--port", "0", "--variant", variant])
}

/// Returns which form of the model serves, as the server says.
fn served(server: &Server, model: &str) -> Value {
    server.ask(&get(&format!("/models/{model}"))).json()["details"]["variant"].take()
}

#[test]
fn a_pipeline_serves_a_packed_variant_and_says_why() {
    let server = sentiment("packed-int8-mixed").serve();
    server.wait_for_log("variant=\"packed-int8-mixed\" why=\"it was asked for by name");
    let variant = served(&server, "sentiment");
    assert_eq!(variant["name"], "packed-int8-mixed");
    assert!(variant["measured"]["cosine_mean"].as_f64().unwrap() > 0.998, "{variant}");
    let reference: Vec<Value> = fs::read_to_string(PathBuf::from(DATA).join("expected.ndjson"))
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let batch: Vec<&Value> = reference[..8].iter().map(|line| &line["item"]).collect();
    let answers = server.ask(&post("/models/sentiment/predict_batch", json!(batch).to_string())).json();
    for (answer, line) in answers.as_array().unwrap().iter().zip(&reference) {
        let score = |value: &Value| value["score"].as_f64().unwrap();
        let (found, expected) = (&answer["output"], &line["expected"]);
        assert_eq!(found["label"], expected["label"]);
        assert!((score(found) - score(expected)).abs() < 0.05, "{found} is not {expected}");
        assert_ne!(score(found), score(expected), "int8 is not the original");
    }
}

#[test]
fn auto_chooses_by_what_was_measured() {
    // Which one is the fastest of a model this small is chance; what is never chosen, and where it is told, are not.
    let server = sentiment("auto").serve();
    let variant = served(&server, "sentiment");
    let why = variant["why"].as_str().unwrap();
    assert!(
        why.starts_with("it is the fastest that holds its gates here")
            || why.starts_with("no variant holds its gates here"),
        "{variant}"
    );
    let passed_over = variant["passed_over"].as_array().unwrap();
    let dynamic = passed_over.iter().find(|one| one["name"] == "int8-dynamic").expect("it is passed over");
    assert_eq!(dynamic["reason"], "an answer depends on what else is in its batch");
    server.wait_for_log("int8-dynamic: an answer depends on what else is in its batch");
}

#[test]
fn a_model_may_have_a_variant_of_its_own() {
    let path = Path::new(folder()).join("model.onnx");
    let path = path.to_str().unwrap();
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("variants.toml");
    let entry =
        |name: &str, variant: &str| format!("[[models]]\npath = {path:?}\nname = \"{name}\"\n{variant}\n");
    let entries = [entry("as-set", ""), entry("own", "variant = \"fp16-weights\"")].concat();
    fs::write(&file, format!("variant = \"original\"\n{entries}")).unwrap();
    let server =
        Program::new(binary("ml-serve")).args(&["--config", file.to_str().unwrap(), "--port", "0"]).serve();
    assert_eq!(served(&server, "as-set")["name"], "original");
    assert_eq!(served(&server, "own")["name"], "fp16-weights");
}

#[test]
fn tvm_is_refused_by_a_server_that_was_built_without_it() {
    let ended = plain("original").args(&["--runtime", "tvm"]).run();
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    let reason = "this program was built without TVM: build it with the cargo feature `tvm`";
    assert!(ended.stderr.contains(reason), "{}", ended.stderr);
}

#[test]
fn a_shadow_tells_how_far_a_variant_is_from_the_original() {
    for (variant, near) in [("packed", "0.0001"), ("packed-int8-mixed", "0.01")] {
        let server = sentiment(variant);
        let server = server.args(&["--shadow-percent", "100"]).serve();
        let text = json!({"text": "The soup was warm and the bread was fresh."}).to_string();
        assert_eq!(server.ask(&post("/models/sentiment/predict", text)).head.status, 200);
        // The first run is the server's own check that the model answers. The shadow works behind; each look takes it further.
        let compared = r#"ml_shadow_runs_total{model="sentiment",outcome="compared"}"#;
        let started = Instant::now();
        while server.number(compared) < 1 {
            assert!(started.elapsed() < PATIENCE, "nothing is compared");
        }
        let page = server.ask(&get("/metrics")).text();
        let value = |series: &str| -> f64 {
            let line = page.lines().find_map(|line| line.strip_prefix(series)).expect(series);
            line.trim().parse().unwrap()
        };
        let all = value(r#"ml_shadow_distance_count{model="sentiment"}"#);
        let within = format!(r#"ml_shadow_distance_bucket{{le="{near}",model="sentiment"}}"#);
        assert_eq!(value(&within), all, "{variant}: {page}");
        assert_eq!(value(r#"ml_shadow_items_total{model="sentiment",outcome="same"}"#), all, "{variant}");
        assert_eq!(value(r#"ml_shadow_runs_total{model="sentiment",outcome="failed"}"#), 0.0, "{variant}");
        let error = value(r#"ml_shadow_error_sum{model="sentiment"}"#);
        assert!(error < 1.0 && (variant == "packed") == (error < 1e-4), "{variant}: {error}");
    }
}

#[test]
fn raw_tensors_are_served_by_variants_that_take_the_same() {
    let server = plain("fp16-weights").serve();
    assert_eq!(served(&server, "variants")["name"], "fp16-weights");
    let item = json!({"input_ids": [1, 5, 6], "attention_mask": [1, 1, 1], "token_type_ids": [0, 0, 0]});
    let answer = server.ask(&post("/models/variants/predict", item.to_string()));
    assert_eq!(answer.head.status, 200, "{}", answer.text());
    for (variant, reason) in [
        ("packed", "its variant packed takes packed batches, which this pipeline does not give"),
        (
            "int4",
            "there is no variant \"int4\" of it; there is original, packed, packed-int8-mixed, fp16-weights, int8-dynamic",
        ),
    ] {
        let ended = plain(variant).run();
        assert_eq!(ended.code, Some(1), "{}", ended.stderr);
        assert!(ended.stderr.contains("model.onnx: ") && ended.stderr.contains(reason), "{}", ended.stderr);
    }
}
