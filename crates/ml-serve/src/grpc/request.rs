//! Requests as messages: tensors as raw bytes, or as numbers of the nearest type that messages have.

use bytes::Bytes;
use ml_core::ElementType;

use super::proto::infer_parameter::ParameterChoice;
use super::proto::model_infer_request::{InferInputTensor, InferRequestedOutputTensor};
use super::proto::{InferParameter, InferTensorContents, ModelInferRequest};
use crate::oip::parameters::{Parameters, Value};
use crate::oip::regions::Named;
use crate::oip::request::{InferRequest, Input, Sent, WantedOutput};
use crate::oip::{Refusal, binary, datatype};
use crate::tensors::{Data, as_bytes};

/// The one parameter of Triton's own that callers may set.
pub(super) const EMPTY_FINAL_RESPONSE: &str = "triton_enable_empty_final_response";

/// Reads a request.
///
/// # Errors
/// Says which tensor or parameter is wrong, in Triton's words.
pub(crate) fn read(message: ModelInferRequest) -> Result<InferRequest, Refusal> {
    let model = message.model_name;
    let mut parameters = Parameters { binary_output: true, ..Parameters::default() };
    for (name, parameter) in &message.parameters {
        if name != EMPTY_FINAL_RESPONSE {
            parameters.take(name, &value(parameter))?;
        }
    }
    // Inputs in shared memory have none.
    let raw_wanted = message.inputs.iter().filter(|tensor| !is_shared(tensor)).count();
    if !message.raw_input_contents.is_empty() && message.raw_input_contents.len() != raw_wanted {
        return Err(Refusal::invalid(format!(
            "expected {raw_wanted} raw input contents for model '{model}', got {}",
            message.raw_input_contents.len()
        )));
    }
    let has_raw = !message.raw_input_contents.is_empty();
    let mut raw = message.raw_input_contents.into_iter();
    let inputs = message.inputs.into_iter().map(|tensor| {
        let raw = if has_raw && !is_shared(&tensor) { raw.next() } else { None };
        input(&model, tensor, raw)
    });
    let inputs = inputs.collect::<Result<_, Refusal>>()?;
    let outputs = message.outputs.into_iter().map(output).collect::<Result<_, Refusal>>()?;
    Ok(InferRequest { id: message.id, parameters, inputs, outputs })
}

fn value(parameter: &InferParameter) -> Value {
    match parameter.parameter_choice {
        Some(ParameterChoice::BoolParam(flag)) => Value::Bool(flag),
        Some(ParameterChoice::Int64Param(number)) => Value::Whole(number.into()),
        Some(ParameterChoice::Uint64Param(number)) => Value::Whole(number.into()),
        Some(ParameterChoice::StringParam(ref text)) => Value::Text(text.clone()),
        Some(ParameterChoice::DoubleParam(_)) | None => Value::Other,
    }
}

fn is_shared(tensor: &InferInputTensor) -> bool {
    tensor.parameters.contains_key("shared_memory_region")
}

fn input(model: &str, tensor: InferInputTensor, raw: Option<Bytes>) -> Result<Input, Refusal> {
    let InferInputTensor { name, datatype, shape, contents, parameters } = tensor;
    let mut memory = Named::default();
    for (name, parameter) in &parameters {
        memory.take(name, &value(parameter))?;
    }
    let unknown = || Refusal::invalid(format!("invalid datatype '{datatype}' for input '{name}'"));
    let element = datatype::of_name(&datatype).ok_or_else(unknown)?;
    let negative = |size| Refusal::invalid(format!("input '{name}' of model '{model}' has the size {size}"));
    let shape = shape.into_iter().map(|size| usize::try_from(size).map_err(|_| negative(size)));
    let shape = shape.collect::<Result<Vec<_>, _>>()?;
    if let Some(window) = memory.window()? {
        return Ok(Input { name, element, shape, data: Sent::Shared(window) });
    }
    let data = match (raw, contents) {
        (Some(_), Some(_)) => {
            return Err(Refusal::invalid(format!(
                "contents field must not be specified when using raw_input_contents for '{name}' for model '{model}'"
            )));
        }
        (Some(raw), None) => binary::elements(model, &name, element, raw)?,
        (None, Some(contents)) => typed(&name, element, contents)?,
        (None, None) if shape.contains(&0) => binary::elements(model, &name, element, Bytes::new())?,
        (None, None) => {
            return Err(Refusal::invalid(format!(
                "unable to find data for input tensor '{name}' for model '{model}' in request."
            )));
        }
    };
    Ok(Input { name, element, shape, data: Sent::Read(data) })
}

/// Takes typed contents, all of them of the field that belongs to the type.
fn typed(name: &str, element: ElementType, contents: InferTensorContents) -> Result<Data, Refusal> {
    let other = |found: &'static str| {
        Refusal::invalid(format!(
            "unexpected explicit tensor data for input tensor '{name}' of type '{found}', expected datatype '{}'",
            datatype::name(element)
        ))
    };
    if let Some(found) =
        kinds(&contents).into_iter().find(|(_, held, takes)| *held && !takes.contains(&element))
    {
        return Err(other(found.0));
    }
    let narrow = || {
        let name = datatype::name(element);
        Refusal::invalid(format!("explicit tensor data for input tensor has a number that is no {name}"))
    };
    macro_rules! narrowed {
        ($rust:ty, $numbers:expr) => {
            as_bytes(
                $numbers
                    .into_iter()
                    .map(<$rust>::try_from)
                    .collect::<Result<Vec<_>, _>>()
                    .map_err(|_| narrow())?,
            )
        };
    }
    Ok(Data::Numbers(match element {
        ElementType::Bool => as_bytes(contents.bool_contents),
        ElementType::I8 => narrowed!(i8, contents.int_contents),
        ElementType::I16 => narrowed!(i16, contents.int_contents),
        ElementType::I32 => as_bytes(contents.int_contents),
        ElementType::I64 => as_bytes(contents.int64_contents),
        ElementType::U8 => narrowed!(u8, contents.uint_contents),
        ElementType::U16 => narrowed!(u16, contents.uint_contents),
        ElementType::U32 => as_bytes(contents.uint_contents),
        ElementType::U64 => as_bytes(contents.uint64_contents),
        ElementType::F32 => as_bytes(contents.fp32_contents),
        ElementType::F64 => as_bytes(contents.fp64_contents),
        ElementType::String => {
            return Ok(Data::Texts(contents.bytes_contents.iter().map(|text| text.to_vec()).collect()));
        }
        ElementType::F16 | ElementType::BF16 => {
            let name = datatype::name(element);
            return Err(Refusal::invalid(format!(
                "{name} has no explicit tensor data; use raw_input_contents"
            )));
        }
    }))
}

type Kind = (&'static str, bool, &'static [ElementType]);

/// The fields of typed contents: what they are called by, whether anything is in them, and for which types they are.
fn kinds(contents: &InferTensorContents) -> [Kind; 8] {
    use ElementType as E;
    [
        ("BOOL", !contents.bool_contents.is_empty(), &[E::Bool]),
        ("INT32", !contents.int_contents.is_empty(), &[E::I8, E::I16, E::I32]),
        ("INT64", !contents.int64_contents.is_empty(), &[E::I64]),
        ("UINT32", !contents.uint_contents.is_empty(), &[E::U8, E::U16, E::U32]),
        ("UINT64", !contents.uint64_contents.is_empty(), &[E::U64]),
        ("FP32", !contents.fp32_contents.is_empty(), &[E::F32]),
        ("FP64", !contents.fp64_contents.is_empty(), &[E::F64]),
        ("BYTES", !contents.bytes_contents.is_empty(), &[E::String]),
    ]
}

fn output(tensor: InferRequestedOutputTensor) -> Result<WantedOutput, Refusal> {
    let mut output = WantedOutput { name: tensor.name, ..WantedOutput::default() };
    for (name, parameter) in &tensor.parameters {
        output.parameter(name, &value(parameter))?;
    }
    Ok(output)
}
