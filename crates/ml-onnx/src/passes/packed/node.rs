//! One node: whether it treats each token alone.

use super::{Packer, UNPACK};
use crate::Node;
use crate::proto::Attribute;
use crate::shapes::{BROADCAST, ELEMENTWISE};

impl Packer<'_> {
    /// Takes a node over, packed where that can be.
    pub(super) fn node(&mut self, node: &Node) -> Result<(), String> {
        match self.packed(node) {
            Some((inputs, attributes)) => {
                let mut packed = Node { inputs, attributes, ..node.clone() };
                // A vector of sizes is the same, however its value is held.
                if !node.is("Shape") {
                    let name = &node.outputs[0];
                    let output = if self.is_output(name) { format!("{name}.packed") } else { name.clone() };
                    self.forms.packed.insert(name.clone(), output.clone());
                    packed.outputs[0] = output;
                }
                self.nodes.push(packed);
            }
            None => {
                let inputs = node.inputs.iter().map(|name| self.padded(name));
                let inputs = inputs.collect::<Result<_, _>>()?;
                if node.graphs().next().is_some() {
                    self.leave_inner(node)?;
                }
                self.nodes.push(Node { inputs, ..node.clone() });
            }
        }
        Ok(())
    }

    /// Graphs inside of a node take values by their names, which must then be there.
    fn leave_inner(&self, node: &Node) -> Result<(), String> {
        match crate::edit::taken(node).iter().find(|name| self.forms.packed.contains_key(**name)) {
            Some(name) => Err(format!("a graph inside of it takes {name}")),
            None => Ok(()),
        }
    }

    /// Returns inputs and attributes of a node that treats each token alone, packed; none of any other node.
    fn packed(&mut self, node: &Node) -> Option<(Vec<String>, Vec<Attribute>)> {
        let one_output =
            node.outputs.iter().skip(1).all(String::is_empty) && !node.outputs.first()?.is_empty();
        let op = node.op_type.as_str();
        let packs = |index: usize| self.forms.packed.contains_key(node.inputs.get(index)?).then_some(());
        let rank = |index| Some(self.shapes.get(node.input(index)?)?.len());
        let inputs = match op {
            _ if !one_output => None,
            "Shape" => {
                packs(0).filter(|()| rank(0) == Some(2))?;
                Some(vec![UNPACK.to_owned()])
            }
            "Gather" if node.int("axis", 0) == 0 && self.is_constant(node.input(0)?) => {
                packs(1)?;
                Some(vec![node.inputs[0].clone(), self.forms.packed.get(&node.inputs[1])?.clone()])
            }
            "MatMul" => self.product(node),
            _ if ELEMENTWISE.contains(&op) => {
                packs(0)?;
                let last = rank(0)? as i64 - 1;
                let axis = node.int("axis", -1);
                let alone = match op {
                    "LayerNormalization" | "Softmax" => last >= 2 && (axis == -1 || axis == last),
                    "QuantizeLinear" | "DequantizeLinear" => rank(1) == Some(0),
                    _ => true,
                };
                let constant = node.inputs[1..].iter().all(|name| name.is_empty() || self.is_constant(name));
                let first = self.forms.packed.get(&node.inputs[0]).filter(|_| alone && constant)?.clone();
                Some([first].into_iter().chain(node.inputs[1..].iter().cloned()).collect())
            }
            _ if BROADCAST.contains(&op) => self.stretched(node),
            _ => None,
        }?;
        let mut attributes = node.attributes.clone();
        // Counted from the end, the last axis is the same of a value that has one size fewer.
        for axis in attributes.iter_mut().filter(|attribute| attribute.name == "axis" && op != "Gather") {
            axis.i = Some(-1);
        }
        Some((inputs, attributes))
    }

    /// A product with a constant matrix is worth packing for, also where its input is padded.
    fn product(&mut self, node: &Node) -> Option<Vec<String>> {
        let (input, matrix) = (node.input(0)?, node.input(1)?);
        if !self.is_constant(matrix) || self.shapes.get(matrix)?.len() != 2 {
            return None;
        }
        let packed = match self.forms.packed.get(input) {
            Some(packed) => packed.clone(),
            None if self.begins(input).is_some_and(|begins| begins.each_text && begins.rest.len() == 1) => {
                self.pack(input)?
            }
            None => return None,
        };
        Some(vec![packed, matrix.to_owned()])
    }

    /// Inputs are packed, or the same at each token, or at each token of this place.
    fn stretched(&mut self, node: &Node) -> Option<Vec<String>> {
        let rank = self.shapes.get(&node.outputs[0])?.len();
        if !node.inputs.iter().any(|name| self.forms.packed.contains_key(name)) {
            return None;
        }
        let fits = |name: &String| {
            let Some(shape) = self.shapes.get(name) else { return false };
            if self.forms.packed.contains_key(name) {
                return shape.len() == rank;
            }
            let at_places = self.begins(name).is_some_and(|begins| !begins.each_text) && shape.len() == rank;
            at_places || self.is_constant(name) && shape.len() + 2 <= rank
        };
        if !node.inputs.iter().all(fits) {
            return None;
        }
        let inputs: Vec<_> = node.inputs.clone();
        let packed = inputs.into_iter().map(|name| match self.forms.packed.get(&name) {
            Some(packed) => Some(packed.clone()),
            None if self.is_constant(&name) && self.begins(&name).is_none() => Some(name),
            None => self.pack(&name),
        });
        packed.collect()
    }
}
