//! Batches as a model takes them: padded, or packed.

use ml_core::{Model, Tensor};
use ndarray::{Array1, Array2};

use crate::limit::{Batch, Item, LimitError};

/// Puts items together for a model. An item's inputs are in the order of the padded model: ids, mask, and others.
pub(super) fn make(model: &Model, items: &[&Item]) -> Result<Batch, LimitError> {
    if model.takes_packed_batches() {
        return packed(items);
    }
    let names: Vec<String> = model.signature().inputs.iter().map(|input| input.name.clone()).collect();
    Batch::new(&names, items)
}

/// The inputs of `ml-onnx`' packed form (see its pass) of texts whose first input is their tokens' ids.
fn packed(items: &[&Item]) -> Result<Batch, LimitError> {
    let wrong =
        || LimitError::Input { name: "input_ids".to_owned(), reason: "it is no vector of i64".to_owned() };
    let ids = items.iter().map(|item| match item.inputs.first() {
        Some(Tensor::I64(ids)) if ids.ndim() == 1 => Ok(ids.iter().copied().collect::<Vec<i64>>()),
        _ => Err(wrong()),
    });
    let ids = ids.collect::<Result<Vec<_>, _>>()?;
    let longest = ids.iter().map(Vec::len).max().unwrap_or(0);
    let (mut unpack, mut mask) = (Array2::zeros((ids.len(), longest)), Array2::zeros((ids.len(), longest)));
    let (mut tokens, mut positions, mut pack) = (Vec::new(), Vec::new(), Vec::new());
    for (text, ids) in ids.iter().enumerate() {
        for (place, id) in ids.iter().enumerate() {
            unpack[(text, place)] = tokens.len() as i64;
            mask[(text, place)] = 1_i64;
            pack.push((text * longest + place) as i64);
            positions.push(place as i64);
            tokens.push(*id);
        }
    }
    let inputs: [(&str, Tensor<'static>); 5] = [
        ("input_ids", Array1::from(tokens).into()),
        ("attention_mask", mask.into()),
        ("position_ids", Array1::from(positions).into()),
        ("unpack", unpack.into()),
        ("pack", Array1::from(pack).into()),
    ];
    Ok(Batch::of(inputs.map(|(name, tensor)| (name.to_owned(), tensor)).into(), items.len()))
}
