//! Writes a block that was made narrower.

use ndarray::{Array1, Array2, Axis};

use super::{Block, BlockKind, Fitted};
use crate::edit::Rewrite;
use crate::linear::{Linear, matrix};
use crate::{Graph, Model, Tensor};

/// A block that cannot be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("block {sum}: {reason}")]
pub struct PruneError {
    /// The block's sum.
    pub sum: String,
    /// Why not.
    pub reason: String,
}

impl Block {
    /// Returns the last layer's matrix and bias.
    ///
    /// # Errors
    /// When they are not in the graph.
    pub fn weights(&self, graph: &Graph) -> Result<(Array2<f32>, Array1<f32>), PruneError> {
        let read = || Ok((weight(graph, &self.last)?, bias(graph, &self.last)?));
        read().map_err(|reason| self.error(reason))
    }

    fn error(&self, reason: String) -> PruneError {
        PruneError { sum: self.sum.clone(), reason }
    }
}

impl Model {
    /// Writes a block of this model's as it was fitted.
    ///
    /// # Errors
    /// When the block is another model's.
    pub fn prune(&mut self, block: &Block, fitted: &Fitted) -> Result<(), PruneError> {
        let graph = self.graph.as_mut().ok_or_else(|| block.error("the model has no graph".to_owned()))?;
        narrow(graph, block, fitted).map_err(|reason| block.error(reason))
    }
}

fn narrow(graph: &mut Graph, block: &Block, fitted: &Fitted) -> Result<(), String> {
    let mut rewrite = Rewrite::new(graph);
    let kept = &fitted.kept;
    let before = match &block.kind {
        BlockKind::FeedForward { first } => std::slice::from_ref(first),
        BlockKind::Attention { projections, .. } => projections.as_slice(),
    };
    for layer in before {
        let weights = weight(graph, layer)?.select(Axis(1), kept);
        let biases = bias(graph, layer)?.select(Axis(0), kept);
        set(graph, layer, &weights, &biases, &mut rewrite)?;
    }
    set(graph, &block.last, &fitted.weights, &fitted.bias, &mut rewrite)?;
    if let BlockKind::Attention { splits, join, .. } = &block.kind {
        let heads = (kept.len() / block.group) as i64;
        for split in splits {
            resize(graph, *split, |sizes| sizes[2] = heads, &mut rewrite)?;
        }
        let width = kept.len() as i64;
        resize(
            graph,
            *join,
            |sizes| sizes.last_mut().into_iter().for_each(|size| *size = width),
            &mut rewrite,
        )?;
    }
    graph.value_infos.clear();
    rewrite.finish(graph);
    Ok(())
}

fn constant<'g>(graph: &'g Graph, name: &str) -> Result<&'g Tensor, String> {
    let found = graph.initializers.iter().find(|tensor| tensor.name == name);
    found.ok_or_else(|| format!("there is no constant {name}"))
}

fn weight(graph: &Graph, layer: &Linear) -> Result<Array2<f32>, String> {
    matrix(constant(graph, &layer.weight)?)
}

fn bias(graph: &Graph, layer: &Linear) -> Result<Array1<f32>, String> {
    let (_, name) = layer.bias.as_ref().ok_or_else(|| format!("{} has no bias", layer.output))?;
    let floats = constant(graph, name)?.floats().map_err(|error| format!("{name}: {error}"))?;
    floats.into_dimensionality().map_err(|_| format!("{name} is no vector"))
}

/// Lets a layer use new constants; those that nothing uses any more are removed at the end.
fn set(
    graph: &mut Graph,
    layer: &Linear,
    weights: &Array2<f32>,
    biases: &Array1<f32>,
    rewrite: &mut Rewrite,
) -> Result<(), String> {
    let (add, old_bias) = layer.bias.as_ref().ok_or_else(|| format!("{} has no bias", layer.output))?;
    let weights = rewrite.constant(Tensor::of_array(&format!("{}.pruned", layer.weight), weights));
    let biases = rewrite.constant(Tensor::of_array(&format!("{old_bias}.pruned"), biases));
    for (node, old, new) in [(layer.product, &layer.weight, weights), (*add, old_bias, biases)] {
        let node = graph.nodes.get_mut(node).ok_or("it is another model's")?;
        let input = node.inputs.iter_mut().find(|input| *input == old);
        *input.ok_or_else(|| format!("{old} is not where it was"))? = new;
    }
    Ok(())
}

fn resize(
    graph: &mut Graph,
    node: usize,
    change: impl Fn(&mut Vec<i64>),
    rewrite: &mut Rewrite,
) -> Result<(), String> {
    let name =
        graph.nodes.get(node).and_then(|node| node.input(1)).ok_or("it is another model's")?.to_owned();
    let mut sizes: Vec<i64> =
        constant(graph, &name)?.integers().map_err(|error| format!("{name}: {error}"))?.into_iter().collect();
    change(&mut sizes);
    let sizes = rewrite.constant(Tensor::new(&format!("{name}.pruned"), &[sizes.len()], sizes));
    graph.nodes[node].inputs[1] = sizes;
    Ok(())
}
