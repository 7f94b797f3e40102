//! Texts as tokens: what a BERT-like model takes.

use std::path::Path;

use ml_core::{ElementType, Tensor, TensorInfo};
use ndarray::Array1;
use serde_json::Value;
use tokenizers::{Encoding, Tokenizer, TruncationParams};

use super::LimitError;
use super::item::Item;
use crate::Line;

/// The tokens that a text is cut to where its tokenizer does not say.
const TOKENS_MAX: usize = 256;

/// Returns each line's text as the inputs that the model names.
pub(super) fn items(
    path: &Path,
    field: &str,
    inputs: &[TensorInfo],
    lines: &[Line],
) -> Result<Vec<Item>, LimitError> {
    let tokenizer = read(path)
        .map_err(|error| LimitError::Tokenizer { path: path.to_owned(), reason: error.to_string() })?;
    let item = |line: &Line| {
        let broken = |reason: String| LimitError::Item { place: line.place.to_string(), reason };
        let text = text(line, field).ok_or_else(|| broken(format!("no text in the field {field}")))?;
        let encoding = tokenizer.encode_fast(text, true).map_err(|error| broken(error.to_string()))?;
        let inputs = inputs.iter().map(|input| self::input(input, &encoding));
        Ok(Item { inputs: inputs.collect::<Result<_, _>>()? })
    };
    lines.iter().map(item).collect()
}

/// Reads a tokenizer that cuts long texts, and does not pad: the batch decides how long a row is.
fn read(path: &Path) -> tokenizers::Result<Tokenizer> {
    let mut tokenizer = Tokenizer::from_file(path)?;
    tokenizer.with_padding(None);
    if tokenizer.get_truncation().is_none() {
        let truncation = TruncationParams { max_length: TOKENS_MAX, ..TruncationParams::default() };
        tokenizer.with_truncation(Some(truncation))?;
    }
    Ok(tokenizer)
}

/// Returns the text of an item: its field, or the item itself where it is a string.
fn text(line: &Line, field: &str) -> Option<String> {
    match serde_json::from_str(line.item.get()).ok()? {
        Value::String(text) => Some(text),
        Value::Object(mut item) => match item.remove(field)? {
            Value::String(text) => Some(text),
            _ => None,
        },
        _ => None,
    }
}

fn input(info: &TensorInfo, encoding: &Encoding) -> Result<Tensor<'static>, LimitError> {
    let broken = |reason: String| LimitError::Input { name: info.name.clone(), reason };
    let numbers = match info.name.as_str() {
        "input_ids" => encoding.get_ids(),
        "attention_mask" => encoding.get_attention_mask(),
        "token_type_ids" => encoding.get_type_ids(),
        _ => {
            let known = "input_ids, attention_mask and token_type_ids";
            return Err(broken(format!("a tokenizer makes {known} only")));
        }
    };
    match info.element {
        ElementType::I64 => Ok(numbers.iter().copied().map(i64::from).collect::<Array1<_>>().into()),
        ElementType::I32 => Ok(numbers.iter().map(|id| id.cast_signed()).collect::<Array1<_>>().into()),
        other => Err(broken(format!("it is {other}, tokens are i64 or i32"))),
    }
}
