//! What a model of sequences has beside its callers' tensors: inputs that say where in its sequence a request stands, and
//! states that one request leaves to the next. Read from a configuration's `sequence_batching`, checked against the graph.

use std::fs;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use ml_core::{Dimension, ElementType, Signature, TensorInfo};

use super::settle::data_type_of;
use crate::grpc::proto::model_sequence_batching::control::Kind;
use crate::grpc::proto::model_sequence_batching::initial_state::StateData;
use crate::grpc::proto::model_sequence_batching::{Control, State as StateConfig};
use crate::grpc::proto::{DataType, ModelSequenceBatching};
use crate::tensors::{RawTensor, as_bytes, element_bytes};

/// How long a sequence is kept without a request, where the configuration does not say: as long as Triton keeps it.
const IDLE_MAX: Duration = Duration::from_secs(1);

/// The most bytes that a state may begin with.
const INITIAL_BYTES_MAX: usize = 1 << 30;

/// Where each tensor of the graph comes from, and goes to.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub idle_max: Duration,
    /// By the graph's inputs.
    pub inputs: Vec<Source>,
    /// By the graph's outputs.
    pub outputs: Vec<Sink>,
    /// What each state is before the first request, as one row.
    pub initial: Vec<RawTensor>,
}

/// Who gives an input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    Caller,
    Flag(Flag),
    /// The sequence's identifier; of this type, with as many sizes.
    Identifier(ElementType, usize),
    /// The state of this place.
    State(usize),
}

/// Who gets an output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sink {
    pub caller: bool,
    pub state: Option<usize>,
}

/// An input that says yes or no.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Flag {
    pub says: Says,
    pub element: ElementType,
    pub no: Bytes,
    pub yes: Bytes,
    /// How many sizes it has.
    pub rank: usize,
}

/// What a flag says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Says {
    /// This is the first request of its sequence.
    Start,
    /// This is the last.
    End,
    /// There is a request, which there always is.
    Ready,
}

impl Plan {
    /// Reads a configuration.
    ///
    /// # Errors
    /// Names the control or state that the graph does not have, or has otherwise.
    pub fn read(
        config: &ModelSequenceBatching,
        shown: impl Fn(&str) -> bool,
        signature: &Signature,
        batched: bool,
        folder: &Path,
    ) -> Result<Self, String> {
        let idle = Duration::from_micros(config.max_sequence_idle_microseconds);
        let mut plan = Self {
            idle_max: if idle.is_zero() { IDLE_MAX } else { idle },
            inputs: vec![Source::Caller; signature.inputs.len()],
            outputs: vec![Sink { caller: true, state: None }; signature.outputs.len()],
            initial: Vec::new(),
        };
        for input in &config.control_input {
            let [control] = &*input.control else {
                return Err(format!("the control input '{}' must have one control", input.name));
            };
            let (place, info) = find("control input", &input.name, &signature.inputs)?;
            free(plan.inputs[place] == Source::Caller, &input.name)?;
            plan.inputs[place] = source(control, info)?;
        }
        for (number, state) in config.state.iter().enumerate() {
            let (place, info) = find("state", &state.input_name, &signature.inputs)?;
            free(plan.inputs[place] == Source::Caller, &state.input_name)?;
            plan.inputs[place] = Source::State(number);
            let (output, from) = find("state", &state.output_name, &signature.outputs)?;
            free(plan.outputs[output].state.is_none(), &state.output_name)?;
            plan.outputs[output] = Sink { caller: shown(&state.output_name), state: Some(number) };
            if info.element != from.element {
                let (one, other) = (&state.input_name, &state.output_name);
                return Err(format!("the state '{one}' is {} and '{other}' {}", info.element, from.element));
            }
            plan.initial.push(initial(state, info, batched, folder)?);
        }
        Ok(plan)
    }

    /// Returns the graph's tensors that callers give and get.
    pub fn offered(&self, signature: &Signature) -> Signature {
        let inputs =
            signature.inputs.iter().zip(&self.inputs).filter(|(_, source)| **source == Source::Caller);
        let outputs = signature.outputs.iter().zip(&self.outputs).filter(|(_, sink)| sink.caller);
        Signature {
            inputs: inputs.map(|(info, _)| info.clone()).collect(),
            outputs: outputs.map(|(info, _)| info.clone()).collect(),
            ..signature.clone()
        }
    }
}

fn free(is_free: bool, name: &str) -> Result<(), String> {
    if is_free { Ok(()) } else { Err(format!("sequence_batching names '{name}' twice")) }
}

fn find<'a>(kind: &str, name: &str, infos: &'a [TensorInfo]) -> Result<(usize, &'a TensorInfo), String> {
    let found = infos.iter().enumerate().find(|(_, info)| info.name == name);
    found.ok_or_else(|| format!("the {kind} '{name}' is not in the graph"))
}

fn source(control: &Control, info: &TensorInfo) -> Result<Source, String> {
    let name = &info.name;
    let rank = info.shape.as_ref().map_or(1, Vec::len);
    let large = |dimension: &Dimension| matches!(dimension, Dimension::Fixed(size) if *size != 1);
    if info.shape.iter().flatten().any(large) {
        return Err(format!("the control input '{name}' must have one value, and is {info}"));
    }
    let says = match Kind::try_from(control.kind).unwrap_or_default() {
        Kind::ControlSequenceStart => Says::Start,
        Kind::ControlSequenceEnd => Says::End,
        Kind::ControlSequenceReady => Says::Ready,
        Kind::ControlSequenceCorrid => {
            let stated = DataType::try_from(control.data_type).unwrap_or_default();
            if stated != DataType::TypeInvalid && stated != data_type_of(info) {
                return Err(format!("the control input '{name}' is {} in the graph", info.element));
            }
            return Ok(Source::Identifier(info.element, rank));
        }
    };
    let values = (&*control.int32_false_true, &*control.fp32_false_true, &*control.bool_false_true);
    let (element, no, yes) = match values {
        ([no, yes], [], []) => (ElementType::I32, as_bytes(vec![*no]), as_bytes(vec![*yes])),
        ([], [no, yes], []) => (ElementType::F32, as_bytes(vec![*no]), as_bytes(vec![*yes])),
        ([], [], [no, yes]) => (ElementType::Bool, as_bytes(vec![*no]), as_bytes(vec![*yes])),
        _ => {
            return Err(format!(
                "the control input '{name}' must say what is false and what is true, in one type"
            ));
        }
    };
    if element != info.element {
        return Err(format!(
            "the control input '{name}' is {element} in the configuration, {} in the graph",
            info.element
        ));
    }
    Ok(Source::Flag(Flag { says, element, no, yes, rank }))
}

/// Returns what a state begins with: zeros, or what a file holds.
fn initial(
    state: &StateConfig,
    info: &TensorInfo,
    batched: bool,
    folder: &Path,
) -> Result<RawTensor, String> {
    let name = &state.input_name;
    let wrong = |what: &str| Err(format!("the state '{name}' {what}"));
    if state.initial_state.len() > 1 {
        return wrong("has more than one initial state");
    }
    let stated = DataType::try_from(state.data_type).unwrap_or_default();
    if stated != DataType::TypeInvalid && stated != data_type_of(info) {
        return wrong(&format!(
            "is {} in the configuration, {} in the graph",
            stated.as_str_name(),
            info.element
        ));
    }
    let first = state.initial_state.first();
    let dims = first.map_or(&state.dims, |first| &first.dims);
    let sizes = dims.iter().map(|size| usize::try_from(*size).ok()).collect::<Option<Vec<_>>>();
    let Some(sizes) = sizes else { return wrong("begins with a size that is not stated") };
    if info.shape.as_ref().is_some_and(|shape| shape.len() != sizes.len() + usize::from(batched)) {
        return wrong(&format!("has {} sizes, the graph has {info}", sizes.len()));
    }
    let bytes =
        sizes.iter().try_fold(element_bytes(info.element).max(1), |bytes, size| bytes.checked_mul(*size));
    let Some(bytes) = bytes.filter(|bytes| *bytes <= INITIAL_BYTES_MAX) else {
        return wrong(&format!("begins with more than {INITIAL_BYTES_MAX} bytes"));
    };
    let shape: Vec<usize> = batched.then_some(1).into_iter().chain(sizes).collect();
    match first.and_then(|first| first.state_data.as_ref()) {
        Some(StateData::DataFile(file)) => of_file(folder, file, info.element, shape, bytes)
            .or_else(|reason| wrong(&format!("cannot begin with the file {file}: {reason}"))),
        _ if info.element == ElementType::String => Ok(RawTensor::texts(shape, vec![Vec::new(); bytes])),
        _ => Ok(RawTensor::numbers(info.element, shape, Bytes::from(vec![0; bytes]))),
    }
}

fn of_file(
    folder: &Path,
    file: &str,
    element: ElementType,
    shape: Vec<usize>,
    bytes: usize,
) -> Result<RawTensor, String> {
    if element == ElementType::String || Path::new(file).components().count() != 1 || file == ".." {
        return Err("it must hold numbers, in the folder initial_state of the model".to_owned());
    }
    let data = fs::read(folder.join("initial_state").join(file)).map_err(|error| error.to_string())?;
    if data.len() != bytes {
        return Err(format!("it has {} bytes, not {bytes}", data.len()));
    }
    Ok(RawTensor::numbers(element, shape, data.into()))
}
