//! ONNX files: what is read is written and read again as the same, and everything that looks at a model returns.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use ml_fuzz::{bytes_of_file, seeds, within};
use ml_onnx::{Graph, Model, Shapes};

/// The least message has two bytes in a file; a tensor, the largest, has some hundred in memory, and a list has room to grow.
const FACTOR: usize = 600;

const FIXED: usize = 64 << 10;

fn look_at(graph: &Graph) {
    let _ = Shapes::of(graph);
    for tensor in &graph.initializers {
        let _ = (tensor.floats(), tensor.integers(), tensor.external(), tensor.sizes());
    }
}

fuzz_target!(
    init: seeds("onnx", ["iris", "house_price", "addition"].map(|name| bytes_of_file(&format!("examples/models/{name}/model.onnx")).1)),
    |data: &[u8]| {
        let bytes = Bytes::copy_from_slice(data);
        let limit = FIXED + FACTOR * data.len();
        let Ok(model) = within(limit, || Model::from_bytes(bytes)) else { return };
        within(limit, || {
            let _ = model.check();
            model.graph.iter().for_each(look_at);
        });
        let written = ml_onnx::fuzzing::encoded(&model).expect("memory takes all bytes");
        assert_eq!(written.len() as u64, model.bytes(), "a model has other bytes than it says");
        let again = Model::from_bytes(written.clone().into()).expect("what is written can be read");
        let again = ml_onnx::fuzzing::encoded(&again).expect("memory takes all bytes");
        assert!(written == again, "a model that is written and read again is another");
    }
);
