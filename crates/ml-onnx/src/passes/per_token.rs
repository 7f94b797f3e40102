//! Mixed int8 with a scale for each token: LLM.int8() (Dettmers et al., 2022), the columns with outliers found beforehand.
//!
//! Each row of an input is divided by the largest of its numbers that are not outliers, held in integers of one fixed scale,
//! multiplied, and stretched again. No row looks at another, so that an answer does not depend on its batch.

use std::collections::HashMap;

use super::mixed::{Outliers, layer_error, quantized_product};
use super::{Pass, PassError, WEIGHTS_MIN, graph_of, opset_from};
use crate::edit::Rewrite;
use crate::proto::Value;
use crate::shapes::Shapes;
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

/// A row of zeros must not be divided by zero.
const LARGEST_MIN: f32 = 1e-10;

impl Pass for Int8PerToken {
    fn name(&self) -> &'static str {
        "int8-per-token"
    }

    fn apply(&self, model: &mut Model) -> Result<(), PassError> {
        opset_from(self, model, 13)?;
        let axes_are_input = model.opset("").unwrap_or(0) >= 18;
        let graph = graph_of(self, model)?;
        let shapes = Shapes::of(graph);
        let mut rewrite = Rewrite::new(graph);
        let scale = rewrite.constant(Tensor::new("per_token.scale", &[], [1.0 / SIDE]));
        let zero = rewrite.constant(Tensor::new("per_token.zero", &[], [ZERO]));
        let mut shared: HashMap<String, (Rows, Outliers)> = HashMap::new();
        for layer in graph.linears(WEIGHTS_MIN) {
            let error = |reason| layer_error(self, graph, &layer, reason);
            let columns = self.outliers.get(&layer.input).map_or(&[][..], Vec::as_slice);
            let mut nodes = Vec::new();
            if !shared.contains_key(&layer.input) {
                let rows = Rows::of(&layer.input, columns, layer.width_in, [&scale, &zero], axes_are_input, &mut rewrite, &mut nodes);
                let rank = shapes.get(&layer.input).map(<[_]>::len);
                let outliers = Outliers::gather(&layer.input, rank, columns, &mut rewrite, &mut nodes).map_err(error)?;
                shared.insert(layer.input.clone(), (rows, outliers));
            }
            let Some((rows, outliers)) = shared.get(&layer.input) else { continue };
            let product = quantized_product(graph, &layer, [&rows.integers, &scale, &zero], columns, &mut rewrite);
            let (product, product_nodes) = product.map_err(error)?;
            nodes.extend(product_nodes);
            let stretched = rewrite.fresh(&format!("{product}.stretched"));
            nodes.push(Node::new("Mul", &[&product, &rows.largest], &stretched));
            outliers.add(graph, &layer, stretched, &mut rewrite, nodes).map_err(error)?;
        }
        rewrite.finish(graph);
        Ok(())
    }
}

/// An input in integers, and the largest number of each row.
struct Rows {
    integers: String,
    largest: String,
}

impl Rows {
    fn of(
        input: &str,
        outliers: &[usize],
        width: usize,
        [scale, zero]: [&str; 2],
        axes_are_input: bool,
        rewrite: &mut Rewrite,
        nodes: &mut Vec<Node>,
    ) -> Self {
        let mut named = |part: &str| rewrite.fresh(&format!("{input}.{part}"));
        let [masked, sizes, most, largest, divided, integers] =
            ["masked", "sizes", "most", "largest", "divided", "integers"].map(&mut named);
        let mut measured = input.to_owned();
        if !outliers.is_empty() {
            let mask = (0..width).map(|at| if outliers.contains(&at) { 0.0_f32 } else { 1.0 });
            let mask = rewrite.constant(Tensor::new(&format!("{input}.mask"), &[width], mask));
            nodes.push(Node::new("Mul", &[input, &mask], &masked));
            measured = masked;
        }
        nodes.push(Node::new("Abs", &[&measured], &sizes));
        nodes.push(if axes_are_input {
            let last = rewrite.constant(Tensor::new("per_token.axes", &[1], [-1_i64]));
            Node::new("ReduceMax", &[&sizes, &last], &most)
        } else {
            Node::new("ReduceMax", &[&sizes], &most).with("axes", Value::Ints(vec![-1]))
        });
        let least = rewrite.constant(Tensor::new("per_token.least", &[], [LARGEST_MIN]));
        nodes.push(Node::new("Max", &[&most, &least], &largest));
        nodes.push(Node::new("Div", &[input, &largest], &divided));
        nodes.push(Node::new("QuantizeLinear", &[&divided, scale, zero], &integers));
        Self { integers, largest }
    }
}
