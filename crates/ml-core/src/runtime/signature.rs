//! What a model takes and gives, and the check of what it is given.

use std::collections::BTreeMap;
use std::fmt;

use super::{ElementType, Tensor};
use crate::ModelError;

/// One size of a tensor's shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dimension {
    /// Always this size.
    Fixed(usize),
    /// Chosen by the caller; the name as the model's author wrote it, empty where there is none.
    Dynamic(String),
}

/// An input or output of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorInfo {
    /// The tensor's name in the graph.
    pub name: String,
    /// The type of its elements. rten keeps 64-bit integers and booleans as `I32`, and takes either.
    pub element: ElementType,
    /// Its sizes; `None` where the model does not say.
    pub shape: Option<Vec<Dimension>>,
}

/// What a model file says about itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Signature {
    /// The tensors that a run takes.
    pub inputs: Vec<TensorInfo>,
    /// The tensors that a run gives.
    pub outputs: Vec<TensorInfo>,
    /// The file's own notes: labels, licence, whatever its author wrote.
    pub metadata: BTreeMap<String, String>,
}

impl Signature {
    pub(super) fn check(&self, inputs: &[(&str, Tensor<'_>)]) -> Result<(), ModelError> {
        for info in &self.inputs {
            let Some((_, tensor)) = inputs.iter().find(|(name, _)| *name == info.name) else {
                return Err(ModelError::new(format!("input {} is missing; {self}", info.name)));
            };
            info.check(tensor)?;
        }
        match inputs.iter().find(|(name, _)| !self.inputs.iter().any(|info| info.name == *name)) {
            Some((name, _)) => Err(ModelError::new(format!("there is no input {name}; {self}"))),
            None => Ok(()),
        }
    }
}

impl TensorInfo {
    /// Returns whether the input takes elements of this type: its own, and what its runtime holds as its own.
    pub fn takes(&self, element: ElementType) -> bool {
        element == self.element || element.is_held_as(self.element)
    }

    fn check(&self, tensor: &Tensor<'_>) -> Result<(), ModelError> {
        let Self { name, element, shape } = self;
        if !self.takes(tensor.element()) {
            return Err(ModelError::new(format!("input {name} is {}, not {element}", tensor.element())));
        }
        let Some(shape) = shape else { return Ok(()) };
        let given = tensor.shape();
        let fits = |(size, dimension): (&usize, &Dimension)| match dimension {
            Dimension::Fixed(fixed) => size == fixed,
            Dimension::Dynamic(_) => true,
        };
        if given.len() != shape.len() || !given.iter().zip(shape).all(fits) {
            return Err(ModelError::new(format!("input {name} has the shape {given:?}, not {self}")));
        }
        Ok(())
    }
}

impl fmt::Display for Dimension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(size) => write!(f, "{size}"),
            Self::Dynamic(name) if name.is_empty() => f.write_str("?"),
            Self::Dynamic(name) => f.write_str(name),
        }
    }
}

impl fmt::Display for TensorInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.element)?;
        let Some(shape) = &self.shape else { return Ok(()) };
        let sizes: Vec<_> = shape.iter().map(ToString::to_string).collect();
        write!(f, "[{}]", sizes.join(", "))
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list =
            |infos: &[TensorInfo]| infos.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        write!(f, "the model takes {} and gives {}", list(&self.inputs), list(&self.outputs))
    }
}
