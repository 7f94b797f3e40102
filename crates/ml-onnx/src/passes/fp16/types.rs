//! Whether a value is a float.

use std::collections::HashMap;

use crate::proto::{DataType, ValueInfo, same_domain};
use crate::{Graph, Node};

/// What matters of a value's type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Float,
    Other,
}

impl Kind {
    pub(super) fn of(element: Option<DataType>) -> Self {
        if element == Some(DataType::Float) { Self::Float } else { Self::Other }
    }
}

/// Operators whose outputs are of the type of their first input.
const SAME: [&str; 75] = [
    "Abs",
    "Add",
    "AveragePool",
    "BatchNormalization",
    "Ceil",
    "Clip",
    "Concat",
    "Conv",
    "ConvTranspose",
    "Cos",
    "CumSum",
    "DepthToSpace",
    "Div",
    "Dropout",
    "Einsum",
    "Elu",
    "Erf",
    "Exp",
    "Expand",
    "FastGelu",
    "Flatten",
    "Floor",
    "Gather",
    "GatherElements",
    "GatherND",
    "Gelu",
    "Gemm",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "GRU",
    "HardSigmoid",
    "HardSwish",
    "Identity",
    "InstanceNormalization",
    "LayerNormalization",
    "LeakyRelu",
    "Log",
    "LogSoftmax",
    "LSTM",
    "MatMul",
    "Max",
    "MaxPool",
    "Mean",
    "Min",
    "Mul",
    "Neg",
    "Pad",
    "Pow",
    "PRelu",
    "Reciprocal",
    "ReduceL2",
    "ReduceMax",
    "ReduceMean",
    "ReduceMin",
    "ReduceProd",
    "ReduceSum",
    "ReduceSumSquare",
    "Relu",
    "Reshape",
    "Resize",
    "Round",
    "Sigmoid",
    "Sign",
    "Sin",
    "Slice",
    "Softmax",
    "Softplus",
    "SpaceToDepth",
    "Split",
    "Sqrt",
    "Squeeze",
    "Sub",
    "Sum",
    "Tanh",
    "Tile",
];

const SAME_TOO: [&str; 4] = ["Transpose", "Trilu", "Unsqueeze", "Upsample"];

/// Operators whose outputs are never floats.
const OTHER: [&str; 19] = [
    "And",
    "ArgMax",
    "ArgMin",
    "Equal",
    "Greater",
    "GreaterOrEqual",
    "IsInf",
    "IsNaN",
    "Less",
    "LessOrEqual",
    "MatMulInteger",
    "NonMaxSuppression",
    "NonZero",
    "Not",
    "Or",
    "QuantizeLinear",
    "Shape",
    "Size",
    "Xor",
];

/// Returns the kind of a node's outputs; none where it cannot be told.
pub(super) fn kind_of_output(node: &Node, kinds: &HashMap<String, Kind>, graph: &Graph) -> Option<Kind> {
    let input = |index| kinds.get(node.input(index)?).copied();
    let op = node.op_type.as_str();
    let element = |number: i64| Kind::of(i32::try_from(number).ok().and_then(DataType::of));
    let known = match op {
        _ if !same_domain(&node.domain, "") && node.domain != "com.microsoft" => None,
        _ if SAME.contains(&op) || SAME_TOO.contains(&op) => input(0),
        _ if OTHER.contains(&op) => Some(Kind::Other),
        "Cast" => Some(element(node.int("to", 0))),
        "Where" => input(1),
        "DequantizeLinear" => input(1),
        "Constant" => Some(Kind::of(
            node.attribute("value").and_then(|value| value.t.as_deref()).and_then(|t| t.element()),
        )),
        "ConstantOfShape" => {
            let value = node.attribute("value").and_then(|value| value.t.as_deref());
            Some(value.map_or(Kind::Float, |value| Kind::of(value.element())))
        }
        "Range" => input(0),
        _ => None,
    };
    let told = || {
        let infos = graph.value_infos.iter().chain(&graph.outputs);
        let info: &ValueInfo = infos.into_iter().find(|info| node.outputs.first() == Some(&info.name))?;
        info.element().map(|element| Kind::of(Some(element)))
    };
    known.or_else(told)
}
