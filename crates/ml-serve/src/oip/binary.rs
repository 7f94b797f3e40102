//! Tensors as bytes after the JSON, and texts among them: each with its length in front.

use bytes::{Bytes, BytesMut};
use ml_core::{Dimension, ElementType};

use super::Refusal;
use super::inputs::Contract;
use super::request::{InferRequest, Input, Sent, WantedOutput};
use crate::tensors::{Data, RawTensor, element_bytes};

/// The header that says how many bytes of a body are JSON; the rest are tensors.
pub(crate) const HEADER: &str = "inference-header-content-length";

/// What a request's header says of its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// All of it is JSON.
    Json,
    /// So many bytes are JSON.
    Split(usize),
    /// All of it is the data of the only input.
    Raw,
}

impl Form {
    /// Reads the header's value.
    ///
    /// # Errors
    /// A value that is no length, or longer than a body may be.
    pub fn read(value: Option<&[u8]>) -> Result<Self, Refusal> {
        let Some(value) = value else { return Ok(Self::Json) };
        let text = String::from_utf8_lossy(value);
        let number: i128 = text.trim().parse().map_err(|_| {
            let shown: String = text.chars().take(40).collect();
            Refusal::invalid(format!("Unable to parse Inference-Header-Content-Length, got: {shown}"))
        })?;
        if i32::try_from(number).is_err() {
            return Err(Refusal::invalid(format!(
                "Unable to parse Inference-Header-Content-Length, value is out of range, got: {number}"
            )));
        }
        match usize::try_from(number) {
            Ok(0) => Ok(Self::Raw),
            Ok(length) => Ok(Self::Split(length)),
            Err(_) => Err(out_of_range(number, None)),
        }
    }

    /// How many bytes stand before the first tensor.
    pub fn json_bytes(self) -> usize {
        match self {
            Self::Split(length) => length,
            Self::Json | Self::Raw => 0,
        }
    }
}

fn out_of_range(length: i128, body: Option<usize>) -> Refusal {
    let body = body.map_or_else(|| "body size".to_owned(), |body| body.to_string());
    Refusal::invalid(format!("inference header size should be in range (0, {body}), got: {length}"))
}

/// Reads a request from a body that was decompressed.
///
/// # Errors
/// Says what is wrong with the JSON, or which tensor has other bytes than were announced.
pub(crate) fn read(contract: Contract<'_>, form: Form, body: &Bytes) -> Result<InferRequest, Refusal> {
    let (json, tensors) = match form {
        Form::Raw => return raw(contract, body),
        Form::Json => (body.clone(), Bytes::new()),
        Form::Split(length) if length > body.len() => {
            return Err(out_of_range(length as i128, Some(body.len())));
        }
        Form::Split(length) => (body.slice(..length), body.slice(length..)),
    };
    let mut request = InferRequest::read(&json)?;
    attach(contract.name, &mut request, tensors)?;
    Ok(request)
}

/// Gives each input that wants them its bytes of `tensors`, and all bytes to somebody.
fn attach(model: &str, request: &mut InferRequest, mut tensors: Bytes) -> Result<(), Refusal> {
    for input in &mut request.inputs {
        let Sent::Follows(bytes) = input.data else { continue };
        if bytes > tensors.len() {
            let (name, lacking) = (&input.name, bytes - tensors.len());
            return Err(Refusal::invalid(format!(
                "unexpected size for input '{name}', expecting {lacking} additional bytes for model '{model}'"
            )));
        }
        let data = tensors.split_to(bytes);
        input.data = Sent::Read(elements(model, &input.name, input.element, data)?);
    }
    if tensors.is_empty() {
        return Ok(());
    }
    Err(Refusal::invalid(format!("unexpected additional input data for model '{model}'")))
}

/// Takes bytes as the elements of an input.
///
/// # Errors
/// Texts whose lengths do not fit, and booleans that are neither 0 nor 1.
pub(crate) fn elements(model: &str, input: &str, element: ElementType, data: Bytes) -> Result<Data, Refusal> {
    match element {
        ElementType::String => Ok(Data::Texts(texts(model, input, &data)?.into())),
        ElementType::Bool if data.iter().any(|byte| *byte > 1) => Err(Refusal::invalid(format!(
            "input '{input}' for model '{model}' has a BOOL that is neither 0 nor 1"
        ))),
        _ => Ok(Data::Numbers(data)),
    }
}

fn texts(model: &str, input: &str, data: &[u8]) -> Result<Vec<Vec<u8>>, Refusal> {
    let (mut texts, mut rest) = (Vec::new(), data);
    while !rest.is_empty() {
        let Some((length, after)) = rest.split_first_chunk::<4>() else {
            return Err(Refusal::invalid(format!(
                "incomplete string length indicator for inference input '{input}' for model '{model}', expecting 4 \
                 bytes but only {} bytes available",
                rest.len()
            )));
        };
        let length = u32::from_le_bytes(*length) as usize;
        let Some((text, after)) = after.split_at_checked(length) else {
            return Err(Refusal::invalid(format!(
                "incomplete string data for inference input '{input}' for model '{model}', expecting string of length \
                 {length} but only {} bytes available",
                after.len()
            )));
        };
        texts.push(text.to_vec());
        rest = after;
    }
    Ok(texts)
}

/// Takes a body as the only input of a model; its shape follows from its size.
fn raw(contract: Contract<'_>, body: &Bytes) -> Result<InferRequest, Refusal> {
    let (inputs, model) = (&contract.pipeline.offered().inputs, contract.name);
    let [info] = &**inputs else {
        return Err(Refusal::invalid(format!(
            "Raw request must only have 1 input (found 1) to be deduced but got {} inputs in '{model}' model \
             configuration",
            inputs.len()
        )));
    };
    let name = info.name.clone();
    let sizes = contract.pipeline.row_shape(info).unwrap_or_default();
    let mut shape: Vec<Option<usize>> = sizes
        .iter()
        .map(|size| match size {
            Dimension::Fixed(size) => Some(*size),
            Dimension::Dynamic(_) => None,
        })
        .collect();
    let data = if info.element == ElementType::String {
        if shape != [Some(1)] {
            return Err(Refusal::invalid(format!(
                "For BYTE datatype raw input '{name}', the model must have input shape [1]"
            )));
        }
        Data::Texts([body.to_vec()].into())
    } else {
        deduce(&name, &mut shape, body.len() / element_bytes(info.element))?;
        elements(model, &name, info.element, body.clone())?
    };
    let batch = contract.pipeline.batched().then_some(1);
    let shape = batch.into_iter().chain(shape.into_iter().flatten()).collect();
    let input = Input { name, element: info.element, shape, data: Sent::Read(data) };
    let outputs = contract.pipeline.offered().outputs.iter();
    let binary =
        |name: &String| WantedOutput { name: name.clone(), binary: Some(true), ..WantedOutput::default() };
    let outputs = outputs.map(|info| binary(&info.name)).collect();
    Ok(InferRequest { inputs: vec![input], outputs, ..InferRequest::default() })
}

/// Finds the one size that is not fixed.
fn deduce(name: &str, shape: &mut [Option<usize>], count: usize) -> Result<(), Refusal> {
    let fixed: usize = shape.iter().flatten().product();
    let mut open = shape.iter_mut().filter(|size| size.is_none());
    let (first, second) = (open.next(), open.next());
    if second.is_some() {
        return Err(Refusal::invalid(format!(
            "The shape of the raw input '{name}' can not be deduced because there are more than one variable-sized \
             dimension"
        )));
    }
    if let Some(size) = first {
        *size = Some(count / fixed.max(1));
    }
    Ok(())
}

/// Returns the elements as they travel: numbers as they lie in memory, texts each with its length in front.
pub(crate) fn wire_bytes(tensor: &RawTensor) -> Bytes {
    let texts = match &tensor.data {
        Data::Numbers(bytes) => return bytes.clone(),
        Data::Texts(texts) => texts,
    };
    let mut bytes = BytesMut::with_capacity(texts.iter().map(|text| 4 + text.len()).sum());
    for text in texts.iter() {
        // A text comes from a model or a body, both of which are far from four gigabytes.
        let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(text);
    }
    bytes.freeze()
}
