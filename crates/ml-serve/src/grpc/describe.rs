//! What models say about themselves, as messages.

use std::time::UNIX_EPOCH;

use super::proto::model_metadata_response::TensorMetadata;
use super::proto::{
    InferBatchStatistics, InferStatistics, ModelMetadataResponse, ModelStatistics, StatisticDuration,
};
use crate::oip::describe;
use crate::oip::inputs::Contract;
use crate::onnx::{Span, TensorModel};

pub(super) fn metadata(contract: Contract<'_>, versions: Vec<String>) -> ModelMetadataResponse {
    let metadata = contract.metadata(versions);
    let tensors = |tensors: Vec<describe::TensorMetadata<'_>>| {
        let tensor = |tensor: describe::TensorMetadata<'_>| TensorMetadata {
            name: tensor.name.to_owned(),
            datatype: tensor.datatype.to_owned(),
            shape: tensor.shape,
        };
        tensors.into_iter().map(tensor).collect()
    };
    ModelMetadataResponse {
        name: metadata.name.to_owned(),
        versions: metadata.versions,
        platform: metadata.platform.to_owned(),
        inputs: tensors(metadata.inputs),
        outputs: tensors(metadata.outputs),
    }
}

pub(super) fn statistics(name: &str, version: u64, model: &TensorModel) -> ModelStatistics {
    let calls = model.calls();
    let runs = model.pipeline().runs().by_rows();
    let last = calls.last.and_then(|last| last.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
    ModelStatistics {
        name: name.to_owned(),
        version: version.to_string(),
        last_inference: u64::try_from(last.as_millis()).unwrap_or(u64::MAX),
        inference_count: calls.rows,
        execution_count: runs.values().map(|runs| runs.infer.count).sum(),
        inference_stats: Some(InferStatistics {
            success: span(calls.success),
            fail: span(calls.fail),
            queue: span(calls.queue),
            compute_input: span(calls.input),
            compute_infer: span(calls.infer),
            compute_output: span(calls.output),
            cache_hit: span(Span::default()),
            cache_miss: span(Span::default()),
        }),
        batch_stats: runs
            .iter()
            .map(|(rows, runs)| InferBatchStatistics {
                batch_size: *rows as u64,
                compute_input: span(runs.input),
                compute_infer: span(runs.infer),
                compute_output: span(runs.output),
            })
            .collect(),
    }
}

fn span(span: Span) -> Option<StatisticDuration> {
    Some(StatisticDuration { count: span.count, ns: u64::try_from(span.time.as_nanos()).unwrap_or(u64::MAX) })
}
