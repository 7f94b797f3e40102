//! A target: how the requests and answers of a server look, so that a rival is met by the same rule.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use serde_json::Value;

use crate::Error;
use crate::failure::{Failure, FailureKind};

/// The description of a server's HTTP interface. The default is `ml-serve`'s.
///
/// ```
/// let target: ml_bench::Target = serde_json::from_str(
///     r#"{ "path_batch": "/v1/models/$model:predict",
///          "body_batch": { "instances": "$items" },
///          "answers": "/predictions", "output": "" }"#,
/// )?;
/// assert_eq!(target.path_one, "/models/$model/predict");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Target {
    /// The path for one item; `$model` stands for the model's name.
    pub path_one: String,
    /// The path for a batch of items.
    pub path_batch: String,
    /// The body for one item: any JSON in which the string `"$item"` stands for the item.
    pub body_one: Value,
    /// The body for a batch: any JSON in which the string `"$items"` stands for the array of items.
    pub body_batch: Value,
    /// Headers sent with every request; the content type is `application/json` unless given here.
    pub headers: BTreeMap<String, String>,
    /// The JSON pointer of the array of answers in the answer to a batch.
    pub answers: String,
    /// The JSON pointer of the output in one answer; an answer with an `error` instead is a failed item.
    pub output: String,
}

impl Default for Target {
    fn default() -> Self {
        Self {
            path_one: "/models/$model/predict".to_owned(),
            path_batch: "/models/$model/predict_batch".to_owned(),
            body_one: Value::from("$item"),
            body_batch: Value::from("$items"),
            headers: BTreeMap::new(),
            answers: String::new(),
            output: "/output".to_owned(),
        }
    }
}

impl Target {
    /// Reads a description from a JSON file.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or is no description.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let text = fs::read(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
        let broken = |error: serde_json::Error| Error::Target {
            name: path.display().to_string(),
            reason: error.to_string(),
        };
        serde_json::from_slice(&text).map_err(broken)
    }

    /// Returns the headers of every request.
    ///
    /// # Errors
    ///
    /// When a name or a value is not one that HTTP can carry.
    pub fn header_map(&self) -> Result<HeaderMap, Error> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        for (name, value) in &self.headers {
            let broken = |reason: String| Error::Target { name: format!("header {name}"), reason };
            let key = HeaderName::from_bytes(name.as_bytes()).map_err(|error| broken(error.to_string()))?;
            headers.insert(key, HeaderValue::from_str(value).map_err(|error| broken(error.to_string()))?);
        }
        Ok(headers)
    }

    /// Returns what the answer to a batch of `count` items says of each.
    ///
    /// # Errors
    ///
    /// When the answer is not one array of `count` answers where the description says.
    pub fn read_answers(&self, body: &[u8], count: usize) -> Result<Vec<Result<Value, Failure>>, Failure> {
        let strange = |reason: String| Failure::new(FailureKind::Answer, reason);
        let mut body: Value = serde_json::from_slice(body).map_err(|error| strange(error.to_string()))?;
        match body.pointer_mut(&self.answers).map(Value::take) {
            Some(Value::Array(answers)) if answers.len() == count => {
                Ok(answers.into_iter().map(|answer| self.read_answer(answer)).collect())
            }
            Some(Value::Array(answers)) => {
                Err(strange(format!("{} answers to {count} items", answers.len())))
            }
            _ => Err(strange(format!("no array of answers at \"{}\"", self.answers))),
        }
    }

    fn read_answer(&self, mut answer: Value) -> Result<Value, Failure> {
        if let Some(error) = answer.get("error") {
            let code = text_of(error, "code");
            let detail = text_of(error, "message").unwrap_or_else(|| error.to_string());
            return Err(Failure::new(FailureKind::Item { code }, detail));
        }
        let output = answer.pointer_mut(&self.output).map(Value::take);
        output.ok_or_else(|| Failure::new(FailureKind::Answer, format!("no output at \"{}\"", self.output)))
    }
}

/// Returns a field of an object as text: an error code may be a word or a number.
pub(crate) fn text_of(object: &Value, field: &str) -> Option<String> {
    match object.get(field)? {
        Value::String(text) => Some(text.clone()),
        Value::Null => None,
        other => Some(other.to_string()),
    }
}
