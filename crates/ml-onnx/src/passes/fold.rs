//! Constant folding, as far as the other passes need it: exporters hide weights behind a few kinds of nodes.
//!
//! ONNX Runtime folds everything when it loads a model; what is folded here is what stands between a matrix and its
//! product, so that the passes after this one see the matrix.

use ndarray::Array2;

use super::{Pass, PassError, graph_of};
use crate::edit::{Index, Rewrite};
use crate::linear::matrix;
use crate::{DataType, Graph, Model, Node, Tensor};

/// Replaces `Constant` nodes, `Identity` of constants, and `Transpose` of constant matrices, by constants.
#[derive(Debug, Clone, Copy, Default)]
pub struct Fold;

impl Pass for Fold {
    fn name(&self) -> &'static str {
        "fold"
    }

    fn apply(&self, model: &mut Model) -> Result<(), PassError> {
        let graph = graph_of(self, model)?;
        // What is folded may make the next node's input a constant.
        while fold(graph).map_err(|(node, reason)| PassError::new(self, node, reason))? {}
        Ok(())
    }
}

fn fold(graph: &mut Graph) -> Result<bool, (String, String)> {
    let index = Index::new(graph);
    let mut folded = Vec::new();
    for (at, node) in graph.nodes.iter().enumerate() {
        let constant = folded_node(&index, node).map_err(|reason| (node.label(), reason))?;
        // A graph's output must be made by a node where a runtime does not take constants for outputs.
        let is_output =
            node.outputs.iter().any(|name| graph.outputs.iter().any(|output| output.name == *name));
        if let Some(tensor) = constant.filter(|_| !is_output) {
            folded.push((at, tensor));
        }
    }
    if folded.is_empty() {
        return Ok(false);
    }
    let mut rewrite = Rewrite::new(graph);
    for (at, tensor) in folded {
        rewrite.replace(at, Vec::new());
        graph.initializers.push(tensor);
    }
    rewrite.finish(graph);
    Ok(true)
}

fn folded_node(index: &Index<'_>, node: &Node) -> Result<Option<Tensor>, String> {
    let Some(output) = node.only_output() else { return Ok(None) };
    let named = |tensor: &Tensor| Tensor { name: output.to_owned(), ..tensor.clone() };
    if node.is("Constant") {
        return Ok(node.attribute("value").and_then(|value| value.t.as_deref()).map(named));
    }
    let Some(constant) = node.input(0).and_then(|input| index.constant(input)) else { return Ok(None) };
    if node.is("Identity") {
        return Ok(Some(named(constant)));
    }
    let is_matrix = constant.element() == Some(DataType::Float) && constant.dims.len() == 2;
    let swaps = node.attribute("perm").is_none_or(|perm| perm.ints == [1, 0]);
    if node.is("Transpose") && is_matrix && swaps {
        let transposed: Array2<f32> = matrix(constant)?.reversed_axes();
        return Ok(Some(Tensor::of_array(output, &transposed)));
    }
    Ok(None)
}
