//! Writes small graphs as ONNX files, byte by byte, so that tests need no model files for each type and size.
//!
//! Field numbers are those of `onnx.proto` (ModelProto, GraphProto, NodeProto, TensorProto, ValueInfoProto).
#![allow(dead_code, reason = "each test file uses its own part")]

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

/// A model that multiplies `x: f32[n, WIDTH]` with one square matrix after another, and calls the result `y`.
///
/// Each matrix has 4 MiB. With `outside`, they are not in the model but in the file of that name: its content is
/// returned too.
pub fn products(matrices: usize, seed: u32, outside: Option<&str>) -> (Vec<u8>, Vec<u8>) {
    let (mut graph, mut stored) = (vec![text(2, "products")], Vec::new());
    for index in 0..matrices {
        let from = if index == 0 { "x".to_owned() } else { format!("x{index}") };
        let into = if index + 1 == matrices { "y".to_owned() } else { format!("x{}", index + 1) };
        let weights = format!("w{index}");
        let data = matrix(seed + index as u32);
        let place = match outside {
            None => message(9, std::slice::from_ref(&data)),
            Some(file) => {
                let offset = stored.len().to_string();
                stored.extend(&data);
                let entry = |key, value: &str| message(13, &[text(1, key), text(2, value)]);
                [entry("location", file), entry("offset", &offset), number(14, 1)].concat()
            }
        };
        let shape = [number(1, WIDTH as u64), number(1, WIDTH as u64)].concat();
        graph.push(message(5, &[shape, number(2, 1), text(8, &weights), place]));
        graph.push(message(1, &[text(1, &from), text(1, &weights), text(2, &into), text(4, "MatMul")]));
    }
    graph.extend([rows(11, "x"), rows(12, "y")]);
    let note = message(14, &[text(1, "seed"), text(2, &seed.to_string())]);
    ([number(1, 8), message(7, &graph), message(8, &[number(2, 17)]), note].concat(), stored)
}

/// The length of a row of [`products`].
pub const WIDTH: usize = 1024;

/// Numbers that look random, are the same every time, and keep a row of ones about as long as it was.
fn matrix(seed: u32) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9) | 1;
    let numbers = (0..WIDTH * WIDTH).flat_map(|_| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (((state % 2001) as f32 - 1000.0) / 18_000.0).to_le_bytes()
    });
    numbers.collect()
}

/// A tensor of rows of [`WIDTH`] numbers.
fn rows(field: u64, name: &str) -> Vec<u8> {
    let shape = message(2, &[message(1, &[text(2, "n")]), message(1, &[number(1, WIDTH as u64)])]);
    let tensor = message(1, &[number(1, 1), shape]);
    message(field, &[text(1, name), message(2, &[tensor])])
}
