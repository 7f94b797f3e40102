//! Answers as messages: always raw bytes, one entry for each output, because clients find them by place.

use super::proto::ModelInferResponse;
use super::proto::model_infer_response::InferOutputTensor;
use crate::oip::inputs::Contract;
use crate::oip::outputs::Answered;
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
        response.outputs.push(InferOutputTensor {
            name: output.name.to_owned(),
            datatype: datatype::name(output.tensor.element).to_owned(),
            shape: output.tensor.shape.iter().map(|size| i64::try_from(*size).unwrap_or(i64::MAX)).collect(),
            ..InferOutputTensor::default()
        });
        response.raw_output_contents.push(binary::wire_bytes(&output.tensor));
    }
    response
}
