//! Answers as messages: always raw bytes, one entry for each output, because clients find them by place.

use std::collections::HashMap;

use bytes::Bytes;

use super::proto::infer_parameter::ParameterChoice;
use super::proto::model_infer_response::InferOutputTensor;
use super::proto::{InferParameter, ModelInferResponse};
use crate::oip::inputs::Contract;
use crate::oip::outputs::Answered;
use crate::oip::regions::Window;
use crate::oip::{binary, datatype};

/// Writes an answer.
pub(super) fn write(contract: Contract<'_>, id: String, outputs: Vec<Answered<'_>>) -> ModelInferResponse {
    let mut response = ModelInferResponse {
        model_name: contract.name.to_owned(),
        model_version: contract.version.to_string(),
        id,
        ..ModelInferResponse::default()
    };
    for output in outputs {
        let parameters = output.memory.as_ref().map(memory).unwrap_or_default();
        response.outputs.push(InferOutputTensor {
            parameters,
            name: output.name.to_owned(),
            datatype: datatype::name(output.tensor.element).to_owned(),
            shape: output.tensor.shape.iter().map(|size| i64::try_from(*size).unwrap_or(i64::MAX)).collect(),
            ..InferOutputTensor::default()
        });
        // One that is in shared memory has a place here all the same.
        let bytes = if output.memory.is_some() { Bytes::new() } else { binary::wire_bytes(&output.tensor) };
        response.raw_output_contents.push(bytes);
    }
    response
}

/// Says where an output is instead.
fn memory(window: &Window) -> HashMap<String, InferParameter> {
    let parameter = |name: &str, choice| (name.to_owned(), InferParameter { parameter_choice: Some(choice) });
    let whole = |number: u64| ParameterChoice::Int64Param(i64::try_from(number).unwrap_or(i64::MAX));
    HashMap::from([
        parameter("shared_memory_region", ParameterChoice::StringParam(window.region.clone())),
        parameter("shared_memory_offset", whole(window.offset)),
        parameter("shared_memory_byte_size", whole(window.bytes)),
    ])
}
