//! The model configuration extension: what Triton's configuration would say of a model that was found as it is.
//!
//! Everything is written out, defaults too: load generators read members without asking whether they are there.

use ml_core::TensorInfo;
use serde_json::{Value, json};

use super::datatype;
use super::describe::size;
use super::inputs::Contract;

impl Contract<'_> {
    /// Returns the configuration as JSON, by the names of its protocol buffer.
    pub fn config(self) -> Value {
        let (pipeline, signature) = (self.pipeline, self.pipeline.signature());
        let file = pipeline.model().path().file_name().map(|name| name.to_string_lossy().into_owned());
        let mut config = json!({
            "name": self.name,
            "platform": self.platform(),
            "backend": self.backend(),
            "runtime": "",
            "version_policy": { "latest": { "num_versions": 1 } },
            "max_batch_size": self.batch_size_max(),
            "input": signature.inputs.iter().map(|info| self.input_config(info)).collect::<Vec<_>>(),
            "output": signature.outputs.iter().map(|info| self.output_config(info)).collect::<Vec<_>>(),
            "batch_input": [],
            "batch_output": [],
            "instance_group": [{
                "name": self.name, "kind": "KIND_CPU", "count": 1, "gpus": [], "secondary_devices": [],
                "profile": [], "passive": false, "host_policy": "",
            }],
            "default_model_filename": file,
            "cc_model_filenames": {},
            "metric_tags": {},
            "parameters": {},
            "model_warmup": [],
            "model_transaction_policy": { "decoupled": false },
            "response_cache": { "enable": false },
        });
        if let (true, Value::Object(config)) = (pipeline.batched(), &mut config) {
            config.insert(
                "dynamic_batching".to_owned(),
                json!({
                    "preferred_batch_size": [],
                    "max_queue_delay_microseconds": 0,
                    "preserve_ordering": false,
                    "priority_levels": 2,
                    "default_priority_level": 1,
                    "priority_queue_policy": {},
                }),
            );
        }
        config
    }

    fn input_config(self, info: &TensorInfo) -> Value {
        json!({
            "name": info.name,
            "data_type": datatype::config_name(info.element),
            "format": "FORMAT_NONE",
            "dims": self.dims(info),
            "is_shape_tensor": false,
            "allow_ragged_batch": false,
            "optional": false,
            "is_non_linear_format_io": false,
        })
    }

    fn output_config(self, info: &TensorInfo) -> Value {
        json!({
            "name": info.name,
            "data_type": datatype::config_name(info.element),
            "dims": self.dims(info),
            "label_filename": "",
            "is_shape_tensor": false,
            "is_non_linear_format_io": false,
        })
    }

    /// The sizes without the batch, which `max_batch_size` stands for.
    pub fn dims(self, info: &TensorInfo) -> Vec<i64> {
        self.pipeline.row_shape(info).unwrap_or_default().iter().map(size).collect()
    }
}
