//! Static int8, and mixed int8 with static scales: inputs are quantised by a range that calibration has found.
//!
//! The form is that of ONNX Runtime's `quantize_static` (QDQ: `QuantizeLinear`, `DequantizeLinear`, `MatMul`), which ONNX Runtime
//! fuses into one integer product (`MatMulIntegerToFloat`) and other runtimes know as well. Columns with outliers stay
//! in floats, as in LLM.int8() (Dettmers et al., 2022), but are found beforehand: their rows of the integer matrix are zero, so
//! that it does not matter what becomes of them there, and a small product in floats is added. No scale depends
//! on the batch, so that neither does an answer.

use std::collections::HashMap;

use super::mixed::{Integers, Mixed};
use super::quantize::unsigned;
use super::{Pass, PassError, graph_of, opset_from};
use crate::calibrate::Range;
use crate::edit::Rewrite;
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
        let range =
            |input: &str| self.ranges.get(input).ok_or_else(|| format!("no range is known of {input}"));
        let mut mixed = Mixed::new(graph);
        mixed.layers(
            self,
            |layer, _, rewrite, nodes| {
                let (low, high) = range(&layer.input).map_or((0.0, 0.0), |range| (range.low, range.high));
                integers(&layer.input, unsigned(low, high), rewrite, nodes)
            },
            |input| range(input).map(|range| range.outliers.clone()),
        )?;
        let rewrite = mixed.rewrite;
        rewrite.finish(graph);
        Ok(())
    }
}

fn integers(input: &str, (scale, zero): (f32, u8), rewrite: &mut Rewrite, nodes: &mut Vec<Node>) -> Integers {
    let scale = rewrite.constant(Tensor::new(&format!("{input}.scale"), &[], [scale]));
    let zero = rewrite.constant(Tensor::new(&format!("{input}.zero"), &[], [zero]));
    let value = rewrite.fresh(&format!("{input}.integers"));
    nodes.push(Node::new("QuantizeLinear", &[input, &scale, &zero], &value));
    Integers { value, scale, zero, stretch: None }
}
