//! GELU with the error function, as exporters spell it out: `x · (1 + erf(x / √2)) / 2`.

use crate::edit::Index;
use crate::{DataType, Node};

/// Nodes that are a GELU together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Gelu {
    /// The indices of the nodes.
    pub(crate) nodes: Vec<usize>,
    /// What comes out.
    pub(crate) output: String,
}

/// Returns the GELU of a value, if nothing else is done with the value.
pub(crate) fn gelu_of(index: &Index<'_>, value: &str) -> Option<Gelu> {
    if let Some((at, node)) = index.only_consumer(value) {
        let exact = node.attribute("approximate").is_none_or(|name| name.s.as_deref() == Some(b"none"));
        // ONNX Runtime's own operator of that name is older than ONNX's, and always exact.
        let is_gelu = (node.is("Gelu") && exact) || node.is_of("com.microsoft", "Gelu");
        let output = node.only_output().filter(|_| is_gelu)?.to_owned();
        return Some(Gelu { nodes: vec![at], output });
    }
    let consumers: Vec<_> = index.consumers(value).collect();
    let [one, other] = consumers.as_slice() else { return None };
    spelled_out(index, value, *one, *other).or_else(|| spelled_out(index, value, *other, *one))
}

type Place<'a> = (usize, &'a Node);

/// `inner` is the node that goes to the error function, `outer` the one that multiplies: with what comes from there, or with a half
/// before that.
fn spelled_out(index: &Index<'_>, value: &str, inner: Place<'_>, outer: Place<'_>) -> Option<Gelu> {
    let root = std::f32::consts::SQRT_2;
    let scaled = by_constant(index, inner.1, value, "Div", root)
        .or_else(|| by_constant(index, inner.1, value, "Mul", 1.0 / root))?;
    let (erf_at, erf) = index.only_consumer(scaled).filter(|(_, node)| node.is("Erf"))?;
    let (shift_at, shift) = index.only_consumer(erf.only_output()?)?;
    let shifted = by_constant(index, shift, erf.only_output()?, "Add", 1.0)?;
    let mut nodes = vec![inner.0, erf_at, shift_at, outer.0];
    let (last_at, last) = index.only_consumer(outer.1.only_output()?)?;
    nodes.push(last_at);
    let output = if let Some(halved) = by_constant(index, outer.1, value, "Mul", 0.5) {
        let takes_both = last.is("Mul") && others(last, halved) == Some(shifted);
        (takes_both && index.only_consumer(shifted).is_some()).then(|| last.only_output())??
    } else {
        let multiplies = outer.1.is("Mul") && others(outer.1, value) == Some(shifted);
        index.only_consumer(shifted).filter(|_| multiplies)?;
        by_constant(index, last, outer.1.only_output()?, "Mul", 0.5)?
    };
    Some(Gelu { nodes, output: output.to_owned() })
}

/// Returns what comes out of a node that does this to a value with a number.
fn by_constant<'n>(
    index: &Index<'_>,
    node: &'n Node,
    value: &str,
    op_type: &str,
    number: f32,
) -> Option<&'n str> {
    let operand = others(node, value).filter(|_| node.is(op_type))?;
    if op_type == "Div" && node.input(0) != Some(value) {
        return None;
    }
    let tensor = index.constant(operand).filter(|tensor| tensor.element() == Some(DataType::Float))?;
    let floats = tensor.floats().ok().filter(|floats| floats.len() == 1)?;
    let near = floats.iter().all(|float| (float - number).abs() <= 1e-6 * number);
    node.only_output().filter(|_| near)
}

/// Returns the other input of a node that takes a value and something else.
fn others<'n>(node: &'n Node, value: &str) -> Option<&'n str> {
    match (node.input(0)?, node.input(1)?) {
        _ if node.inputs.len() != 2 => None,
        (one, other) if one == value && other != value => Some(other),
        (one, other) if other == value && one != value => Some(one),
        _ => None,
    }
}
