//! A model's configuration as text and as JSON, both by the protocol's own description of it.

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use prost_reflect::{
    DescriptorPool, DeserializeOptions, DynamicMessage, MessageDescriptor, SerializeOptions,
};
use serde_json::Value;

use super::layout::CONFIG;
use super::text;
use crate::grpc::DESCRIPTORS;
use crate::grpc::proto::ModelConfig;

fn descriptor() -> Result<&'static MessageDescriptor, String> {
    static DESCRIPTOR: LazyLock<Option<MessageDescriptor>> = LazyLock::new(|| {
        DescriptorPool::decode(DESCRIPTORS).ok()?.get_message_by_name("inference.ModelConfig")
    });
    DESCRIPTOR.as_ref().ok_or_else(|| "the protocol's description has no ModelConfig".to_owned())
}

/// Reads the configuration of a model's folder; an empty one where there is none.
pub(super) fn read(folder: &Path) -> Result<ModelConfig, String> {
    let path = folder.join(CONFIG);
    if !path.is_file() {
        return Ok(ModelConfig::default());
    }
    let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    of_text(&text).map_err(|reason| format!("{}: {reason}", path.display()))
}

/// Reads protocol buffer text.
pub(crate) fn of_text(text: &str) -> Result<ModelConfig, String> {
    let message = DynamicMessage::parse_text_format(descriptor()?.clone(), &text::with_colons(text)?)
        .map_err(|error| error.to_string())?;
    message.transcode_to().map_err(|error| error.to_string())
}

/// Reads protocol buffer JSON, in which whole numbers may be texts.
pub(crate) fn of_json(json: &str) -> Result<ModelConfig, String> {
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let options = DeserializeOptions::new().deny_unknown_fields(false);
    let message =
        DynamicMessage::deserialize_with_options(descriptor()?.clone(), &mut deserializer, &options);
    message.map_err(|error| error.to_string())?.transcode_to().map_err(|error| error.to_string())
}

/// Writes a configuration as clients read it: every member, whole numbers as numbers.
pub(crate) fn config_json(config: &ModelConfig) -> Result<Value, String> {
    let mut message = DynamicMessage::new(descriptor()?.clone());
    message.transcode_from(config).map_err(|error| error.to_string())?;
    let options = SerializeOptions::new()
        .stringify_64_bit_integers(false)
        .use_proto_field_name(true)
        .skip_default_fields(false);
    message.serialize_with_options(serde_json::value::Serializer, &options).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_json_are_read_as_people_write_them() {
        let text = r#"
            name: "m" # A comment [ with a bracket
            max_batch_size: 8
            input [ { name: "x [" data_type: TYPE_FP32, dims: [ 3, -1 ] }, { name: 'y' dims: 2 } ]
            output: [ { name: "z" } ]
            version_policy { specific { versions: [ 1, 3 ] } }
        "#;
        let config = of_text(text).expect("it is one");
        assert_eq!((config.name.as_str(), config.max_batch_size, config.input.len()), ("m", 8, 2));
        assert_eq!((config.input[0].name.as_str(), &*config.input[0].dims), ("x [", &[3, -1][..]));
        let json = r#"{"name":"m","max_batch_size":"8","input":[{"name":"x","dims":["3",-1]}],"unknown":{}}"#;
        assert_eq!(of_json(json).expect("it is one").input[0].dims, [3, -1]);
        let written = config_json(&config).expect("it can be written");
        assert_eq!(written["input"][0]["dims"], serde_json::json!([3, -1]));
        assert_eq!(written["input"][0]["data_type"], "TYPE_FP32");
        assert_eq!(written["instance_group"], serde_json::json!([]));
    }

    #[test]
    fn what_is_no_configuration_is_an_error() {
        for text in [
            "name",
            "name: 1 2",
            "input [ {",
            "nosuch: 1",
            "max_batch_size: \"x\"",
            "\"",
            "[",
            "{",
            "a: \"\\",
            // Messages of any type, one in another, which the parser reads before it says that they do not belong here.
            &"[a/inference.ModelConfig]{".repeat(100_000),
        ] {
            assert!(of_text(text).is_err(), "{text:.60}");
        }
        for json in ["", "[]", "{", r#"{"max_batch_size":[1]}"#, &"[".repeat(100_000)] {
            assert!(of_json(json).is_err(), "{json}");
        }
    }
}
