//! Requests of the Open Inference Protocol with tensors as bytes: what is read is written and read again as the same, and what a
//! model takes fills its shapes.
#![no_main]

use std::sync::LazyLock;

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use ml_fuzz::{bytes_of_file, choices, seeds, within};
use ml_serve::fuzzing::{Model, Read};
use serde_json::json;

/// A text without characters is four bytes on the wire and kept in 24, in a list with room to grow that is then copied.
const FACTOR: usize = 48;

const FIXED: usize = 64 << 10;

/// One of a single input of four floats a row, and one of several inputs of whole numbers.
static MODELS: LazyLock<[Model; 2]> = LazyLock::new(|| {
    ["examples/models/iris/model.onnx", "tests/data/tiny-sentiment/model.onnx"]
        .map(|path| Model::load(&bytes_of_file(path).0).expect("a model"))
});

fn written(inputs: &[Read]) -> (Vec<u8>, Vec<u8>) {
    let bytes = |input: &Read| input.bytes.clone().unwrap_or_default();
    let described: Vec<_> = inputs
        .iter()
        .map(|input| {
            let size = json!({ "binary_data_size": bytes(input).len() });
            json!({ "name": input.name, "datatype": input.datatype, "shape": input.shape, "parameters": size })
        })
        .collect();
    let json = json!({ "inputs": described }).to_string().into_bytes();
    (json, inputs.iter().flat_map(bytes).collect())
}

/// The JSON's length takes two bytes, so that it may be longer or shorter than the body.
fn seed(model: u8, inputs: &[(&str, &'static str, &[usize], &'static [u8])]) -> Vec<u8> {
    let read = |(name, datatype, shape, bytes): &(&str, &'static str, &[usize], &'static [u8])| Read {
        name: (*name).to_owned(),
        datatype,
        shape: shape.to_vec(),
        bytes: Some(Bytes::from_static(bytes)),
    };
    let (json, tensors) = written(&inputs.iter().map(read).collect::<Vec<_>>());
    let length = u16::try_from(json.len()).expect("a short seed").to_le_bytes();
    [&[model, 0][..], &length, &json, &tensors].concat()
}

fuzz_target!(
    init: {
        LazyLock::force(&MODELS);
        let (zeros, ids) = (&[0; 16], &[1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0]);
        seeds("infer_binary", [
            seed(0, &[("features", "FP32", &[1, 4], zeros)]),
            seed(1, &[("input_ids", "INT64", &[1, 2], ids), ("attention_mask", "INT64", &[1, 2], ids), ("token_type_ids", "INT64", &[1, 2], zeros)]),
            seed(1, &[("input_ids", "INT32", &[1, 4], zeros), ("attention_mask", "INT32", &[1, 4], zeros)]),
            seed(0, &[("texts", "BYTES", &[2], &[1, 0, 0, 0, b'a', 0, 0, 0, 0]), ("truths", "BOOL", &[2], &[0, 1])]),
            [&[0, 1, 0, 0][..], &[0; 32]].concat(),
            [&[0, 2, 0, 0][..], br#"{"inputs":[{"name":"features","datatype":"FP32","shape":[1,4],"data":[1,2,3,4]}]}"#].concat(),
        ]);
    },
    |data: &[u8]| {
        let Some(([model, form], rest)) = choices(data) else { return };
        let Some((length, body)) = rest.split_first_chunk::<2>() else { return };
        let header = match form % 3 {
            0 => Some(u16::from_le_bytes(*length).to_string()),
            1 => Some("0".to_owned()),
            _ => None,
        };
        let (model, body) = (&MODELS[model % 2], Bytes::copy_from_slice(body));
        let limit = FIXED + FACTOR * data.len();
        let read = within(limit, || model.infer(header.as_deref().map(str::as_bytes), &body));
        let Some((sent, taken)) = read else { return };
        if sent.iter().all(|input| input.bytes.is_some()) {
            let (json, tensors) = written(&sent);
            let header = json.len().to_string();
            let again = model.infer(Some(header.as_bytes()), &[json, tensors].concat().into());
            let (sent_again, taken_again) = again.expect("what is written can be read");
            assert!(sent == sent_again && taken == taken_again, "a request that is written and read again is another");
        }
    }
);
