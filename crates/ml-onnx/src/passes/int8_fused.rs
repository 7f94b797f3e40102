//! LLM.int8() (Dettmers et al., 2022) in one node a layer: an operator of our own ([`INT8_LINEAR`]) quantises a row, multiplies
//! it, adds outliers and bias, and computes the GELU that follows.
//!
//! The same with ONNX's operators is some ten nodes a layer ([`Int8PerToken`](super::Int8PerToken)), each of which reads and writes
//! all rows. Layers that share an input, such as a query, a key and a value, become one node with several outputs. No row looks
//! at another, so that an answer does not depend on its batch.

use std::collections::HashMap;

use ndarray::{Array1, Array2, Axis, concatenate};

use super::int8_dynamic::matrix_of;
use super::quantize::Quantized;
use super::{Pass, PassError, WEIGHTS_MIN, graph_of};
use crate::edit::{Index, Rewrite};
use crate::gelu::{Gelu, gelu_of};
use crate::linear::Linear;
use crate::operators::{INT8_LINEAR, import, int8_linear};
use crate::{Graph, Model, Node, Tensor};

/// Quantises linear layers, each row of the inputs by its own smallest and largest number, each layer as one node.
#[derive(Debug, Clone, Default)]
pub struct Int8Fused {
    /// The columns that stay in floats, of each layer's input by its name.
    pub outliers: HashMap<String, Vec<usize>>,
}

impl Pass for Int8Fused {
    fn name(&self) -> &'static str {
        "int8-fused"
    }

    fn apply(&self, model: &mut Model) -> Result<(), PassError> {
        let graph = graph_of(self, model)?;
        let groups = groups(graph);
        if groups.is_empty() {
            let reason = "it has no MatMul with a constant matrix of floats";
            return Err(PassError::new(self, "the graph", reason));
        }
        let mut rewrite = Rewrite::new(graph);
        for group in &groups {
            let label = || graph.nodes[group.layers[0].product].label();
            let node = self.node(graph, group, &mut rewrite);
            let node = node.map_err(|reason| PassError::new(self, label(), reason))?;
            // Where the first product stood, the input is there, and so is nothing that needs an output.
            group.replaced().for_each(|at| rewrite.replace(at, Vec::new()));
            rewrite.replace(group.layers[0].product, vec![node]);
        }
        rewrite.finish(graph);
        import(model);
        Ok(())
    }
}

/// Layers that become one node.
struct Group {
    layers: Vec<Linear>,
    /// After the only layer.
    gelu: Option<Gelu>,
}

impl Group {
    /// The nodes that are no more.
    fn replaced(&self) -> impl Iterator<Item = usize> {
        let layers = self.layers.iter().flat_map(|layer| {
            [Some(layer.product), layer.bias.as_ref().map(|(add, _)| *add)].into_iter().flatten()
        });
        layers.chain(self.gelu.iter().flat_map(|gelu| gelu.nodes.iter().copied()))
    }

    fn outputs(&self) -> Vec<&str> {
        match &self.gelu {
            Some(gelu) => vec![&gelu.output],
            None => self.layers.iter().map(|layer| layer.output.as_str()).collect(),
        }
    }
}

fn groups(graph: &Graph) -> Vec<Group> {
    let index = Index::new(graph);
    let mut groups: Vec<Group> = Vec::new();
    for layer in graph.linears(WEIGHTS_MIN) {
        let gelu = gelu_of(&index, &layer.output);
        let same = |group: &&mut Group| {
            gelu.is_none() && group.gelu.is_none() && group.layers[0].input == layer.input
        };
        match groups.iter_mut().find(same) {
            Some(group) => group.layers.push(layer),
            None => groups.push(Group { layers: vec![layer], gelu }),
        }
    }
    groups
}

impl Int8Fused {
    fn node(&self, graph: &Graph, group: &Group, rewrite: &mut Rewrite) -> Result<Node, String> {
        let first = &group.layers[0];
        let none = Vec::new();
        let outliers = self.outliers.get(&first.input).unwrap_or(&none);
        if let Some(column) = outliers.iter().find(|column| **column >= first.width_in) {
            return Err(format!("{} has no column {column}", first.input));
        }
        let mut matrix = beside(group.layers.iter().map(|layer| matrix_of(graph, &layer.weight)))?;
        let in_floats = matrix.select(Axis(0), outliers);
        outliers.iter().for_each(|&row| matrix.row_mut(row).fill(0.0));
        let Quantized { integers, scales } = Quantized::columns(&matrix);
        let weight = &first.weight;
        let mut constant = |tensor| rewrite.constant(tensor);
        let mut inputs = vec![
            first.input.clone(),
            constant(Tensor::of_array(&format!("{weight}.int8"), &integers)),
            constant(Tensor::of_array(&format!("{weight}.scales"), &scales)),
        ];
        if let Some(bias) = bias(graph, group)? {
            inputs.push(constant(Tensor::of_array(&format!("{weight}.bias"), &bias)));
        }
        if !outliers.is_empty() {
            inputs.resize(4, String::new());
            let columns = outliers.iter().map(|&column| column as i64);
            let columns = Tensor::new(&format!("{weight}.outlier_columns"), &[outliers.len()], columns);
            inputs.push(constant(columns));
            inputs.push(constant(Tensor::of_array(&format!("{weight}.outliers"), &in_floats)));
        }
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        let widths: Vec<usize> = group.layers.iter().map(|layer| layer.width_out).collect();
        Ok(int8_linear(Node::own(INT8_LINEAR, &inputs, &group.outputs()), &widths, group.gelu.is_some()))
    }
}

/// The matrices of one input beside each other.
fn beside(matrices: impl Iterator<Item = Result<Array2<f32>, String>>) -> Result<Array2<f32>, String> {
    let matrices = matrices.collect::<Result<Vec<_>, _>>()?;
    let views: Vec<_> = matrices.iter().map(|matrix| matrix.view()).collect();
    // All have as many rows as the input has columns, or the graph is none that could run.
    concatenate(Axis(1), &views).map_err(|error| error.to_string())
}

/// The biases of the layers after each other, zeros where a layer has none; none where none has.
fn bias(graph: &Graph, group: &Group) -> Result<Option<Array1<f32>>, String> {
    if group.layers.iter().all(|layer| layer.bias.is_none()) {
        return Ok(None);
    }
    let mut all = Vec::new();
    for layer in &group.layers {
        let Some((_, name)) = &layer.bias else {
            all.resize(all.len() + layer.width_out, 0.0);
            continue;
        };
        let tensor = graph.initializers.iter().find(|tensor| tensor.name == *name);
        let floats = tensor.ok_or_else(|| format!("there is no constant {name}"))?.floats();
        all.extend(floats.map_err(|error| format!("{name}: {error}"))?);
    }
    Ok(Some(all.into()))
}
