//! The rule of each operator.

use super::{Shapes, Size};
use crate::Node;

/// Operators whose output has the shape of their first input.
pub(crate) const ELEMENTWISE: [&str; 30] = [
    "Abs",
    "Cast",
    "Ceil",
    "Clip",
    "DequantizeLinear",
    "Dropout",
    "DynamicQuantizeLinear",
    "Elu",
    "Erf",
    "Exp",
    "FastGelu",
    "Floor",
    "Gelu",
    "HardSigmoid",
    "Identity",
    "LayerNormalization",
    "LeakyRelu",
    "Log",
    "Neg",
    "Not",
    "QuantizeLinear",
    "Reciprocal",
    "Relu",
    "Round",
    "Sigmoid",
    "Sign",
    "Softmax",
    "Softplus",
    "Sqrt",
    "Tanh",
];

/// Operators that stretch their inputs to a common shape.
pub(crate) const BROADCAST: [&str; 15] = [
    "Add",
    "And",
    "BiasGelu",
    "Div",
    "Equal",
    "Greater",
    "GreaterOrEqual",
    "Less",
    "LessOrEqual",
    "Max",
    "Min",
    "Mul",
    "Or",
    "Pow",
    "Sub",
];

/// Returns the shape of a node's first output.
pub(super) fn shape(shapes: &Shapes, node: &Node) -> Option<Vec<Size>> {
    let input = |index| shapes.get(node.input(index)?);
    let op = node.op_type.as_str();
    match op {
        _ if ELEMENTWISE.contains(&op) => input(0).map(<[Size]>::to_vec),
        _ if BROADCAST.contains(&op) || op == "Where" => {
            (0..node.inputs.len()).try_fold(Vec::new(), |shape, index| broadcast(&shape, input(index)?))
        }
        "MatMul" | "MatMulInteger" => product(input(0)?, input(1)?),
        "Gemm" => {
            let side = |index, transposed, axis: usize| {
                let matrix = input(index).filter(|shape| shape.len() == 2)?;
                Some(matrix[if node.int(transposed, 0) == 0 { axis } else { 1 - axis }].clone())
            };
            Some(vec![side(0, "transA", 0)?, side(1, "transB", 1)?])
        }
        "Gather" => {
            let (data, ids) = (input(0)?, input(1)?);
            let axis = axis(node.int("axis", 0), data.len())?;
            Some([&data[..axis], ids, &data[axis + 1..]].concat())
        }
        "Reshape" => reshape(input(0)?, shapes.vector(node.input(1))?, node.int("allowzero", 0) != 0),
        "Transpose" => {
            let data = input(0)?;
            let reversed = (0..data.len() as i64).rev().collect();
            let order = node.attribute("perm").map_or(reversed, |perm| perm.ints.clone());
            order.iter().map(|&at| data.get(usize::try_from(at).ok()?).cloned()).collect()
        }
        "Unsqueeze" | "Squeeze" => squeeze(input(0)?, &axes(shapes, node)?, op == "Unsqueeze"),
        "Shape" => Some(vec![Size::Fixed(input(0)?.len() as i64)]),
        "Slice" => slice(shapes, node, input(0)?),
        "Concat" => concat(node, &(0..node.inputs.len()).map(input).collect::<Option<Vec<_>>>()?),
        "ReduceSum" | "ReduceMean" | "ReduceMax" | "ReduceMin" | "ReduceL2" => {
            reduce(input(0)?, &axes(shapes, node)?, node.int("keepdims", 1) != 0)
        }
        _ => None,
    }
}

/// Returns the elements of a node's output, where that is a vector of sizes.
pub(super) fn vector(shapes: &Shapes, node: &Node) -> Option<Vec<Size>> {
    match node.op_type.as_str() {
        "Shape" => {
            let shape = shapes.get(node.input(0)?)?;
            let (start, end) = (node.int("start", 0), node.int("end", shape.len() as i64));
            Some(shape.get(place(start, shape.len())..place(end, shape.len()))?.to_vec())
        }
        "Slice" => {
            let vector = shapes.vector(node.input(0))?;
            let (start, end) = (number(shapes, node, 1)?, number(shapes, node, 2)?);
            Some(vector.get(place(start, vector.len())..place(end, vector.len()))?.to_vec())
        }
        "Gather" => {
            let vector = shapes.vector(node.input(0))?;
            let pick = |size: &Size| match size {
                Size::Fixed(at) => vector.get(axis(*at, vector.len())?).cloned(),
                _ => None,
            };
            shapes.vector(node.input(1))?.iter().map(pick).collect()
        }
        "Unsqueeze" | "Squeeze" | "Cast" | "Identity" => shapes.vector(node.input(0)).map(<[Size]>::to_vec),
        "Concat" => {
            let parts = (0..node.inputs.len()).map(|index| shapes.vector(node.input(index)));
            Some(parts.collect::<Option<Vec<_>>>()?.concat())
        }
        _ => None,
    }
}

fn number(shapes: &Shapes, node: &Node, index: usize) -> Option<i64> {
    match shapes.vector(node.input(index))? {
        [Size::Fixed(number)] => Some(*number),
        _ => None,
    }
}

/// Returns the axis that a number means, from the end where it is negative.
fn axis(number: i64, rank: usize) -> Option<usize> {
    let from_start = if number < 0 { number.checked_add(rank as i64)? } else { number };
    usize::try_from(from_start).ok().filter(|axis| *axis < rank)
}

/// Returns where a slice begins or ends.
fn place(number: i64, length: usize) -> usize {
    let length = length as i64;
    let from_start = if number < 0 { number.saturating_add(length) } else { number };
    from_start.clamp(0, length) as usize
}

/// Axes are an attribute before version 13 (18 of the reductions) of the operators, and an input after it.
fn axes(shapes: &Shapes, node: &Node) -> Option<Vec<i64>> {
    if let Some(axes) = node.attribute("axes") {
        return Some(axes.ints.clone());
    }
    let fixed = |size: &Size| match size {
        Size::Fixed(axis) => Some(*axis),
        _ => None,
    };
    shapes.vector(node.input(1))?.iter().map(fixed).collect()
}

fn broadcast(one: &[Size], other: &[Size]) -> Option<Vec<Size>> {
    let rank = one.len().max(other.len());
    let from_end = |shape: &[Size], back: usize| {
        shape.len().checked_sub(back).map_or(Size::Fixed(1), |at| shape[at].clone())
    };
    let stretched = |back| match (from_end(one, back), from_end(other, back)) {
        (Size::Fixed(1), size) | (size, Size::Fixed(1)) => size,
        (one, other) if one.equals(&other) => one,
        // One of them is 1 or both are the same: where one is fixed, the result is that.
        (Size::Fixed(size), _) | (_, Size::Fixed(size)) => Size::Fixed(size),
        _ => Size::Unknown,
    };
    Some((1..=rank).rev().map(stretched).collect())
}

fn product(one: &[Size], other: &[Size]) -> Option<Vec<Size>> {
    let ([leading @ .., rows, _], [other_leading @ .., _, columns]) = (one, other) else { return None };
    let mut shape = broadcast(leading, other_leading)?;
    shape.extend([rows.clone(), columns.clone()]);
    Some(shape)
}

fn reshape(data: &[Size], wanted: &[Size], zero_is_zero: bool) -> Option<Vec<Size>> {
    let size = |(at, wanted): (usize, &Size)| match wanted {
        Size::Fixed(0) if !zero_is_zero => data.get(at).cloned(),
        Size::Fixed(-1) => Some(Size::Unknown),
        other => Some(other.clone()),
    };
    wanted.iter().enumerate().map(size).collect()
}

fn squeeze(data: &[Size], axes: &[i64], adds: bool) -> Option<Vec<Size>> {
    let rank = if adds { data.len() + axes.len() } else { data.len() };
    let at: Vec<usize> = axes.iter().map(|&number| axis(number, rank)).collect::<Option<_>>()?;
    let mut rest = data.iter();
    let shape = (0..rank).filter_map(|index| match (adds, at.contains(&index)) {
        (true, true) => Some(Size::Fixed(1)),
        (true, false) => rest.next().cloned(),
        (false, true) => None,
        (false, false) => Some(data[index].clone()),
    });
    Some(shape.collect())
}

fn reduce(data: &[Size], axes: &[i64], keeps: bool) -> Option<Vec<Size>> {
    let at: Vec<usize> = axes.iter().map(|&number| axis(number, data.len())).collect::<Option<_>>()?;
    let size = |(index, size): (usize, &Size)| match (at.contains(&index), keeps) {
        (false, _) => Some(size.clone()),
        (true, true) => Some(Size::Fixed(1)),
        (true, false) => None,
    };
    Some(data.iter().enumerate().filter_map(size).collect())
}

/// A slice from zero to a length that is itself a size, of step one; all other slices have a length that is not known.
fn slice(shapes: &Shapes, node: &Node, data: &[Size]) -> Option<Vec<Size>> {
    let mut shape = data.to_vec();
    let (starts, ends) = (shapes.vector(node.input(1))?, shapes.vector(node.input(2))?);
    let all: Vec<Size> = (0..starts.len() as i64).map(Size::Fixed).collect();
    let axes = if node.inputs.len() > 3 { shapes.vector(node.input(3))? } else { &all };
    for (at, number) in axes.iter().enumerate() {
        let Size::Fixed(number) = number else { return None };
        let size = match (starts.get(at)?, ends.get(at)?) {
            (Size::Fixed(0), Size::Named(name)) if node.inputs.len() < 5 => Size::Named(name.clone()),
            _ => Size::Unknown,
        };
        shape[axis(*number, data.len())?] = size;
    }
    Some(shape)
}

fn concat(node: &Node, parts: &[&[Size]]) -> Option<Vec<Size>> {
    let mut shape = parts.first()?.to_vec();
    let along = axis(node.int("axis", 0), shape.len())?;
    let length = parts.iter().try_fold(0, |all: i64, part| match part.get(along)? {
        Size::Fixed(length) => all.checked_add(*length),
        _ => None,
    });
    shape[along] = length.map_or(Size::Unknown, Size::Fixed);
    Some(shape)
}
