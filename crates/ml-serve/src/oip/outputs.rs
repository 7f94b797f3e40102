//! The outputs of a model as an answer: those that were asked for, in that order, as JSON or as bytes after it.

use bytes::Bytes;
use ml_core::Tensor;
use serde_json::json;

use super::inputs::Contract;
use super::regions::{Regions, Window};
use super::request::{InferRequest, WantedOutput};
use super::{Refusal, binary, classify, datatype};
use crate::tensors::{RawTensor, Tensors};

/// One output of an answer.
#[derive(Debug)]
pub(crate) struct Answered<'a> {
    pub name: &'a str,
    pub tensor: RawTensor,
    pub binary: bool,
    /// Where it is instead, when the caller shares memory.
    pub memory: Option<Window>,
}

/// Which outputs a request wants.
#[derive(Debug)]
pub(crate) struct Wanted(Vec<Chosen>);

/// An output that a request wants: its place among the model's, and where it is to be put.
#[derive(Debug)]
struct Chosen {
    place: usize,
    binary: Option<bool>,
    classes: Option<usize>,
    memory: Option<Window>,
}

impl Wanted {
    /// Checks what is asked for, before the model runs.
    ///
    /// # Errors
    /// An output that the model does not have, or that is named twice.
    pub fn read(contract: Contract<'_>, request: &InferRequest) -> Result<Self, Refusal> {
        let infos = &contract.pipeline.offered().outputs;
        if request.outputs.is_empty() {
            let all = 0..infos.len();
            return Ok(Self(all.map(|place| Chosen::new(place, &WantedOutput::default(), None)).collect()));
        }
        let mut wanted: Vec<Chosen> = Vec::with_capacity(request.outputs.len());
        for output in &request.outputs {
            let (name, model) = (&output.name, contract.name);
            let Some(place) = infos.iter().position(|info| info.name == *name) else {
                return Err(Refusal::invalid(format!(
                    "unexpected inference output '{name}' for model '{model}'"
                )));
            };
            if wanted.iter().any(|known| known.place == place) {
                return Err(Refusal::invalid(format!("output '{name}' already exists in request")));
            }
            let memory = output.memory.clone().window()?;
            if memory.is_some() && output.classes.is_some() {
                return Err(Refusal::invalid(
                    "Output can't set both 'shared_memory_region' and 'classification'",
                ));
            }
            wanted.push(Chosen::new(place, output, memory));
        }
        Ok(Self(wanted))
    }

    /// Checks the memory that outputs are wanted in, before the model runs.
    ///
    /// # Errors
    /// Says which region is not there, or which output would not lie in it.
    pub fn check(&self, regions: &Regions) -> Result<(), Refusal> {
        self.0.iter().filter_map(|chosen| chosen.memory.as_ref()).try_for_each(|window| regions.check(window))
    }

    /// Picks the outputs, and makes classes of those that are wanted so.
    ///
    /// # Errors
    /// When an output has no classes.
    pub fn pick<'a>(
        self,
        contract: Contract<'a>,
        binary_by_default: bool,
        outputs: &Tensors,
    ) -> Result<Vec<Answered<'a>>, Refusal> {
        let infos = &contract.pipeline.offered().outputs;
        let picked = self.0.into_iter().filter_map(|wanted| {
            let (info, tensor) = (infos.get(wanted.place)?, outputs.0.get(wanted.place)?);
            let tensor = match wanted.classes {
                Some(classes) => classify::classes(contract, &info.name, tensor, classes),
                None => Ok(tensor.clone()),
            };
            let binary = wanted.binary.unwrap_or(binary_by_default);
            let memory = wanted.memory;
            Some(tensor.map(|tensor| Answered { name: &info.name, tensor, binary, memory }))
        });
        picked.collect()
    }
}

impl Chosen {
    fn new(place: usize, output: &WantedOutput, memory: Option<Window>) -> Self {
        Self { place, binary: output.binary, classes: output.classes, memory }
    }
}

/// An answer in parts: its JSON, and the bytes that follow it.
#[derive(Debug)]
pub(crate) struct Written {
    pub json: Vec<u8>,
    pub tensors: Vec<Bytes>,
    /// Whether any output is binary, also one without bytes.
    pub binary: bool,
}

/// Writes an answer.
///
/// # Errors
/// When an output cannot be said in JSON: half precision, or a text that is not UTF-8.
pub(crate) fn write(contract: Contract<'_>, id: &str, outputs: &[Answered<'_>]) -> Result<Written, Refusal> {
    let elements: usize = outputs
        .iter()
        .filter(|output| !output.binary && output.memory.is_none())
        .map(|output| output.tensor.bytes())
        .sum();
    let mut json = Vec::with_capacity(256 + 3 * elements);
    let mut tensors = Vec::new();
    json.push(b'{');
    if !id.is_empty() {
        json.extend_from_slice(b"\"id\":");
        text(&mut json, id);
        json.push(b',');
    }
    json.extend_from_slice(b"\"model_name\":");
    text(&mut json, contract.name);
    json.extend_from_slice(b",\"model_version\":");
    json.push(b'"');
    whole(&mut json, contract.version);
    json.push(b'"');
    json.extend_from_slice(b",\"outputs\":[");
    for (index, output) in outputs.iter().enumerate() {
        if index > 0 {
            json.push(b',');
        }
        write_output(&mut json, &mut tensors, output)?;
    }
    json.extend_from_slice(b"]}");
    let binary = outputs.iter().any(|output| output.binary && output.memory.is_none());
    Ok(Written { json, tensors, binary })
}

fn write_output(json: &mut Vec<u8>, tensors: &mut Vec<Bytes>, output: &Answered<'_>) -> Result<(), Refusal> {
    let tensor = &output.tensor;
    json.extend_from_slice(b"{\"name\":");
    text(json, output.name);
    json.extend_from_slice(b",\"datatype\":\"");
    json.extend_from_slice(datatype::name(tensor.element).as_bytes());
    json.extend_from_slice(b"\",\"shape\":");
    list(json, &tensor.shape, |json, size| whole(json, *size));
    if let Some(window) = &output.memory {
        let parameters = json!({
            "shared_memory_region": window.region,
            "shared_memory_offset": window.offset,
            "shared_memory_byte_size": window.bytes,
        });
        json.extend_from_slice(b",\"parameters\":");
        json.extend_from_slice(parameters.to_string().as_bytes());
    } else if output.binary {
        let bytes = binary::wire_bytes(tensor);
        json.extend_from_slice(b",\"parameters\":{\"binary_data_size\":");
        whole(json, bytes.len());
        json.push(b'}');
        tensors.push(bytes);
    } else {
        json.extend_from_slice(b",\"data\":");
        data(json, output)?;
    }
    json.push(b'}');
    Ok(())
}

/// Writes the elements, all in one array.
fn data(json: &mut Vec<u8>, output: &Answered<'_>) -> Result<(), Refusal> {
    let (name, element) = (output.name, output.tensor.element);
    let tensor = output.tensor.view().map_err(|error| unwritable(error.reason))?;
    macro_rules! write {
        ($array:ident, $write:expr) => {
            // Raw tensors lie in memory in the order of their indices.
            list(json, $array.as_slice().unwrap_or_default(), $write)
        };
    }
    match &tensor {
        Tensor::F32(array) => write!(array, |json, n| float(json, n.is_finite(), f64::from(*n), n)),
        Tensor::F64(array) => write!(array, |json, n| float(json, n.is_finite(), *n, n)),
        Tensor::I8(array) => write!(array, |json, n| whole(json, *n)),
        Tensor::I16(array) => write!(array, |json, n| whole(json, *n)),
        Tensor::I32(array) => write!(array, |json, n| whole(json, *n)),
        Tensor::I64(array) => write!(array, |json, n| whole(json, *n)),
        Tensor::U8(array) => write!(array, |json, n| whole(json, *n)),
        Tensor::U16(array) => write!(array, |json, n| whole(json, *n)),
        Tensor::U32(array) => write!(array, |json, n| whole(json, *n)),
        Tensor::U64(array) => write!(array, |json, n| whole(json, *n)),
        Tensor::Bool(array) => {
            write!(array, |json, flag| json.extend_from_slice(if *flag { b"true" } else { b"false" }));
        }
        Tensor::String(array) => {
            let texts: Option<Vec<&str>> = array.iter().map(|text| std::str::from_utf8(text).ok()).collect();
            let texts = texts.ok_or_else(|| {
                unwritable(format!(
                    "output '{name}' has a BYTES element that is not UTF-8, which JSON cannot carry; ask for binary data"
                ))
            })?;
            list(json, &texts, |json, element| text(json, element));
        }
        Tensor::F16(_) | Tensor::BF16(_) => {
            return Err(Refusal::invalid(format!(
                "sending {} data via JSON is not supported. Please use the binary data format for output {name}",
                datatype::name(element)
            )));
        }
    }
    Ok(())
}

fn unwritable(reason: String) -> Refusal {
    Refusal(crate::ApiError::Unwritable { reason })
}

fn list<T>(json: &mut Vec<u8>, elements: &[T], write: impl Fn(&mut Vec<u8>, &T)) {
    json.push(b'[');
    for (index, element) in elements.iter().enumerate() {
        if index > 0 {
            json.push(b',');
        }
        write(json, element);
    }
    json.push(b']');
}

fn whole(json: &mut Vec<u8>, number: impl itoa::Integer) {
    json.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// Writes the shortest text that is read as this number again. What JSON has no number for is written as Triton and Python
/// write it, and read it.
fn float(json: &mut Vec<u8>, finite: bool, value: f64, number: &impl serde::Serialize) {
    if finite {
        // A number can always be written to memory.
        drop(serde_json::to_writer(&mut *json, number));
    } else if value.is_nan() {
        json.extend_from_slice(b"NaN");
    } else {
        json.extend_from_slice(if value > 0.0 { b"Infinity" } else { b"-Infinity" });
    }
}

fn text(json: &mut Vec<u8>, text: &str) {
    // A text can always be written to memory.
    drop(serde_json::to_writer(&mut *json, text));
}
