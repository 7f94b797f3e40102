//! The schemas that no model decides: of types where there are some, written out where an answer is put together by hand.

use serde_json::{Map, Value, json};
use utoipa::openapi::ComponentsBuilder;

use super::tasks;
use crate::oip::describe::{ModelMetadata, ServerMetadata, TensorMetadata};
use crate::oip::regions::Registered;
use crate::oip::repository::Indexed;
use crate::routes::{Described, Listed};
use crate::{ErrorBody, ModelInfo};

/// The schemas of types.
pub(super) fn components() -> ComponentsBuilder {
    ComponentsBuilder::new()
        .schema_from::<ErrorBody<'_>>()
        .schema_from::<ModelInfo>()
        .schema_from::<Described<'_>>()
        .schema_from::<Listed<'_>>()
        .schema_from::<ServerMetadata<'_>>()
        .schema_from::<ModelMetadata<'_>>()
        .schema_from::<TensorMetadata<'_>>()
        .schema_from::<Indexed>()
        .schema_from::<Registered>()
}

/// The schemas of what has no type.
pub(super) fn written() -> Map<String, Value> {
    let (text, whole) = (json!({"type": "string"}), json!({"type": "integer", "minimum": 0}));
    let route = object(&[("method", text.clone()), ("path", text.clone()), ("purpose", text.clone())]);
    let span = object(&[("count", whole.clone()), ("ns", whole.clone())]);
    let all = [
        ("Anything", json!({})),
        ("Text", text.clone()),
        ("Refusal", object(&[("error", text.clone())])),
        ("Version", object(&[("name", text.clone()), ("version", text.clone())])),
        ("Routes", object(&[("name", text.clone()), ("version", text.clone()), ("routes", list(route))])),
        ("Live", object(&[("live", json!({"const": true}))])),
        ("Ready", object(&[("ready", json!({"const": true}))])),
        ("ModelReady", object(&[("name", text.clone()), ("ready", json!({"const": true}))])),
        ("Models", reference("Listed")),
        ("ModelConfig", json!({"type": "object", "required": ["name", "max_batch_size", "input", "output"]})),
        ("Index", list(reference("Indexed"))),
        ("IndexRequest", json!({"type": "object", "properties": {"ready": {"type": "boolean"}}})),
        (
            "LoadRequest",
            json!({"type": "object", "properties": {"parameters": {"type": "object", "properties": {
                "config": {"type": "string", "description": "a configuration as JSON, in the place of the model's own"}
            }}}}),
        ),
        ("Regions", list(reference("Registered"))),
        (
            "RegisterRequest",
            json!({"type": "object", "required": ["key", "byte_size"], "properties": {
                "key": text, "offset": whole, "byte_size": whole,
            }}),
        ),
        ("TraceSetting", trace_setting(&text)),
        ("TraceSettingRequest", json!({"type": "object"})),
        ("LogSettings", log_settings(&text, &whole)),
        ("Span", span),
        ("Spans", spans(&["success", "fail", "queue", "compute_input", "compute_infer", "compute_output"])),
        ("Statistics", object(&[("model_stats", list(statistics(&text, &whole)))])),
    ];
    let all = all.into_iter().chain(tasks::schemas(&text, &whole));
    all.map(|(name, schema)| (name.to_owned(), schema)).collect()
}

fn trace_setting(text: &Value) -> Value {
    let names = ["trace_rate", "trace_count", "log_frequency", "trace_file", "trace_mode"];
    let texts = names.map(|name| (name, text.clone()));
    object(&[&[("trace_level", list(json!({"enum": ["OFF", "TIMESTAMPS"]})))], &texts[..]].concat())
}

/// As they are answered; a request has some of them.
fn log_settings(text: &Value, whole: &Value) -> Value {
    let flag = json!({"type": "boolean"});
    json!({"type": "object", "properties": {
        "log_file": text, "log_info": flag, "log_warning": flag, "log_error": flag, "log_verbose_level": whole,
        "log_format": {"enum": ["ISO8601", "default"]},
    }})
}

fn statistics(text: &Value, whole: &Value) -> Value {
    object(&[
        ("name", text.clone()),
        ("version", text.clone()),
        ("last_inference", whole.clone()),
        ("inference_count", whole.clone()),
        ("execution_count", whole.clone()),
        ("inference_stats", reference("Spans")),
        ("batch_stats", list(json!({"type": "object", "required": ["batch_size"]}))),
    ])
}

fn spans(names: &[&str]) -> Value {
    let spans: Vec<_> = names.iter().map(|name| (*name, reference("Span"))).collect();
    object(&spans)
}

/// An object that has all of these members, and perhaps more.
pub(super) fn object(members: &[(&str, Value)]) -> Value {
    let properties: Map<String, Value> =
        members.iter().map(|(name, schema)| ((*name).to_owned(), schema.clone())).collect();
    let required: Vec<&str> = members.iter().map(|(name, _)| *name).collect();
    json!({"type": "object", "required": required, "properties": properties})
}

pub(super) fn list(items: Value) -> Value {
    json!({"type": "array", "items": items})
}

pub(super) fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}
