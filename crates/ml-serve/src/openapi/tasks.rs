//! The schemas of the protocols of ready-made tasks: OpenAI's embeddings, and text-embeddings-inference's.

use serde_json::{Value, json};

use super::schemas::{list, object, reference};

/// What the protocols of ready-made tasks take and answer.
pub(super) fn schemas(text: &Value, whole: &Value) -> Vec<(&'static str, Value)> {
    let (flag, number) = (json!({"type": "boolean"}), json!({"type": "number"}));
    let least = json!({"type": "integer", "minimum": 1});
    let tokens = list(whole.clone());
    let inputs = json!({"anyOf": [text, list(text.clone()), tokens, list(tokens)]});
    let direction = json!({"enum": ["right", "left", "Right", "Left", null]});
    let cut = |name: &str, schema: Value, more: Value| {
        let mut properties = json!({(name): schema, "truncate": flag, "truncation_direction": direction});
        if let (Some(all), Value::Object(more)) = (properties.as_object_mut(), more) {
            all.extend(more);
        }
        json!({"type": "object", "required": [name], "properties": properties})
    };
    let words = json!({"type": "array", "items": text, "minItems": 1, "maxItems": 2});
    let model = object(&[
        ("id", text.clone()),
        ("object", json!({"const": "model"})),
        ("created", whole.clone()),
        ("owned_by", text.clone()),
    ]);
    let embedded = object(&[
        ("object", json!({"const": "embedding"})),
        ("index", whole.clone()),
        ("embedding", json!({"anyOf": [list(number.clone()), text]})),
    ]);
    let usage = object(&[("prompt_tokens", whole.clone()), ("total_tokens", whole.clone())]);
    let label = object(&[("label", text.clone()), ("score", number.clone())]);
    let sequences = json!({"anyOf": [text, words, list(words)]});
    let mut rerank =
        cut("texts", list(text.clone()), json!({"query": text, "raw_scores": flag, "return_text": flag}));
    rerank["required"] = json!(["query", "texts"]);
    let refusal =
        [("message", text.clone()), ("type", text.clone()), ("param", json!({})), ("code", text.clone())];
    vec![
        ("OpenAiModel", model),
        (
            "OpenAiModels",
            object(&[("object", json!({"const": "list"})), ("data", list(reference("OpenAiModel")))]),
        ),
        (
            "EmbeddingsRequest",
            json!({"type": "object", "required": ["model", "input"], "properties": {
                "model": text, "input": inputs, "encoding_format": {"enum": ["float", "base64"]}, "dimensions": least,
            }}),
        ),
        (
            "Embeddings",
            object(&[
                ("object", json!({"const": "list"})),
                ("data", list(embedded)),
                ("model", text.clone()),
                ("usage", usage),
            ]),
        ),
        ("OpenAiRefusal", object(&[("error", object(&refusal))])),
        (
            "EmbedRequest",
            cut("inputs", inputs, json!({"normalize": flag, "prompt_name": text, "dimensions": least})),
        ),
        ("Vectors", list(list(number.clone()))),
        ("PredictRequest", cut("inputs", sequences, json!({"raw_scores": flag}))),
        ("Predicted", json!({"anyOf": [list(label.clone()), list(list(label))]})),
        ("RerankRequest", rerank),
        (
            "Ranks",
            list(json!({"type": "object", "required": ["index", "score"], "properties": {
                "index": whole, "score": number, "text": text,
            }})),
        ),
        ("TeiRefusal", object(&[("error", text.clone()), ("error_type", text.clone())])),
    ]
}
