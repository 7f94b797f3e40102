//! Tuning a server that this test starts: it has no settings, so only the search and the file are looked at.

#![allow(clippy::unwrap_used, reason = "clippy takes the helpers of a test file for no tests")]

mod toy;

use std::ffi::OsString;

use ml_bench::cli::{Exit, run};
use serde_json::Value;
use toy::file;

#[test]
fn the_best_settings_are_written_with_what_was_measured() {
    let data = file("tune.ndjson", "{\"item\": {\"n\": 1}}\n");
    let target = file("tune-target.json", "{\"path_one\": \"/echo\"}");
    let (out, json) = (file("tune.toml", ""), file("tune.json", ""));
    let serve = format!("\"{}\" echo --port $ML_SERVE_PORT --workers 1", env!("CARGO_BIN_EXE_ml-bench"));
    let mut args: Vec<OsString> =
        ["tune", "--serve", &serve, "--goal-p99-ms", "60000", "--model", "m"].map(OsString::from).into();
    for (flag, path) in [("--data", &data), ("--target", &target), ("--out", &out), ("--json", &json)] {
        args.extend([flag.into(), path.clone().into_os_string()]);
    }
    let rest = "--ready /bytes --budgets 8 --clients-max 2 --duration-s 0.01";
    args.extend(rest.split(' ').map(OsString::from));
    assert_eq!(run(args, &mut Vec::new()).unwrap(), Exit::Passed);
    let report: Value = serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
    let text = std::fs::read_to_string(&out).unwrap();
    for key in ["runners", "intra_op_threads", "wide_threads", "batch_items_max"] {
        assert!(text.contains(&format!("\n{key} = {}\n", report["best"][key])), "{text}");
    }
    assert!(text.starts_with("# Written by `ml-bench tune` on 2"), "{text}");
    assert_eq!(report["best"]["within_goal"], true);
}
