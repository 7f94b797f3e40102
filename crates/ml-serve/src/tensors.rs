//! Tensors as they travel: numbers as the bytes that they are in memory, texts as byte strings.
//!
//! Little-endian machines only, as ONNX Runtime and the wire formats are: a request's bytes are then a model's input, and
//! its output the bytes of an answer, with no copy between.

mod elements;
mod join;

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use ml_core::{ElementType, ModelError, Output, Tensor};
use ndarray::{ArrayViewD, IxDyn};

pub(crate) use self::elements::{as_bytes, element_bytes, with_numbers};
pub(crate) use self::join::{join, joined};

#[cfg(target_endian = "big")]
compile_error!("tensors are taken from the wire as they are, which needs a little-endian machine");

/// One tensor.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct RawTensor {
    pub element: ElementType,
    pub shape: Vec<usize>,
    pub data: Data,
}

/// The elements of a tensor, row by row.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Data {
    /// As they lie in memory.
    Numbers(Bytes),
    Texts(Arc<[Vec<u8>]>),
}

/// The tensors of one item, in the order of the model's inputs or outputs. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Tensors(pub Arc<[RawTensor]>);

impl Tensors {
    /// Returns how many rows the tensors have, where the first size of each is the batch.
    pub fn rows(&self) -> usize {
        self.0.first().and_then(|tensor| tensor.shape.first()).copied().unwrap_or(1)
    }

    /// Returns the size of the elements in bytes.
    pub fn bytes(&self) -> usize {
        self.0.iter().map(RawTensor::bytes).sum()
    }

    /// Returns some of the rows, without copying numbers.
    pub fn slice(&self, rows: Range<usize>) -> Self {
        Self(self.0.iter().map(|tensor| tensor.slice(rows.clone())).collect())
    }
}

impl RawTensor {
    /// Makes a tensor of numbers from bytes that others hold too.
    pub fn numbers(element: ElementType, shape: Vec<usize>, bytes: Bytes) -> Self {
        Self { element, shape, data: Data::Numbers(bytes) }
    }

    pub fn texts(shape: Vec<usize>, texts: impl Into<Arc<[Vec<u8>]>>) -> Self {
        Self { element: ElementType::String, shape, data: Data::Texts(texts.into()) }
    }

    /// Keeps an output where its runtime has it; only texts are copied.
    ///
    /// # Errors
    /// When the output is of a type that no tensor has.
    pub fn of_output(output: Output) -> Result<Self, ModelError> {
        let tensor = output.tensor()?;
        let (element, shape) = (tensor.element(), tensor.shape().to_vec());
        if let Tensor::String(texts) = tensor {
            return Ok(Self::texts(shape, texts.into_owned().into_iter().collect::<Vec<_>>()));
        }
        if output.bytes().is_some() {
            drop(tensor);
            return Ok(Self::numbers(element, shape, Bytes::from_owner(KeptOutput(output))));
        }
        let bytes = with_numbers!(&tensor, array => {
            let elements: Vec<_> = array.iter().copied().collect();
            Some(Bytes::from_owner(elements::Elements(elements)))
        }, else None);
        let bytes = bytes.ok_or_else(|| ModelError::new("the output has neither numbers nor texts"))?;
        Ok(Self::numbers(element, shape, bytes))
    }

    /// Returns the same with memory of its own, for what is kept longer than its batch.
    pub fn owned(&self) -> Self {
        let data = match &self.data {
            Data::Numbers(bytes) => Data::Numbers(Bytes::copy_from_slice(bytes)),
            Data::Texts(texts) => Data::Texts(Arc::clone(texts)),
        };
        Self { element: self.element, shape: self.shape.clone(), data }
    }

    /// Returns a tensor of one row with that row so many times.
    pub fn repeated(&self, rows: usize) -> Self {
        let mut shape = self.shape.clone();
        if let Some(first) = shape.first_mut() {
            *first = rows;
        }
        let data = match &self.data {
            Data::Numbers(bytes) => Data::Numbers(bytes.repeat(rows).into()),
            Data::Texts(texts) => {
                Data::Texts(texts.iter().cycle().take(texts.len() * rows).cloned().collect())
            }
        };
        Self { element: self.element, shape, data }
    }

    /// Returns the size of the elements in bytes.
    pub fn bytes(&self) -> usize {
        match &self.data {
            Data::Numbers(bytes) => bytes.len(),
            Data::Texts(texts) => texts.iter().map(|text| size_of::<Vec<u8>>() + text.len()).sum(),
        }
    }

    /// Views the tensor as a model takes it; copies numbers only where they lie at odd addresses.
    ///
    /// # Errors
    /// When the data do not fill the shape, or hold what the type has not.
    pub fn view(&self) -> Result<Tensor<'_>, ModelError> {
        match &self.data {
            Data::Numbers(bytes) => elements::view(self.element, &self.shape, bytes),
            Data::Texts(texts) => {
                Ok(Tensor::String(ArrayViewD::from_shape(IxDyn(&self.shape), texts)?.into()))
            }
        }
    }

    /// Returns some rows: parts of the first axis.
    fn slice(&self, rows: Range<usize>) -> Self {
        let row: usize = self.shape.iter().skip(1).product();
        let mut shape = self.shape.clone();
        if let Some(first) = shape.first_mut() {
            *first = rows.len();
        }
        let data = match &self.data {
            Data::Numbers(bytes) => {
                let row = row * element_bytes(self.element);
                Data::Numbers(bytes.slice(rows.start * row..rows.end * row))
            }
            Data::Texts(texts) => Data::Texts(texts[rows.start * row..rows.end * row].into()),
        };
        Self { element: self.element, shape, data }
    }
}

/// An output that bytes of an answer are parts of.
struct KeptOutput(Output);

impl AsRef<[u8]> for KeptOutput {
    fn as_ref(&self) -> &[u8] {
        self.0.bytes().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
