//! Dynamic int8: weights as integers of one scale for each output channel, inputs quantised while the model runs.
//!
//! This is what ONNX Runtime's documentation calls dynamic quantisation, with the operators of ONNX's standard set, which
//! ONNX Runtime fuses into one (`DynamicQuantizeMatMul`, or `MatMulIntegerToFloat` where several layers share an input).
//! Its scale is that of the largest number in the whole batch, so that **an answer depends on what else is in the batch**:
//! for comparison, and for models that are run one item at a time.

use super::quantize::Quantized;
use super::{Pass, PassError, WEIGHTS_MIN, graph_of, opset_from};
use crate::edit::Rewrite;
use crate::linear::{Linear, matrix};
use crate::proto::Value;
use crate::{DataType, Graph, Model, Node, Tensor};

/// Quantises linear layers, the inputs by the largest number of the batch.
#[derive(Debug, Clone, Copy)]
pub struct Int8Dynamic {
    /// Layers of fewer weights stay in floats.
    pub weights_min: usize,
}

impl Default for Int8Dynamic {
    fn default() -> Self {
        Self { weights_min: WEIGHTS_MIN }
    }
}

impl Pass for Int8Dynamic {
    fn name(&self) -> &'static str {
        "int8-dynamic"
    }

    fn apply(&self, model: &mut Model) -> Result<(), PassError> {
        opset_from(self, model, 11)?;
        let graph = graph_of(self, model)?;
        let layers = graph.linears(self.weights_min);
        if layers.is_empty() {
            return Err(PassError::new(
                self,
                "the graph",
                "it has no MatMul with a constant matrix of floats",
            ));
        }
        let mut rewrite = Rewrite::new(graph);
        let mut inputs: Vec<(String, [String; 3])> = Vec::new();
        for layer in &layers {
            let mut nodes = Vec::new();
            let quantized = match inputs.iter().find(|(name, _)| *name == layer.input) {
                Some((_, quantized)) => quantized.clone(),
                None => {
                    let quantized = ["integers", "scale", "zero"]
                        .map(|part| rewrite.fresh(&format!("{}.{part}", layer.input)));
                    let mut node = Node::new("DynamicQuantizeLinear", &[&layer.input], &quantized[0]);
                    node.outputs.extend_from_slice(&quantized[1..]);
                    nodes.push(node);
                    inputs.push((layer.input.clone(), quantized.clone()));
                    quantized
                }
            };
            let product = product(graph, layer, &quantized, &mut rewrite);
            nodes.extend(
                product.map_err(|reason| PassError::new(self, graph.nodes[layer.product].label(), reason))?,
            );
            rewrite.replace(layer.product, nodes);
        }
        rewrite.finish(graph);
        Ok(())
    }
}

/// The product in integers, and its way back to floats.
fn product(
    graph: &Graph,
    layer: &Linear,
    [integers, scale, zero]: &[String; 3],
    rewrite: &mut Rewrite,
) -> Result<Vec<Node>, String> {
    let name = &graph.nodes[layer.product].outputs[0];
    let Quantized { integers: weights, scales } = Quantized::columns(&matrix_of(graph, &layer.weight)?);
    let weights = rewrite.constant(Tensor::of_array(&format!("{}.int8", layer.weight), &weights));
    let scales = rewrite.constant(Tensor::of_array(&format!("{}.scales", layer.weight), &scales));
    let [sums, floats, both] =
        ["sums", "floats", "scales"].map(|part| rewrite.fresh(&format!("{name}.{part}")));
    Ok(vec![
        Node::new("MatMulInteger", &[integers, &weights, zero], &sums),
        Node::new("Cast", &[&sums], &floats).with("to", Value::Int(DataType::Float.number().into())),
        Node::new("Mul", &[scale, &scales], &both),
        Node::new("Mul", &[&floats, &both], name),
    ])
}

/// Returns a constant matrix by its name.
pub(super) fn matrix_of(graph: &Graph, name: &str) -> Result<ndarray::Array2<f32>, String> {
    let tensor = graph.initializers.iter().find(|tensor| tensor.name == name);
    matrix(tensor.ok_or_else(|| format!("there is no constant {name}"))?)
}
