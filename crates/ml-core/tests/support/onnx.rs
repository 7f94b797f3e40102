//! Writes ONNX files of one node, byte by byte, so that tests need no model files for each type.
//!
//! Field numbers are those of `onnx.proto` (ModelProto, GraphProto, NodeProto, ValueInfoProto).

fn varint(mut value: u64, bytes: &mut Vec<u8>) {
    while value >= 0x80 {
        bytes.push((value as u8) | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

fn number(field: u64, value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    varint(field << 3, &mut bytes);
    varint(value, &mut bytes);
    bytes
}

fn message(field: u64, parts: &[Vec<u8>]) -> Vec<u8> {
    let content = parts.concat();
    let mut bytes = Vec::new();
    varint(field << 3 | 2, &mut bytes);
    varint(content.len() as u64, &mut bytes);
    bytes.extend(content);
    bytes
}

fn text(field: u64, text: &str) -> Vec<u8> {
    message(field, &[text.as_bytes().to_vec()])
}

/// A tensor of one dynamic size, `n`, and the element type of this number in `TensorProto.DataType`.
fn value_info(field: u64, name: &str, element: u64) -> Vec<u8> {
    let dimension = message(1, &[text(2, "n")]);
    let tensor = message(1, &[number(1, element), message(2, &[dimension])]);
    message(field, &[text(1, name), message(2, &[tensor])])
}

/// A model that applies `operator` to `x` and calls the result `y`.
pub fn model(operator: &str, element: u64, opset: u64) -> Vec<u8> {
    let node = message(1, &[text(1, "x"), text(2, "y"), text(4, operator)]);
    let graph =
        message(7, &[node, text(2, "test"), value_info(11, "x", element), value_info(12, "y", element)]);
    [number(1, 8), graph, message(8, &[number(2, opset)])].concat()
}
