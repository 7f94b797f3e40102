//! The inputs of a request as the model's: each there, each of the type and shape that the model takes, in its order.

use ml_core::{Dimension, TensorInfo};

use super::Refusal;
use super::request::{Input, Sent, count};
use crate::onnx::OnnxPipeline;
use crate::tensors::{Data, RawTensor, Tensors, element_bytes};

/// A model as requests are checked against it.
#[derive(Clone, Copy)]
pub(crate) struct Contract<'a> {
    pub name: &'a str,
    pub version: u64,
    pub pipeline: &'a OnnxPipeline,
}

impl Contract<'_> {
    /// Returns the inputs in the model's order.
    ///
    /// # Errors
    /// Says which input is unknown, missing, or not as the model takes it, in Triton's words.
    pub fn inputs(&self, mut sent: Vec<Input>) -> Result<Tensors, Refusal> {
        let (infos, model) = (&self.pipeline.offered().inputs, self.name);
        if let Some(input) = sent.iter().find(|input| !infos.iter().any(|info| info.name == input.name)) {
            return Err(Refusal::invalid(format!(
                "unexpected inference input '{}' for model '{model}'",
                input.name
            )));
        }
        if sent.len() != infos.len()
            || infos.iter().any(|info| !sent.iter().any(|input| input.name == info.name))
        {
            return Err(self.wrong_number(&sent));
        }
        let tensors = infos.iter().map(|info| {
            let at = sent.iter().position(|input| input.name == info.name).unwrap_or_default();
            self.input(info, sent.swap_remove(at))
        });
        let tensors = Tensors(tensors.collect::<Result<_, Refusal>>()?);
        self.check_rows(&tensors)?;
        Ok(tensors)
    }

    fn wrong_number(&self, sent: &[Input]) -> Refusal {
        let infos = &self.pipeline.offered().inputs;
        let quoted = |names: &[&str]| format!("['{}']", names.join("','"));
        let got: Vec<&str> = sent.iter().map(|input| input.name.as_str()).collect();
        if let Some(twice) = got.iter().enumerate().find(|(index, name)| got[..*index].contains(name)) {
            return Refusal::invalid(format!("input '{}' already exists in request", twice.1));
        }
        let missing: Vec<&str> =
            infos.iter().map(|info| info.name.as_str()).filter(|name| !got.contains(name)).collect();
        Refusal::invalid(format!(
            "expected {} inputs but got {} inputs for model '{}'. Got input(s) {}, but missing required input(s) {}. \
             Please provide all required input(s).",
            infos.len(),
            sent.len(),
            self.name,
            if got.is_empty() { "[]".to_owned() } else { quoted(&got) },
            quoted(&missing),
        ))
    }

    fn input(&self, info: &TensorInfo, sent: Input) -> Result<RawTensor, Refusal> {
        let (name, model) = (&info.name, self.name);
        if !info.takes(sent.element) {
            let (got, wanted) = (super::datatype::name(sent.element), super::datatype::name(info.element));
            return Err(Refusal::invalid(format!(
                "inference input '{name}' data-type is '{got}', but model '{model}' expects '{wanted}'"
            )));
        }
        self.check_shape(info, &sent.shape)?;
        let size = count(&sent.shape).and_then(|count| count.checked_mul(element_bytes(sent.element).max(1)));
        let Some(expected) = size else {
            return Err(Refusal::invalid(format!(
                "shape {:?} of input '{name}' causes total element count to exceed maximum size of {}",
                sent.shape,
                i64::MAX
            )));
        };
        let Sent::Read(data) = sent.data else {
            return Err(Refusal::invalid(format!(
                "unable to find data for input tensor '{name}' for model '{model}' in request."
            )));
        };
        match &data {
            Data::Numbers(bytes) if bytes.len() != expected => Err(Refusal::invalid(format!(
                "input byte size mismatch for input '{name}' for model '{model}'. Expected {expected}, got {}",
                bytes.len()
            ))),
            Data::Texts(texts) if texts.len() < expected => Err(Refusal::invalid(format!(
                "expected {expected} string elements for inference input '{name}' for model '{model}', got {}",
                texts.len()
            ))),
            Data::Texts(texts) if texts.len() > expected => Err(Refusal::invalid(format!(
                "unexpected number of string elements {} for inference input '{name}' for model '{model}', expecting \
                 {expected}",
                texts.len()
            ))),
            _ => Ok(RawTensor { element: sent.element, shape: sent.shape, data }),
        }
    }

    fn check_shape(&self, info: &TensorInfo, sent: &[usize]) -> Result<(), Refusal> {
        let Some(shape) = &info.shape else { return Ok(()) };
        let fits = |(size, dimension): (&usize, &Dimension)| match dimension {
            Dimension::Fixed(fixed) => size == fixed,
            Dimension::Dynamic(_) => true,
        };
        if sent.len() == shape.len() && sent.iter().zip(shape).all(fits) {
            return Ok(());
        }
        let list = |sizes: Vec<String>| format!("[{}]", sizes.join(","));
        let expected = list(super::describe::sizes(info).iter().map(i64::to_string).collect());
        let got = list(sent.iter().map(usize::to_string).collect());
        let note = if self.pipeline.batched() { " NOTE: the first size is the batch's." } else { "" };
        Err(Refusal::invalid(format!(
            "unexpected shape for input '{}' for model '{}'. Expected {expected}, got {got}.{note}",
            info.name, self.name
        )))
    }

    fn check_rows(&self, tensors: &Tensors) -> Result<(), Refusal> {
        if !self.pipeline.batched() {
            return Ok(());
        }
        let (rows, model) = (tensors.rows(), self.name);
        let infos = &self.pipeline.offered().inputs;
        let differs = |tensor: &RawTensor| tensor.shape.first() != Some(&rows);
        if let Some((info, _)) = infos.iter().zip(&*tensors.0).find(|(_, tensor)| differs(tensor)) {
            let name = &info.name;
            return Err(Refusal::invalid(format!(
                "input '{name}' batch size does not match other inputs for '{model}'"
            )));
        }
        let most = self.pipeline.rows_max();
        if rows > most {
            return Err(Refusal::invalid(format!(
                "inference request batch-size must be <= {most} for '{model}'"
            )));
        }
        Ok(())
    }
}
