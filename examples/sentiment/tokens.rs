//! From tokens to the tensors of a batch: padded to the longest text, or packed one after the other.

use ml_core::Tensor;
use ndarray::{Array1, Array2};

/// The inputs of a padded batch.
pub const PADDED: [&str; 3] = ["input_ids", "attention_mask", "token_type_ids"];

/// The inputs of a packed batch.
pub const PACKED: [&str; 5] = ["input_ids", "position_ids", "unpack", "pack", "attention_mask"];

type Inputs = Vec<(&'static str, Tensor<'static>)>;

/// Every text is as long as the longest: zeros where a shorter one has no token.
pub fn padded(texts: &[&[u32]]) -> Inputs {
    let longest = longest(texts);
    let mut ids = Array2::<i64>::zeros((texts.len(), longest));
    let mut mask = Array2::<i64>::zeros((texts.len(), longest));
    for (text, (mut ids, mut mask)) in texts.iter().zip(ids.outer_iter_mut().zip(mask.outer_iter_mut())) {
        for (token, (id, there)) in text.iter().zip(ids.iter_mut().zip(mask.iter_mut())) {
            (*id, *there) = (i64::from(*token), 1);
        }
    }
    let types = Array2::<i64>::zeros((texts.len(), longest));
    PADDED.into_iter().zip([ids.into(), mask.into(), types.into()]).collect()
}

/// All tokens in one row; the model lays them out text by text only where they look at each other.
///
/// `unpack[text, place]` is the token that stands there, `pack[token]` the place, counted through all texts.
pub fn packed(texts: &[&[u32]]) -> Inputs {
    let longest = longest(texts);
    let total: usize = texts.iter().map(|text| text.len()).sum();
    let mut ids = Array1::<i64>::zeros(total);
    let mut positions = Array1::<i64>::zeros(total);
    let mut pack = Array1::<i64>::zeros(total);
    let mut unpack = Array2::<i64>::zeros((texts.len(), longest));
    let mut mask = Array2::<i64>::zeros((texts.len(), longest));
    let mut token = 0;
    for (row, text) in texts.iter().enumerate() {
        for (place, id) in text.iter().enumerate() {
            ids[token] = i64::from(*id);
            positions[token] = number(place);
            pack[token] = number(row * longest + place);
            unpack[[row, place]] = number(token);
            mask[[row, place]] = 1;
            token += 1;
        }
    }
    PACKED.into_iter().zip([ids.into(), positions.into(), unpack.into(), pack.into(), mask.into()]).collect()
}

fn longest(texts: &[&[u32]]) -> usize {
    texts.iter().map(|text| text.len()).max().unwrap_or(0)
}

/// An index as the model takes it; no batch is so large that it would not fit.
fn number(index: usize) -> i64 {
    i64::try_from(index).unwrap_or(i64::MAX)
}
