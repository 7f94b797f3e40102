//! What models say about themselves, as messages.

use std::time::UNIX_EPOCH;

use ml_core::TensorInfo;

use super::proto::model_instance_group::Kind;
use super::proto::model_metadata_response::TensorMetadata;
use super::proto::{
    DataType, InferBatchStatistics, InferStatistics, ModelConfig, ModelDynamicBatching, ModelInput,
    ModelInstanceGroup, ModelMetadataResponse, ModelOutput, ModelResponseCache, ModelStatistics,
    ModelTransactionPolicy, ModelVersionPolicy, StatisticDuration, model_version_policy,
};
use crate::oip::inputs::Contract;
use crate::oip::{VERSION, datatype, describe};
use crate::onnx::{Span, TensorModel};

pub(super) fn metadata(contract: Contract<'_>) -> ModelMetadataResponse {
    let metadata = contract.metadata();
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
        versions: metadata.versions.into_iter().map(str::to_owned).collect(),
        platform: metadata.platform.to_owned(),
        inputs: tensors(metadata.inputs),
        outputs: tensors(metadata.outputs),
    }
}

pub(super) fn config(contract: Contract<'_>) -> ModelConfig {
    let signature = contract.pipeline.signature();
    let file = contract.pipeline.model().path().file_name();
    let batched = contract.pipeline.batched();
    let latest = model_version_policy::Latest { num_versions: 1 };
    ModelConfig {
        name: contract.name.to_owned(),
        platform: contract.platform().to_owned(),
        backend: contract.backend().to_owned(),
        version_policy: Some(ModelVersionPolicy {
            policy_choice: Some(model_version_policy::PolicyChoice::Latest(latest)),
        }),
        max_batch_size: i32::try_from(contract.batch_size_max()).unwrap_or(i32::MAX),
        input: signature.inputs.iter().map(|info| input(contract, info)).collect(),
        output: signature.outputs.iter().map(|info| output(contract, info)).collect(),
        dynamic_batching: batched.then(|| ModelDynamicBatching {
            priority_levels: 2,
            default_priority_level: 1,
            ..ModelDynamicBatching::default()
        }),
        instance_group: vec![ModelInstanceGroup {
            name: contract.name.to_owned(),
            kind: Kind::Cpu.into(),
            count: 1,
        }],
        default_model_filename: file.map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
        model_transaction_policy: Some(ModelTransactionPolicy { decoupled: false }),
        response_cache: Some(ModelResponseCache { enable: false }),
    }
}

fn data_type(info: &TensorInfo) -> i32 {
    DataType::from_str_name(datatype::config_name(info.element)).unwrap_or_default().into()
}

fn input(contract: Contract<'_>, info: &TensorInfo) -> ModelInput {
    let (name, data_type, dims) = (info.name.clone(), data_type(info), contract.dims(info));
    ModelInput { name, data_type, dims, ..ModelInput::default() }
}

fn output(contract: Contract<'_>, info: &TensorInfo) -> ModelOutput {
    let (name, data_type, dims) = (info.name.clone(), data_type(info), contract.dims(info));
    ModelOutput { name, data_type, dims, ..ModelOutput::default() }
}

pub(super) fn statistics(name: &str, model: &TensorModel) -> ModelStatistics {
    let calls = model.calls();
    let runs = model.pipeline().runs().by_rows();
    let last = calls.last.and_then(|last| last.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
    ModelStatistics {
        name: name.to_owned(),
        version: VERSION.to_owned(),
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
