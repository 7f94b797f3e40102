//! Configurations of models, `config.pbtxt` and its JSON: what is read is written and read again as the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ml_fuzz::{seeds, within};
use ml_serve::fuzzing as readers;

/// A message of the text takes four bytes, and is read as a tree, as a message of fields by name, and as the message that it is.
const FACTOR: usize = 2048;

const FIXED: usize = 1 << 20;

const TEXT: &str = r#"
name: "m" # A comment [ with a bracket
platform: 'onnxruntime_onnx'
max_batch_size: 8
input [ { name: "x [" data_type: TYPE_FP32, dims: [ 3, -1 ] reshape { shape: [] } }, { name: 'y' dims: 2 } ]
output: [ { name: "z" label_filename: "labels.txt" } ]
version_policy { specific { versions: [ 1, 3 ] } }
dynamic_batching < preferred_batch_size: 4; max_queue_delay_microseconds: 100 >
instance_group [ { kind: KIND_CPU count: 2 } ]
parameters: { key: "a" value: { string_value: "\x41\101\n" } }
sequence_batching { max_sequence_idle_microseconds: 5000000
  control_input [ { name: "START" control [ { kind: CONTROL_SEQUENCE_START fp32_false_true: [ 0, 1 ] } ] } ]
  state [ { input_name: "i" output_name: "o" data_type: TYPE_FP32 dims: [ -1 ] initial_state { data_type: TYPE_FP32 dims: 1 zero_data: true name: "s" } } ] }
optimization { priority: PRIORITY_MAX } response_cache { enable: true }
"#;

const JSON: &str = r#"{"name":"m","max_batch_size":"8","input":[{"name":"x","dims":["3",-1],"data_type":"TYPE_FP32"}],"parameters":{"a":{"string_value":"b"}},"version_policy":{"latest":{"num_versions":1}},"unknown":{}}"#;

fuzz_target!(
    init: {
        // The protocol's own description is read once.
        readers::config_of_text("");
        let nested = ["input{".repeat(500), "[a/inference.ModelConfig]{".repeat(500), "[".repeat(500)];
        let texts = [TEXT, JSON, "name: \"a\"\n"].map(str::to_owned).into_iter().chain(nested);
        seeds("config", texts.map(String::into_bytes));
    },
    |data: &[u8]| {
        let Ok(text) = std::str::from_utf8(data) else { return };
        let limit = FIXED + FACTOR * data.len();
        let of_text = within(limit, || readers::config_of_text(text));
        let of_json = within(limit, || readers::config_of_json(text));
        for written in [of_text, of_json].into_iter().flatten() {
            let again = readers::config_of_json(&written).expect("what is written can be read");
            assert_eq!(written, again, "a configuration that is written and read again is another");
        }
    }
);
