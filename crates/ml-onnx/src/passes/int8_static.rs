//! Static int8, and mixed int8 with static scales: inputs are quantised by a range that calibration has found.
//!
//! The form is that of ONNX Runtime's `quantize_static` (QDQ: `QuantizeLinear`, `DequantizeLinear`, `MatMul`), which ONNX Runtime
//! fuses into one integer product (`MatMulIntegerToFloat`) and other runtimes know as well. Columns with outliers stay
//! in floats, as in LLM.int8() (Dettmers et al., 2022), but are found beforehand: their rows of the integer matrix are zero, so
//! that it does not matter what becomes of them there, and a small product in floats is added. No scale depends
//! on the batch, so that neither does an answer.

use std::collections::HashMap;

use super::mixed::{Outliers, layer_error, quantized_product};
use super::quantize::unsigned;
use super::{Pass, PassError, WEIGHTS_MIN, graph_of, opset_from};
use crate::calibrate::Range;
use crate::edit::Rewrite;
use crate::shapes::Shapes;
use crate::{Model, Node, Tensor};

/// Quantises linear layers, the inputs by ranges found beforehand.
#[derive(Debug, Clone, Default)]
pub struct Int8Static {
    /// The range of each layer's input, by the input's name.
    pub ranges: HashMap<String, Range>,
}

impl Pass for Int8Static {
    fn name(&self) -> &'static str {
        "int8-static"
    }

    fn apply(&self, model: &mut Model) -> Result<(), PassError> {
        opset_from(self, model, 13)?;
        let graph = graph_of(self, model)?;
        let shapes = Shapes::of(graph);
        let mut rewrite = Rewrite::new(graph);
        let mut shared = HashMap::new();
        for layer in graph.linears(WEIGHTS_MIN) {
            let error = |reason| layer_error(self, graph, &layer, reason);
            let range = self.ranges.get(&layer.input).ok_or_else(|| error(format!("no range is known of {}", layer.input)))?;
            let mut nodes = Vec::new();
            let (input, outliers): &(Integers, Outliers) = match shared.get(&layer.input) {
                Some(shared) => shared,
                None => {
                    let integers = Integers::of(&layer.input, range, &mut rewrite, &mut nodes);
                    let rank = shapes.get(&layer.input).map(<[_]>::len);
                    let outliers = Outliers::gather(&layer.input, rank, &range.outliers, &mut rewrite, &mut nodes);
                    shared.entry(layer.input.clone()).or_insert((integers, outliers.map_err(error)?))
                }
            };
            let [integers, scale, zero] = [&input.integers, &input.scale, &input.zero];
            let product = quantized_product(graph, &layer, [integers, scale, zero], &range.outliers, &mut rewrite);
            let (product, product_nodes) = product.map_err(error)?;
            nodes.extend(product_nodes);
            outliers.add(graph, &layer, product, &mut rewrite, nodes).map_err(error)?;
        }
        rewrite.finish(graph);
        Ok(())
    }
}

/// An input in integers: the names of the value and of its constants.
struct Integers {
    integers: String,
    scale: String,
    zero: String,
}

impl Integers {
    fn of(input: &str, range: &Range, rewrite: &mut Rewrite, nodes: &mut Vec<Node>) -> Self {
        let (scale, zero) = unsigned(range.low, range.high);
        let scale = rewrite.constant(Tensor::new(&format!("{input}.scale"), &[], [scale]));
        let zero = rewrite.constant(Tensor::new(&format!("{input}.zero"), &[], [zero]));
        let integers = rewrite.fresh(&format!("{input}.integers"));
        nodes.push(Node::new("QuantizeLinear", &[input, &scale, &zero], &integers));
        Self { integers, scale, zero }
    }
}
