//! Mixed int8 with a scale for each token: LLM.int8() (Dettmers et al., 2022), the columns with outliers found beforehand.
//!
//! Each row of an input is divided by the largest of its numbers that are not outliers, held in integers of one fixed scale,
//! multiplied, and stretched again. No row looks at another, so that an answer does not depend on its batch.

use std::collections::HashMap;

use super::mixed::{Integers, Mixed};
use super::{Pass, PassError, graph_of, opset_from};
use crate::edit::Rewrite;
use crate::proto::Value;
use crate::{Model, Node, Tensor};

/// Quantises linear layers, each row of the inputs by its own largest number.
#[derive(Debug, Clone, Default)]
pub struct Int8PerToken {
    /// The columns that stay in floats, of each layer's input by its name.
    pub outliers: HashMap<String, Vec<usize>>,
}

/// The middle of unsigned integers, and what is left of them on each side.
const ZERO: u8 = 128;
const SIDE: f32 = 127.0;

impl Pass for Int8PerToken {
    fn name(&self) -> &'static str {
        "int8-per-token"
    }

    fn apply(&self, model: &mut Model) -> Result<(), PassError> {
        opset_from(self, model, 13)?;
        let axes_are_input = model.opset("").unwrap_or(0) >= 18;
        let graph = graph_of(self, model)?;
        let mut mixed = Mixed::new(graph);
        let scale = mixed.rewrite.constant(Tensor::new("per_token.scale", &[], [1.0 / SIDE]));
        let zero = mixed.rewrite.constant(Tensor::new("per_token.zero", &[], [ZERO]));
        mixed.layers(
            self,
            |layer, outliers, rewrite, nodes| {
                let input = &layer.input;
                let measured = without(input, outliers, layer.width_in, rewrite, nodes);
                let largest = largest(input, &measured, axes_are_input, rewrite, nodes);
                let [divided, value] =
                    ["divided", "integers"].map(|part| rewrite.fresh(&format!("{input}.{part}")));
                // A row of zeros becomes no numbers, then some integers, and zeros again when it is stretched by zero.
                nodes.push(Node::new("Div", &[input, &largest], &divided));
                nodes.push(Node::new("QuantizeLinear", &[&divided, &scale, &zero], &value));
                Integers { value, scale: scale.clone(), zero: zero.clone(), stretch: Some(largest) }
            },
            |input| Ok(self.outliers.get(input).cloned().unwrap_or_default()),
        )?;
        let rewrite = mixed.rewrite;
        rewrite.finish(graph);
        Ok(())
    }
}

/// An input with zeros in place of its outliers.
fn without(
    input: &str,
    outliers: &[usize],
    width: usize,
    rewrite: &mut Rewrite,
    nodes: &mut Vec<Node>,
) -> String {
    if outliers.is_empty() {
        return input.to_owned();
    }
    let mask = (0..width).map(|at| if outliers.contains(&at) { 0.0_f32 } else { 1.0 });
    let mask = rewrite.constant(Tensor::new(&format!("{input}.mask"), &[width], mask));
    let masked = rewrite.fresh(&format!("{input}.masked"));
    nodes.push(Node::new("Mul", &[input, &mask], &masked));
    masked
}

/// The largest size of the numbers in each row.
fn largest(
    input: &str,
    measured: &str,
    axes_are_input: bool,
    rewrite: &mut Rewrite,
    nodes: &mut Vec<Node>,
) -> String {
    let [sizes, largest] = ["sizes", "largest"].map(|part| rewrite.fresh(&format!("{input}.{part}")));
    nodes.push(Node::new("Abs", &[measured], &sizes));
    nodes.push(if axes_are_input {
        let last = rewrite.constant(Tensor::new("per_token.axes", &[1], [-1_i64]));
        Node::new("ReduceMax", &[&sizes, &last], &largest)
    } else {
        Node::new("ReduceMax", &[&sizes], &largest).with("axes", Value::Ints(vec![-1]))
    });
    largest
}
