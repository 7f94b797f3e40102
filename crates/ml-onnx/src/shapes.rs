//! Shape inference as far as the passes need it: sizes that are fixed, and sizes that are the caller's, by their names.
//!
//! Rules are those of the operators' specification. What is not known here has no shape, which is never wrong.

mod rules;

pub(crate) use rules::{BROADCAST, ELEMENTWISE};

use std::collections::HashMap;

use crate::proto::Dim;
use crate::{Graph, Node, operators};

/// One size of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Size {
    /// Always this.
    Fixed(i64),
    /// What an input's size of this name is.
    Named(String),
    /// Something else; two of these need not be equal.
    Unknown,
}

/// The shapes of the values of a graph.
#[derive(Debug, Clone, Default)]
pub struct Shapes {
    shapes: HashMap<String, Vec<Size>>,
    /// Integer vectors whose elements are known: shapes, and what is made of them.
    vectors: HashMap<String, Vec<Size>>,
}

/// A longer vector of integers is no shape.
const RANK_MAX: usize = 64;

impl Size {
    /// Returns whether both are surely equal.
    pub fn equals(&self, other: &Self) -> bool {
        *self != Self::Unknown && self == other
    }
}

impl From<&Dim> for Size {
    fn from(dim: &Dim) -> Self {
        match (&dim.value, &dim.param) {
            (Some(size), _) => Self::Fixed(*size),
            (None, Some(name)) if !name.is_empty() => Self::Named(name.clone()),
            _ => Self::Unknown,
        }
    }
}

impl Shapes {
    /// Infers the shapes of a graph's values.
    pub fn of(graph: &Graph) -> Self {
        let mut shapes = Self::default();
        for info in graph.value_infos.iter().chain(&graph.inputs) {
            if let Some(dims) = info.dims() {
                shapes.set(&info.name, dims.iter().map(Size::from).collect());
            }
        }
        for tensor in &graph.initializers {
            shapes.set(&tensor.name, tensor.dims.iter().map(|&size| Size::Fixed(size)).collect());
            if tensor.dims.len() > 1 || tensor.count().is_ok_and(|count| count > RANK_MAX) {
                continue;
            }
            if let Ok(integers) = tensor.integers() {
                let sizes = integers.iter().map(|&size| Size::Fixed(size)).collect();
                shapes.vectors.insert(tensor.name.clone(), sizes);
            }
        }
        for node in &graph.nodes {
            shapes.infer(node);
        }
        shapes
    }

    /// Returns the shape of a value; none where it is not known.
    pub fn get(&self, name: &str) -> Option<&[Size]> {
        self.shapes.get(name).map(Vec::as_slice)
    }

    fn set(&mut self, name: &str, shape: Vec<Size>) {
        self.shapes.insert(name.to_owned(), shape);
    }

    fn vector(&self, name: Option<&str>) -> Option<&[Size]> {
        self.vectors.get(name?).map(Vec::as_slice)
    }

    fn infer(&mut self, node: &Node) {
        let Some(output) = node.outputs.first().cloned() else { return };
        if node.domain == operators::DOMAIN {
            let shapes = operators::shapes(self, node);
            node.outputs.iter().zip(shapes).for_each(|(output, shape)| self.set(output, shape));
            return;
        }
        if let Some(vector) = rules::vector(self, node) {
            self.vectors.insert(output.clone(), vector);
        }
        if let Some(shape) = rules::shape(self, node) {
            // What the file says of a value may be less than what follows.
            self.set(&output, shape);
        }
        if node.is("DynamicQuantizeLinear") {
            node.outputs.iter().skip(1).for_each(|scalar| self.set(scalar, Vec::new()));
        }
    }
}
