//! Operators of our own, for which ONNX has none: what they are called, and what their nodes must have.
//!
//! A file that has one needs a runtime that knows it: ONNX Runtime as `ml-core` loads it, and no other.

use crate::Node;
use crate::proto::Value;
use crate::shapes::{Shapes, Size};

/// The set that our operators are of.
pub const DOMAIN: &str = "ml.rust";

/// The version of the set.
pub const VERSION: i64 = 1;

/// A linear layer in int8 with a scale for each row, or several that share an input.
///
/// | input | element, shape | is |
/// |---|---|---|
/// | 0 | float, [..., K] | the rows |
/// | 1 | int8, [K, N] | the weights, the columns of all outputs beside each other; rows of outliers count for nothing |
/// | 2 | float, [N] | what each column is multiplied with |
/// | 3 | float, [N] | what is added to it; optional |
/// | 4 | int64, [O] | the columns of the rows that are multiplied in floats; optional |
/// | 5 | float, [O, N] | the weights of these; optional |
///
/// All but the first are constants. `widths` says how many of the columns each output has, `activation` what is done in
/// the end: `none`, or `gelu` with the error function. The outputs are float, [..., width].
pub const INT8_LINEAR: &str = "Int8Linear";

impl Node {
    /// Makes a node of our own operators.
    pub fn own(op_type: &str, inputs: &[&str], outputs: &[&str]) -> Self {
        Self {
            inputs: inputs.iter().map(|&name| name.to_owned()).collect(),
            outputs: outputs.iter().map(|&name| name.to_owned()).collect(),
            name: outputs.first().map_or_else(String::new, |&name| name.to_owned()),
            op_type: op_type.to_owned(),
            domain: DOMAIN.to_owned(),
            ..Self::default()
        }
    }

    /// Returns whether the node is this one of our own operators.
    pub fn is_own(&self, op_type: &str) -> bool {
        self.domain == DOMAIN && self.op_type == op_type
    }
}

/// Returns what is wrong with a node of our own operators.
pub(crate) fn objection(node: &Node) -> Option<String> {
    if node.domain != DOMAIN {
        return None;
    }
    if !node.is_own(INT8_LINEAR) {
        return Some(format!("there is no such operator in {DOMAIN}"));
    }
    let widths = widths(node);
    if (0..3).any(|index| node.input(index).is_none()) || node.inputs.len() > 6 {
        return Some("it takes rows, weights and scales, and at most three more".to_owned());
    }
    if node.input(4).is_some() != node.input(5).is_some() {
        return Some("columns of outliers and their weights go together".to_owned());
    }
    if widths.is_empty() || widths.len() != node.outputs.len() || widths.iter().any(|width| *width < 1) {
        return Some(format!("its widths {widths:?} are not those of {} outputs", node.outputs.len()));
    }
    None
}

/// Returns the shape of each output of a node of our own operators.
pub(crate) fn shapes(shapes: &Shapes, node: &Node) -> Vec<Vec<Size>> {
    let rows = node.input(0).filter(|_| node.is_own(INT8_LINEAR)).and_then(|input| shapes.get(input));
    let Some([leading @ .., _]) = rows else { return Vec::new() };
    let wide = |width: &i64| leading.iter().cloned().chain([Size::Fixed(*width)]).collect();
    widths(node).iter().map(wide).collect()
}

fn widths(node: &Node) -> &[i64] {
    node.attribute("widths").map_or(&[], |widths| &widths.ints)
}

/// The attributes of [`INT8_LINEAR`].
pub(crate) fn int8_linear(node: Node, widths: &[usize], gelu: bool) -> Node {
    let widths = widths.iter().map(|&width| width as i64).collect();
    let activation = if gelu { "gelu" } else { "none" };
    node.with("widths", Value::Ints(widths)).with("activation", Value::Text(activation.to_owned()))
}
