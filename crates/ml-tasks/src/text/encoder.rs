//! A model that takes tokens: which inputs its graph has, and how a batch fills them.

use ml_core::{Dimension, ElementType, Model, ModelError, Outputs, Tensor, TensorInfo};
use ndarray::{Array, Dimension as Rank};

use super::tokens::{Packed, Padded, Tokens};
use crate::TaskError;

/// What a graph for padded batches may ask for.
const PADDED: [&str; 4] = ["input_ids", "attention_mask", "token_type_ids", "position_ids"];

/// What a graph for packed batches asks for.
const PACKED: [&str; 5] = ["input_ids", "position_ids", "unpack", "pack", "attention_mask"];

/// A model of tokens, padded or packed as its graph wants them.
pub struct Encoder {
    model: Model,
    packed: bool,
    /// What padding is filled with.
    padding: u32,
    /// The tokens of every text, where the graph fixes them.
    length: Option<usize>,
}

impl Encoder {
    /// Checks that the graph takes tokens; `padding` is the token that shorter texts are filled up with.
    ///
    /// # Errors
    /// When it has another input, or fixes how many texts a batch has.
    pub fn new(model: Model, padding: u32) -> Result<Self, TaskError> {
        let inputs = &model.signature().inputs;
        let has = |name: &str| inputs.iter().any(|info| info.name == name);
        let packed = has("unpack") && has("pack");
        let wanted: Vec<&str> = match packed {
            true => PACKED.to_vec(),
            false => PADDED.into_iter().filter(|name| *name == "input_ids" || has(name)).collect(),
        };
        model.expect(&wanted, &[])?;
        let ids = inputs.iter().find(|info| info.name == "input_ids" && !packed);
        let sizes = ids.and_then(|info| info.shape.as_deref()).unwrap_or_default();
        if let Some(Dimension::Fixed(texts)) = sizes.first() {
            let reason = format!("every batch has {texts} texts; export it with a batch of any size");
            return Err(TaskError::Graph { path: model.path().to_owned(), reason });
        }
        let length = match sizes.get(1) {
            Some(Dimension::Fixed(length)) => Some(*length),
            _ => None,
        };
        Ok(Self { model, packed, padding, length })
    }

    /// Returns the model.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Returns whether batches are packed, which computes no padding.
    pub fn packed(&self) -> bool {
        self.packed
    }

    /// Returns the most tokens of a text that the graph takes, where it fixes them.
    pub fn length(&self) -> Option<usize> {
        self.length
    }

    /// Runs a batch of texts.
    ///
    /// # Errors
    /// Those of the model.
    pub fn run(&self, texts: &[&Tokens]) -> Result<Outputs, ModelError> {
        let inputs = &self.model.signature().inputs;
        let named: Vec<(&str, Tensor<'_>)> = if self.packed {
            let Packed { ids, positions, unpack, pack, mask } = Packed::of(texts);
            let vectors = [("input_ids", ids), ("position_ids", positions), ("pack", pack)];
            let tables = [("unpack", unpack), ("attention_mask", mask)];
            let vectors = vectors.into_iter().filter_map(|(name, array)| fit(inputs, name, array));
            vectors.chain(tables.into_iter().filter_map(|(name, array)| fit(inputs, name, array))).collect()
        } else {
            let padded = Padded::of(texts, self.padding, self.length);
            let positions = padded.positions();
            let tables = PADDED.into_iter().zip([padded.ids, padded.mask, padded.types, positions]);
            tables.filter_map(|(name, array)| fit(inputs, name, array)).collect()
        };
        self.model.run(named)
    }
}

/// Makes an array the input of that name, of the type that the graph has it in; `None` where it has none.
fn fit<'a, D: Rank>(
    inputs: &'a [TensorInfo],
    name: &str,
    array: Array<i64, D>,
) -> Option<(&'a str, Tensor<'static>)> {
    let info = inputs.iter().find(|info| info.name == name)?;
    let tensor = match info.element {
        // A vocabulary and a batch are far smaller.
        ElementType::I32 => array.mapv(|number| i32::try_from(number).unwrap_or(i32::MAX)).into(),
        _ => array.into(),
    };
    Some((&info.name, tensor))
}
