//! The statistics extension: what the requests and runs of a model took since it was loaded.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::onnx::{Span, TensorModel};

/// Returns the statistics of one model, all members written out as whole numbers.
pub(crate) fn of_model(name: &str, version: u64, model: &TensorModel) -> Value {
    let calls = model.calls();
    let runs = model.pipeline().runs().by_rows();
    let executions: u64 = runs.values().map(|runs| runs.infer.count).sum();
    let batches = runs.iter().map(|(rows, runs)| {
        json!({
            "batch_size": rows,
            "compute_input": span(runs.input),
            "compute_infer": span(runs.infer),
            "compute_output": span(runs.output),
        })
    });
    let since = |time: SystemTime| time.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    json!({
        "name": name,
        "version": version.to_string(),
        "last_inference": calls.last.map_or(0, |time| u64::try_from(since(time)).unwrap_or(u64::MAX)),
        "inference_count": calls.rows,
        "execution_count": executions,
        "inference_stats": {
            "success": span(calls.success),
            "fail": span(calls.fail),
            "queue": span(calls.queue),
            "compute_input": span(calls.input),
            "compute_infer": span(calls.infer),
            "compute_output": span(calls.output),
            "cache_hit": span(Span::default()),
            "cache_miss": span(Span::default()),
        },
        "response_stats": {},
        "batch_stats": batches.collect::<Vec<_>>(),
        "memory_usage": [],
    })
}

fn span(span: Span) -> Value {
    json!({ "count": span.count, "ns": u64::try_from(span.time.as_nanos()).unwrap_or(u64::MAX) })
}
