//! Comparisons of servers that this test starts, and of a model in a bare loop.

#![allow(clippy::unwrap_used, reason = "clippy takes the helpers of a test file for no tests")]

mod port;
mod toy;

use std::num::NonZeroUsize;
use std::path::Path;

use ml_bench::cli::{Exit, run};
use ml_bench::compare::{CompareOptions, CompareReport, compare};
use serde_json::{Value, json};
use toy::{Toy, file};

/// An echo that the comparison starts, and stops when `keep` is false.
fn echo(name: &str, keep: bool) -> Value {
    let port = port::free();
    json!({
        "name": name, "url": format!("http://127.0.0.1:{port}"), "ready": "/bytes", "keep": keep,
        "target": {"path_one": "/echo"},
        "start": {"argv": [env!("CARGO_BIN_EXE_ml-bench"), "echo", "--port", port.to_string(), "--workers", "1"]}
    })
}

fn scenario(name: &str) -> Value {
    json!({"name": name, "clients": 2, "duration_s": 0.1, "warm_up_s": 0.02})
}

fn plan(name: &str, targets: &[Value], scenarios: &[Value]) -> std::path::PathBuf {
    let data =
        file(&format!("{name}.ndjson"), "{\"item\": {\"n\": 1, \"features\": [5.1, 3.5, 1.4, 0.2]}}\n");
    let plan = json!({
        "title": "a test", "data": data.file_name().unwrap().to_str().unwrap(), "model": "toy",
        "targets": targets, "scenarios": scenarios
    });
    file(&format!("{name}.json"), &plan.to_string())
}

fn measure(file: &Path) -> CompareReport {
    let rounds = NonZeroUsize::new(2).unwrap();
    let (file, targets, scenarios) = (file.to_owned(), Vec::new(), Vec::new());
    compare(&CompareOptions { file, rounds, targets, scenarios }).unwrap()
}

#[test]
fn started_and_running_servers_and_a_bare_loop_are_measured_side_by_side() {
    let toy = Toy::start();
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/models/iris/model.onnx");
    let raw = json!({"name": "raw", "only": ["s"],
        "limit": {"model": model, "sessions": 1, "threads": 1, "batch": 1, "order": "arrival"}});
    let targets = [json!({"name": "toy", "url": toy.url}), raw, echo("kept", true), echo("stopped", false)];
    let report = measure(&plan("compare", &targets, &[scenario("s"), scenario("t")]));
    let names = |at: usize| {
        report.scenarios[at].targets.iter().map(|target| target.name.as_str()).collect::<Vec<_>>()
    };
    assert_eq!((names(0), names(1)), (vec!["toy", "raw", "kept", "stopped"], vec!["toy", "kept", "stopped"]));
    for target in report.scenarios.iter().flat_map(|scenario| &scenario.targets) {
        assert!(target.items_per_s_median > 0.0 && target.turns.len() == 2, "{}", target.name);
        assert_eq!((target.errors, target.ratios.is_none()), (0, target.name == "toy"), "{}", target.name);
        let started = matches!(target.name.as_str(), "kept" | "stopped");
        assert_eq!(target.first_answer_s.is_some(), started, "{}", target.name);
    }
    // The kept one was started once; the other before every turn, each time anew.
    let starts = |name: &str| {
        let targets = report.scenarios.iter().flat_map(|scenario| &scenario.targets);
        let turns = targets.filter(|target| target.name == name).flat_map(|target| &target.turns);
        let mut starts: Vec<_> = turns.filter_map(|turn| turn.first_answer_s.map(f64::to_bits)).collect();
        starts.sort_unstable();
        starts.dedup();
        starts.len()
    };
    assert_eq!((starts("kept"), starts("stopped")), (1, 4));
    assert!(report.passed());
    assert!(report.html().contains("as a ratio to the first target"));
    assert!(report.markdown().starts_with("### s\n\n| target | items/s | ratio |"), "{}", report.markdown());
}

#[test]
fn a_server_that_does_not_start_is_named_with_its_output() {
    let mut broken = echo("broken", true);
    broken["start"]["argv"] = json!(["sh", "-c", "echo no model here; exit 4"]);
    let path = plan("broken", &[broken], &[scenario("s")]);
    let args = ["compare".into(), path.into_os_string()];
    let error = run(args, &mut Vec::new()).unwrap_err().to_string();
    let (reason, log) = error.rsplit_once(" is in ").unwrap();
    assert_eq!(reason, "target broken: stopped by itself with exit status: 4; its output");
    assert_eq!(std::fs::read_to_string(log).unwrap(), "no model here\n");
}

#[test]
fn only_what_is_asked_for_is_measured_and_written() {
    let toy = Toy::start();
    let targets = [json!({"name": "toy", "url": toy.url}), echo("never", true)];
    let path = plan("only", &targets, &[scenario("s"), scenario("t")]);
    let markdown = file("only.md", "");
    let line = "--rounds 1 --targets toy --scenarios t --markdown";
    let args = ["compare".into(), path.into_os_string()]
        .into_iter()
        .chain(line.split(' ').map(Into::into))
        .chain([markdown.clone().into_os_string()]);
    let mut table = Vec::new();
    assert_eq!(run(args, &mut table).unwrap(), Exit::Passed);
    let text = std::fs::read_to_string(markdown).unwrap();
    assert!(text.starts_with("### t\n") && !text.contains("never"), "{text}");
}
