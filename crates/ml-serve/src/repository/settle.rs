//! What a model is served by: its configuration, with what it leaves open taken from the graph, and checked against it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use ml_core::{Dimension, Model, Signature, TensorInfo};

use super::schedule::Schedule;
use super::sequence::Plan;
use crate::grpc::proto::model_config::SchedulingChoice;
use crate::grpc::proto::model_instance_group::Kind;
use crate::grpc::proto::model_version_policy::{Latest, PolicyChoice};
use crate::grpc::proto::{
    DataType, ModelConfig, ModelDynamicBatching, ModelInput, ModelInstanceGroup, ModelOutput,
    ModelResponseCache, ModelTransactionPolicy, ModelVersionPolicy,
};
use crate::oip::datatype;

/// The names of an output's classes, by output.
pub(crate) type Labels = BTreeMap<String, Vec<String>>;

/// What a model is served by.
#[derive(Debug, Clone, Default)]
pub(crate) struct Settled {
    pub config: ModelConfig,
    /// Whether the first size of every tensor is the batch.
    pub batched: bool,
    pub labels: Labels,
    /// What it takes and leaves beside its callers' tensors, where it is one of sequences.
    pub plan: Option<Plan>,
    pub schedule: Schedule,
}

/// Settles what a model is served by.
///
/// # Errors
/// What the configuration says and the graph does not have, or this server does not do.
pub(super) fn settle(
    name: &str,
    folder: &Path,
    mut config: ModelConfig,
    model: &Model,
    rows_max: usize,
) -> Result<Settled, String> {
    check(name, &config)?;
    let signature = model.signature();
    let could_batch = knows_rows(signature);
    let batched = batched(&config, signature, could_batch)?;
    let runtime = match model.runtime() {
        rten if rten.starts_with("rten") => "rten",
        tvm if tvm.starts_with("TVM") => "tvm",
        _ => "onnxruntime",
    };
    check_tensors(&config, signature)?;
    let schedule = Schedule::read(&config)?;
    let plan = plan(&mut config, signature, batched, folder)?;
    let offered = plan.as_ref().map_or_else(|| signature.clone(), |plan| plan.offered(signature));
    let (from_graph_in, from_graph_out) = tensors(&offered, batched);
    name.clone_into(&mut config.name);
    runtime.clone_into(&mut config.backend);
    config.platform = format!("{runtime}_onnx");
    let labels = labels(folder, &config, signature)?;
    complete_inputs(&mut config, from_graph_in);
    complete_outputs(&mut config, from_graph_out);
    if batched && config.max_batch_size == 0 {
        config.max_batch_size = i32::try_from(rows_max).unwrap_or(i32::MAX);
    }
    complete_rest(&mut config, model, batched);
    Ok(Settled { config, batched, labels, plan, schedule })
}

/// Refuses what is for another server.
fn check(name: &str, config: &ModelConfig) -> Result<(), String> {
    if !config.name.is_empty() && config.name != name {
        return Err(format!("the configuration names the model '{}', its folder '{name}'", config.name));
    }
    for (key, value, known) in [
        ("backend", &config.backend, ["", "onnxruntime", "rten", "tvm"]),
        ("platform", &config.platform, ["", "onnxruntime_onnx", "rten_onnx", "tvm_onnx"]),
    ] {
        if !known.contains(&value.as_str()) {
            return Err(format!("the {key} '{value}' is not served; only ONNX models are"));
        }
    }
    match &config.scheduling_choice {
        Some(SchedulingChoice::EnsembleScheduling(_)) => Err("ensembles are not served".to_owned()),
        Some(SchedulingChoice::SequenceBatching(_) | SchedulingChoice::DynamicBatching(_)) | None => Ok(()),
    }
}

/// Reads what sequences need, and writes into the configuration what it leaves open of them.
fn plan(
    config: &mut ModelConfig,
    signature: &Signature,
    batched: bool,
    folder: &Path,
) -> Result<Option<Plan>, String> {
    let shown: Vec<String> = config.output.iter().map(|output| output.name.clone()).collect();
    let Some(SchedulingChoice::SequenceBatching(sequences)) = &mut config.scheduling_choice else {
        return Ok(None);
    };
    let plan =
        Plan::read(sequences, |name| shown.iter().any(|shown| shown == name), signature, batched, folder)?;
    sequences.max_sequence_idle_microseconds = u64::try_from(plan.idle_max.as_micros()).unwrap_or(u64::MAX);
    Ok(Some(plan))
}

/// Whether every tensor of the graph begins with a size that the caller chooses.
fn knows_rows(signature: &Signature) -> bool {
    let leads = |info: &TensorInfo| {
        info.shape.as_ref().is_none_or(|shape| matches!(shape.first(), Some(Dimension::Dynamic(_))))
    };
    let inputs = !signature.inputs.is_empty()
        && signature.inputs.iter().all(|info| info.shape.is_some() && leads(info));
    inputs && signature.outputs.iter().all(leads)
}

fn batched(config: &ModelConfig, signature: &Signature, could_batch: bool) -> Result<bool, String> {
    if config.max_batch_size < 0 {
        return Err(format!("max_batch_size is {}", config.max_batch_size));
    }
    if config.max_batch_size > 0 {
        let reason = "max_batch_size is set, but the graph has a tensor whose first size is fixed";
        return could_batch.then_some(true).ok_or_else(|| reason.to_owned());
    }
    // Sizes that the configuration states with the batch among them mean that there is none beside them.
    let whole = |info: &TensorInfo| {
        let stated = config.input.iter().find(|input| input.name == info.name);
        stated.is_some_and(|stated| Some(stated.dims.len()) == info.shape.as_ref().map(Vec::len))
    };
    Ok(could_batch && !signature.inputs.iter().any(whole))
}

fn check_tensors(config: &ModelConfig, signature: &Signature) -> Result<(), String> {
    let inputs = config.input.iter().map(|input| ("input", &input.name, input.data_type, &signature.inputs));
    let outputs =
        config.output.iter().map(|output| ("output", &output.name, output.data_type, &signature.outputs));
    for (kind, name, data_type, infos) in inputs.chain(outputs) {
        let Some(info) = infos.iter().find(|info| info.name == *name) else {
            let known: Vec<_> = infos.iter().map(|info| info.name.as_str()).collect();
            return Err(format!(
                "the configuration has the {kind} '{name}', the graph has {}",
                known.join(", ")
            ));
        };
        let (stated, found) = (DataType::try_from(data_type).unwrap_or_default(), data_type_of(info));
        if stated != DataType::TypeInvalid && stated != found {
            let (stated, found) = (stated.as_str_name(), found.as_str_name());
            return Err(format!(
                "the {kind} '{name}' is {stated} in the configuration and {found} in the graph"
            ));
        }
    }
    Ok(())
}

pub(super) fn data_type_of(info: &TensorInfo) -> DataType {
    DataType::from_str_name(datatype::config_name(info.element)).unwrap_or_default()
}

fn tensors(signature: &Signature, batched: bool) -> (Vec<ModelInput>, Vec<ModelOutput>) {
    let dims = |info: &TensorInfo| -> Vec<i64> {
        let sizes = info.shape.iter().flatten().skip(usize::from(batched));
        sizes
            .map(|size| match size {
                Dimension::Fixed(size) => i64::try_from(*size).unwrap_or(i64::MAX),
                Dimension::Dynamic(_) => -1,
            })
            .collect()
    };
    let input = |info: &TensorInfo| ModelInput {
        name: info.name.clone(),
        data_type: data_type_of(info).into(),
        dims: dims(info),
        ..ModelInput::default()
    };
    let output = |info: &TensorInfo| ModelOutput {
        name: info.name.clone(),
        data_type: data_type_of(info).into(),
        dims: dims(info),
        ..ModelOutput::default()
    };
    (signature.inputs.iter().map(input).collect(), signature.outputs.iter().map(output).collect())
}

/// Adds the inputs that are not stated, and what is not stated of the others, in the graph's order.
fn complete_inputs(config: &mut ModelConfig, mut from_graph: Vec<ModelInput>) {
    for input in &mut from_graph {
        if let Some(stated) = config.input.iter().find(|stated| stated.name == input.name) {
            let of_graph = std::mem::replace(input, stated.clone());
            input.data_type = of_graph.data_type;
            if input.dims.is_empty() {
                input.dims = of_graph.dims;
            }
        }
    }
    config.input = from_graph;
}

fn complete_outputs(config: &mut ModelConfig, mut from_graph: Vec<ModelOutput>) {
    for output in &mut from_graph {
        if let Some(stated) = config.output.iter().find(|stated| stated.name == output.name) {
            let of_graph = std::mem::replace(output, stated.clone());
            output.data_type = of_graph.data_type;
            if output.dims.is_empty() {
                output.dims = of_graph.dims;
            }
        }
    }
    config.output = from_graph;
}

fn complete_rest(config: &mut ModelConfig, model: &Model, batched: bool) {
    if config.version_policy.is_none() {
        let latest = PolicyChoice::Latest(Latest { num_versions: 1 });
        config.version_policy = Some(ModelVersionPolicy { policy_choice: Some(latest) });
    }
    if batched && config.scheduling_choice.is_none() {
        config.scheduling_choice = Some(SchedulingChoice::DynamicBatching(ModelDynamicBatching {
            priority_levels: 2,
            default_priority_level: 1,
            ..ModelDynamicBatching::default()
        }));
    }
    if config.instance_group.is_empty() {
        let gpu = model.device().gpu();
        let kind = if gpu.is_some() { Kind::Gpu } else { Kind::Cpu };
        config.instance_group.push(ModelInstanceGroup {
            name: config.name.clone(),
            kind: kind.into(),
            gpus: gpu.map(u32::cast_signed).into_iter().collect(),
            count: 1,
            ..ModelInstanceGroup::default()
        });
    }
    if config.default_model_filename.is_empty() {
        let file = model.path().file_name().map(|name| name.to_string_lossy().into_owned());
        config.default_model_filename = file.unwrap_or_default();
    }
    config.model_transaction_policy.get_or_insert(ModelTransactionPolicy { decoupled: false });
    config.response_cache.get_or_insert(ModelResponseCache { enable: false });
}

/// Reads the labels that the configuration names for outputs; those in the graph's own notes are for all others.
fn labels(folder: &Path, config: &ModelConfig, signature: &Signature) -> Result<Labels, String> {
    let noted =
        signature.metadata.get("labels").map(|labels| labels.split(',').map(|label| label.trim().to_owned()));
    let noted: Vec<String> = noted.into_iter().flatten().collect();
    let mut labels = Labels::new();
    for info in &signature.outputs {
        let stated = config.output.iter().find(|output| output.name == info.name);
        let file = stated.map(|output| output.label_filename.as_str()).filter(|file| !file.is_empty());
        let of_output = match file {
            None => noted.clone(),
            Some(file) if Path::new(file).components().count() != 1 => {
                return Err(format!("label_filename '{file}' must be a file in the model's folder"));
            }
            Some(file) => {
                let text =
                    fs::read_to_string(folder.join(file)).map_err(|error| format!("{file}: {error}"))?;
                text.lines().map(str::to_owned).collect()
            }
        };
        labels.insert(info.name.clone(), of_output);
    }
    Ok(labels)
}
