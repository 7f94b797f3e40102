//! What an attribute holds.

use bytes::Bytes;

use super::{Attribute, Graph, Tensor};

/// The value of an attribute, for making one.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A number.
    Float(f32),
    /// A whole number.
    Int(i64),
    /// Whole numbers.
    Ints(Vec<i64>),
    /// A text.
    Text(String),
    /// A tensor.
    Tensor(Box<Tensor>),
}

impl Attribute {
    /// Makes an attribute.
    pub fn new(name: &str, value: Value) -> Self {
        let mut attribute = Self { name: name.to_owned(), ..Self::default() };
        let kind = match value {
            Value::Float(number) => {
                attribute.f = Some(number);
                1
            }
            Value::Int(number) => {
                attribute.i = Some(number);
                2
            }
            Value::Text(text) => {
                attribute.s = Some(Bytes::from(text));
                3
            }
            Value::Tensor(tensor) => {
                attribute.t = Some(tensor);
                4
            }
            Value::Ints(numbers) => {
                attribute.ints = numbers;
                7
            }
        };
        attribute.kind = Some(kind);
        attribute
    }

    /// Returns the graphs in it.
    pub fn graphs(&self) -> impl Iterator<Item = &Graph> {
        self.g.iter().map(AsRef::as_ref).chain(&self.graphs)
    }

    /// Returns the graphs in it, to be changed.
    pub fn graphs_mut(&mut self) -> impl Iterator<Item = &mut Graph> {
        self.g.iter_mut().map(AsMut::as_mut).chain(&mut self.graphs)
    }

    /// Returns the tensors in it.
    pub fn tensors(&self) -> impl Iterator<Item = &Tensor> {
        self.t.iter().map(AsRef::as_ref).chain(&self.tensors)
    }

    /// Returns the tensors in it, to be changed.
    pub fn tensors_mut(&mut self) -> impl Iterator<Item = &mut Tensor> {
        self.t.iter_mut().map(AsMut::as_mut).chain(&mut self.tensors)
    }
}
