//! Nodes: how they are made and asked.

use super::{Attribute, Graph, Node, Value, same_domain};

impl Node {
    /// Makes a node of ONNX's own operators with one output, and named after it.
    pub fn new(op_type: &str, inputs: &[&str], output: &str) -> Self {
        Self {
            inputs: inputs.iter().map(|&name| name.to_owned()).collect(),
            outputs: vec![output.to_owned()],
            name: output.to_owned(),
            op_type: op_type.to_owned(),
            ..Self::default()
        }
    }

    /// Adds an attribute.
    #[must_use]
    pub fn with(mut self, name: &str, value: Value) -> Self {
        self.attributes.push(Attribute::new(name, value));
        self
    }

    /// Returns whether the node is this one of ONNX's own operators.
    pub fn is(&self, op_type: &str) -> bool {
        self.is_of("", op_type)
    }

    /// Returns whether the node is this one of the operators of a domain.
    pub fn is_of(&self, domain: &str, op_type: &str) -> bool {
        self.op_type == op_type && same_domain(&self.domain, domain)
    }

    /// Returns the input at a place; none where it is left out.
    pub fn input(&self, index: usize) -> Option<&str> {
        self.inputs.get(index).map(String::as_str).filter(|name| !name.is_empty())
    }

    /// Returns the output, of a node that has just one.
    pub fn only_output(&self) -> Option<&str> {
        match self.outputs.as_slice() {
            [output] if !output.is_empty() => Some(output),
            _ => None,
        }
    }

    /// Returns an attribute.
    pub fn attribute(&self, name: &str) -> Option<&Attribute> {
        self.attributes.iter().find(|attribute| attribute.name == name)
    }

    /// Returns an attribute that is a whole number, or what holds without it.
    pub fn int(&self, name: &str, otherwise: i64) -> i64 {
        self.attribute(name).and_then(|attribute| attribute.i).unwrap_or(otherwise)
    }

    /// Returns an attribute that is a number, or what holds without it.
    pub fn float(&self, name: &str, otherwise: f32) -> f32 {
        self.attribute(name).and_then(|attribute| attribute.f).unwrap_or(otherwise)
    }

    /// Returns the graphs inside the node.
    pub fn graphs(&self) -> impl Iterator<Item = &Graph> {
        self.attributes.iter().flat_map(Attribute::graphs)
    }

    /// Returns how messages call the node: by its name, or by its first output.
    pub fn label(&self) -> String {
        let name = if self.name.is_empty() { self.outputs.first() } else { Some(&self.name) };
        format!("{} ({})", name.map_or("a node without outputs", String::as_str), self.op_type)
    }
}
