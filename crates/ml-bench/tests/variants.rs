//! Variants of the small encoder in the repository, made, run by ONNX Runtime, and measured.
#![allow(clippy::unwrap_used, reason = "clippy takes the helpers of a test file for no tests")]

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use ml_bench::limit::Workload;
use ml_bench::variants::{Gates, Recipe, VariantReport, VariantsOptions, variants};
use ml_core::{Model, ModelOptions, RuntimeChoice, VariantChoice};

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/tiny-sentiment")
}

fn options(name: &str, variants: &[Recipe], compared: &[Recipe]) -> VariantsOptions {
    let count = |count| NonZeroUsize::new(count).unwrap();
    VariantsOptions {
        workload: Workload {
            model: data().join("model.onnx"),
            runtime: RuntimeChoice::OnnxRuntime,
            data: data().join("expected.ndjson"),
            tokenizer: Some(data().join("tokenizer.json")),
            field: "text".to_owned(),
            items: count(100),
            optimised_copy: true,
        },
        calibration: None,
        calibration_items: count(100),
        variants: variants.to_vec(),
        compared: compared.to_vec(),
        also: Vec::new(),
        rten: false,
        openvino: false,
        tvm: None,
        folder: Path::new(env!("CARGO_TARGET_TMPDIR")).join(name),
        rounds: count(2),
        // Speeds of a model this small say nothing.
        gates: Gates { speed_min: 0.0, ..Gates::default() },
    }
}

#[test]
fn every_variant_is_made_and_stays_near_the_original() {
    let report = variants(&options("variants", Recipe::ALL, &[])).unwrap();
    assert_eq!((report.items, report.calibration_items), (36, 13));
    let found =
        |recipe: Recipe| report.variants.iter().find(|variant| variant.name == recipe.name()).unwrap();
    let check = |recipe: Recipe, cosine: f64, alone: f64| {
        let VariantReport { quality, .. } = found(recipe);
        assert!(quality.cosine_mean >= cosine && quality.alone_cosine_min >= alone, "{recipe}: {quality:?}");
    };
    check(Recipe::Fp16, 0.999_99, 0.999_99);
    check(Recipe::Fp16Weights, 0.999_999, 0.999_999);
    check(Recipe::Packed, 0.999_999, 0.999_999);
    check(Recipe::PackedFused, 0.999_999, 0.999_999);
    for recipe in [
        Recipe::Int8Mixed,
        Recipe::Int8PerToken,
        Recipe::Int8Fused,
        Recipe::PackedInt8Mixed,
        Recipe::PackedInt8PerToken,
        Recipe::PackedInt8Fused,
    ] {
        check(recipe, 0.998, 0.999_999);
    }
    for recipe in
        [Recipe::Int8Dynamic, Recipe::Int8Static, Recipe::Int8StaticMinMax, Recipe::Int8StaticEntropy]
    {
        check(recipe, 0.98, 0.9);
    }
    // Random weights leave nothing to prune without loss; that the blocks fit together again is what is tested.
    for recipe in [
        Recipe::Ffn30,
        Recipe::Ffn50Heads33,
        Recipe::Pruned60,
        Recipe::Ffn30Int8Mixed,
        Recipe::Ffn50Heads33Int8Mixed,
        Recipe::Ffn30Int8Fused,
        Recipe::Ffn50Heads33Int8Fused,
    ] {
        check(recipe, 0.3, 0.999_999);
        assert!(found(recipe).for_task);
    }
    let packed: Vec<&str> = report
        .variants
        .iter()
        .filter(|variant| variant.packed)
        .map(|variant| variant.name.as_str())
        .collect();
    assert_eq!(
        packed,
        ["packed", "packed-fused", "packed-int8-mixed", "packed-int8-per-token", "packed-int8-fused"]
    );
    // Scales of the whole batch make an answer depend on its mates, and fixed ones do not.
    assert!(
        found(Recipe::Int8Dynamic).quality.alone_cosine_min
            < found(Recipe::Int8Mixed).quality.alone_cosine_min
    );
}

#[test]
fn the_manifest_says_what_was_refused_and_why() {
    let mut options = options("variants-manifest", &[Recipe::Fp16Weights], &[Recipe::Int8Dynamic]);
    options.gates.alone_cosine_min = 0.999_999;
    options.rten = true;
    let report = variants(&options).unwrap();
    assert!(report.passed(), "what is only compared need not hold: {report}");
    let on_rten = report.variants.last().unwrap();
    assert_eq!(on_rten.name, "original-on-rten");
    assert!(on_rten.runtime.starts_with("rten") && on_rten.quality.cosine_mean > 0.999_99, "{on_rten:?}");
    let text = std::fs::read_to_string(options.folder.join("variants.toml")).unwrap();
    let manifest: toml::Table = text.parse().unwrap();
    let entries = manifest["variants"].as_array().unwrap();
    let names: Vec<&str> = entries.iter().map(|variant| variant["name"].as_str().unwrap()).collect();
    assert_eq!(
        (manifest["version"].as_integer(), names),
        (Some(2), vec!["original", "fp16-weights", "int8-dynamic"])
    );
    let refused = entries[2]["refused"].as_array().unwrap();
    let reason = "the cosine of an item alone and in a batch is";
    assert!(refused.iter().any(|refused| refused.as_str().unwrap().starts_with(reason)), "{refused:?}");
    assert!(options.folder.join(entries[1]["file"].as_str().unwrap()).exists());
    assert!(report.to_string().contains("int8-dynamic is refused: "), "{report}");
    let page = report.html();
    assert!(page.contains("<svg") && page.contains("int8-dynamic is refused"), "{page}");

    options.variants = vec![Recipe::Int8Dynamic];
    options.compared = Vec::new();
    assert!(!variants(&options).unwrap().passed());
    served_by_it(&options.folder);
}

/// What `ml-core` makes of the manifest, after a run for one more variant.
fn served_by_it(folder: &Path) {
    // A server looks for the manifest beside the model.
    std::fs::copy(data().join("model.onnx"), folder.join("model.onnx")).unwrap();
    let load = |variant| {
        let runtime = RuntimeChoice::OnnxRuntime;
        Model::load(folder.join("model.onnx"), &ModelOptions { runtime, variant, ..ModelOptions::default() })
    };
    let model = load(VariantChoice::Auto).unwrap();
    let passed_over: Vec<String> = model.variant().passed_over.iter().map(ToString::to_string).collect();
    assert!(
        passed_over.iter().any(|one| one == "int8-dynamic: an answer depends on what else is in its batch"),
        "{passed_over:?}"
    );
    let named = load(VariantChoice::Named("int8-dynamic".to_owned())).unwrap();
    assert!(named.path().ends_with("model.int8-dynamic.onnx"));
    assert!(named.variant().why.starts_with("it was asked for by name, although "), "{:?}", named.variant());
    // The earlier run has measured this one.
    assert!(load(VariantChoice::Named("fp16-weights".to_owned())).is_ok());
    let error = load(VariantChoice::Named("packed".to_owned())).err().unwrap().to_string();
    assert!(error.ends_with("there is original, int8-dynamic, fp16-weights"), "{error}");
}

#[test]
fn a_model_that_cannot_be_rewritten_is_refused_with_the_node() {
    let mut options = options("variants-iris", &[Recipe::Packed], &[]);
    let iris = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/models/iris");
    let line = "{\"item\": {\"features\": [5.1, 3.5, 1.4, 0.2]}}\n";
    let data = Path::new(env!("CARGO_TARGET_TMPDIR")).join("variants-iris.ndjson");
    std::fs::write(&data, line.repeat(8)).unwrap();
    options.workload = Workload { model: iris.join("model.onnx"), data, tokenizer: None, ..options.workload };
    let error = variants(&options).unwrap_err().to_string();
    assert_eq!(error, "variant packed: packed: the graph: it has no input attention_mask");
}
