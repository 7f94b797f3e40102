//! Operators of our own, for which ONNX has none: what they are called, and what their nodes must have.
//!
//! A file that has one needs a runtime that knows it: ONNX Runtime as `ml-core` loads it, and no other.

use crate::proto::{OperatorSet, Value};
use crate::shapes::{Shapes, Size};
use crate::{Model, Node};

/// The set that our operators are of.
pub const DOMAIN: &str = "ml.rust";

/// The version of the set.
pub const VERSION: i64 = 1;

/// A linear layer in floats: `activation(x · weights + bias)`.
///
/// | input | element, shape | is |
/// |---|---|---|
/// | 0 | float, `[..., K]` | the rows |
/// | 1 | float, `[K, N]` | the weights |
/// | 2 | float, `[N]` | what is added to each column; optional |
///
/// All but the first are constants. `activation` says what is done in the end: `none`, or `gelu` with the error function. Where
/// `transposed` is 1, the weights are `[N, K]`. The output is float, `[..., N]`.
pub const LINEAR: &str = "Linear";

/// A linear layer in int8 with a scale for each row, or several that share an input.
///
/// | input | element, shape | is |
/// |---|---|---|
/// | 0 | float, `[..., K]` | the rows |
/// | 1 | int8, `[K, N]` | the weights, the columns of all outputs beside each other; rows of outliers count for nothing |
/// | 2 | float, `[N]` | what each column is multiplied with |
/// | 3 | float, `[N]` | what is added to it; optional |
/// | 4 | int64, `[O]` | the columns of the rows that are multiplied in floats; optional |
/// | 5 | float, `[O, N]` | the weights of these; optional |
///
/// All but the first are constants. `widths` says how many of the columns each output has, `activation` what is done in
/// the end: `none`, or `gelu` with the error function. The outputs are float, `[..., width]`.
pub const INT8_LINEAR: &str = "Int8Linear";

/// Attention of packed texts, each over its own tokens: `softmax(scale · q · kᵀ) · v` for each head.
///
/// | input | element, shape | is |
/// |---|---|---|
/// | 0, 1, 2 | float, `[tokens, width]` | queries, keys and values, one text after the other |
/// | 3 | int64, `[tokens]` | the place of each token in its text: a text begins at each zero |
///
/// `heads` parts of a row have one width; `scale` is a float. The output is float, `[tokens, width]`.
pub const PACKED_ATTENTION: &str = "PackedAttention";

/// Rows of a table of floats that lies in a file beside the model, read when they are asked for: a `Gather` whose table is no
/// part of the model.
///
/// | input | element, shape | is |
/// |---|---|---|
/// | 0 | int64, any | which rows; negative ones count from the end |
///
/// The table has `rows` rows of `width` floats, the lowest byte first, from the byte `offset` of `file` on, which is relative to the
/// folder of the model. The output is float, with the width as one more size.
pub const STORED_ROWS: &str = "StoredRows";

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
        self.is_of(DOMAIN, op_type)
    }
}

/// Returns what is wrong with a node of our own operators.
pub(crate) fn objection(node: &Node) -> Option<String> {
    if node.domain != DOMAIN {
        return None;
    }
    if node.is_own(PACKED_ATTENTION) {
        let whole = node.inputs.len() == 4 && (0..4).all(|index| node.input(index).is_some());
        let fits = whole && node.only_output().is_some() && node.int("heads", 0) > 0;
        return (!fits).then(|| "it takes queries, keys, values and positions, and some heads".to_owned());
    }
    if node.is_own(STORED_ROWS) {
        let sizes = ["rows", "width"].iter().all(|size| node.int(size, 0) > 0) && node.int("offset", 0) >= 0;
        let has_file = node.attribute("file").is_some();
        let whole = node.inputs.len() == 1 && node.input(0).is_some() && node.only_output().is_some();
        return (!(sizes && has_file && whole)).then(|| "it takes rows of a table in a file".to_owned());
    }
    if node.is_own(LINEAR) {
        let whole = node.input(0).is_some() && node.input(1).is_some() && node.inputs.len() <= 3;
        let fits = whole && node.only_output().is_some();
        return (!fits).then(|| "it takes rows, weights and at most a bias".to_owned());
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
    if node.is_own(PACKED_ATTENTION) {
        return node.input(0).and_then(|input| shapes.get(input)).map(<[Size]>::to_vec).into_iter().collect();
    }
    if node.is_own(STORED_ROWS) {
        let wide = |rows: &[Size]| rows.iter().cloned().chain([Size::Fixed(node.int("width", 0))]).collect();
        return node.input(0).and_then(|rows| shapes.get(rows)).map(wide).into_iter().collect();
    }
    if node.is_own(LINEAR) {
        let weights = node.input(1).and_then(|weights| shapes.get(weights));
        let transposed = node.int("transposed", 0) != 0;
        let columns = weights.and_then(|it| if transposed { it.first() } else { it.last() });
        let rows = node.input(0).and_then(|rows| shapes.get(rows));
        let (Some(columns), Some([leading @ .., _])) = (columns, rows) else { return Vec::new() };
        return vec![leading.iter().chain([columns]).cloned().collect()];
    }
    let rows = node.input(0).filter(|_| node.is_own(INT8_LINEAR)).and_then(|input| shapes.get(input));
    let Some([leading @ .., _]) = rows else { return Vec::new() };
    let wide = |width: &i64| leading.iter().cloned().chain([Size::Fixed(*width)]).collect();
    widths(node).iter().map(wide).collect()
}

fn widths(node: &Node) -> &[i64] {
    node.attribute("widths").map_or(&[], |widths| &widths.ints)
}

/// Lets a model have nodes of our own operators.
pub(crate) fn import(model: &mut Model) {
    if model.opset(DOMAIN).is_none() {
        let (domain, version) = (Some(DOMAIN.to_owned()), Some(VERSION));
        model.opset_imports.push(OperatorSet { domain, version, ..OperatorSet::default() });
    }
}

/// The attributes of [`INT8_LINEAR`].
pub(crate) fn int8_linear(node: Node, widths: &[usize], gelu: bool) -> Node {
    let widths = widths.iter().map(|&width| width as i64).collect();
    let activation = if gelu { "gelu" } else { "none" };
    node.with("widths", Value::Ints(widths)).with("activation", Value::Text(activation.to_owned()))
}
