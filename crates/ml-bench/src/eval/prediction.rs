//! A prediction: the field of an output that names the answer, as a word, a truth value or a class number.

use std::mem::discriminant;

use serde_json::Value;

/// Returns the prediction in an output. A number with a fraction is a measurement, compared within the
/// tolerance like any other, and no prediction.
pub(super) fn prediction(output: &Value, field: &str) -> Option<String> {
    match output.get(field)? {
        Value::String(word) => Some(word.clone()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Number(class) if !class.is_f64() => Some(class.to_string()),
        Value::Null | Value::Number(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Returns both predictions, the expected one first, when both outputs have one of the same JSON type.
pub(super) fn predictions(expected: &Value, found: &Value, field: &str) -> Option<(String, String)> {
    let same_type = discriminant(expected.get(field)?) == discriminant(found.get(field)?);
    prediction(expected, field).zip(prediction(found, field)).filter(|_| same_type)
}
