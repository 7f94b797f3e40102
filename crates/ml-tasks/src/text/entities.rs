//! Token classification: words of a text get labels, and neighbours of one label become an entity.

use std::sync::Arc;

use ml_core::{Facts, Model, ModelError, Pipeline, Rejection};
use ndarray::{Axis, Ix3};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::embedding::yes;
use super::encoder::Encoder;
use super::grouping::{Group, Token, group};
use super::tokenizer::{Cutting, Direction, TextTokenizer, Tokenized};
use super::tokens::Tokens;
use crate::scores::{Labels, floats};
use crate::{Aggregation, Folder, TaskError, TaskOptions};

/// What a caller sends.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EntityInput {
    /// The text.
    pub text: String,
    /// How tokens are put together; as the operator says where it is not given.
    #[serde(default)]
    pub aggregation: Option<Aggregation>,
    /// Whether a text with more tokens than the model reads is cut, as it is by default, or refused.
    #[serde(default = "yes")]
    pub truncate: bool,
    /// Which end is cut.
    #[serde(default)]
    pub truncation_direction: Option<Direction>,
}

impl EntityInput {
    /// Asks for the entities of a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), aggregation: None, truncate: true, truncation_direction: None }
    }
}

/// What the caller gets back.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Entities {
    /// What was found, in the order of the text.
    pub entities: Vec<Entity>,
    /// Whether the text had more tokens than the model reads.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
}

/// A part of a text with a label.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Entity {
    /// The label, without what says that it begins or goes on.
    pub label: String,
    /// The probability of the label; of several tokens, the mean.
    pub score: f32,
    /// The part of the text.
    pub text: String,
    /// Where it begins, in characters.
    pub start: usize,
    /// Where it ends, in characters.
    pub end: usize,
}

/// A tokenised text.
pub struct EntityFeatures {
    tokens: Tokens,
    source: Arc<Source>,
}

/// What a text's tokens are made of, and how they are to be put together.
struct Source {
    text: String,
    tokens: Vec<Token>,
    truncated: bool,
    aggregation: Aggregation,
}

/// The model's scores of one text: a row a token.
pub struct RawEntities {
    scores: Vec<Vec<f32>>,
    source: Arc<Source>,
}

/// The pipeline.
pub struct TokenClassification {
    tokenizer: TextTokenizer,
    encoder: Encoder,
    labels: Labels,
    aggregation: Aggregation,
}

impl TokenClassification {
    /// Makes the pipeline of a loaded model, and the tokenizer and labels in a folder.
    ///
    /// # Errors
    /// When files are missing or broken, or the graph has no scores for each token.
    pub fn new(model: Model, folder: &Folder, options: &TaskOptions) -> Result<Self, TaskError> {
        let encoder = Encoder::new(model, folder.model_config()?.padding())?;
        if encoder.packed() {
            let reason = "a packed graph does not tell its tokens apart; use the padded one".to_owned();
            return Err(TaskError::Graph { path: encoder.model().path().to_owned(), reason });
        }
        let tokenizer = TextTokenizer::load(folder, options, encoder.length())?;
        let labels = Labels::find(encoder.model(), folder, options, 3)?;
        let aggregation = options.aggregation.unwrap_or(Aggregation::Simple);
        Ok(Self { tokenizer, encoder, labels, aggregation })
    }

    /// Returns the model.
    pub fn model(&self) -> &Model {
        self.encoder.model()
    }

    /// Returns what is worth knowing about the pipeline.
    pub fn details(&self) -> Vec<(&'static str, Value)> {
        let aggregation = Aggregation::ALL.iter().find(|(_, one)| *one == self.aggregation);
        vec![
            ("labels", json!(self.labels.names)),
            ("tokens_max", json!(self.tokenizer.tokens_max())),
            ("aggregation", json!(aggregation.map(|(name, _)| name))),
        ]
    }
}

impl Pipeline for TokenClassification {
    type Input = EntityInput;
    type Features = EntityFeatures;
    type Prediction = RawEntities;
    type Output = Entities;

    fn validate(&self, input: &EntityInput) -> Result<(), Rejection> {
        if input.text.is_empty() { Err(Rejection::new("text", "not_empty")) } else { Ok(()) }
    }

    fn clean(&self, input: EntityInput, _: &Facts) -> Result<EntityFeatures, Rejection> {
        let cutting = Cutting { truncate: input.truncate, direction: input.truncation_direction };
        let Tokenized { tokens, truncated, encoding } =
            self.tokenizer.with_places(&input.text, "text", cutting)?;
        let encoding = encoding.unwrap_or_default();
        let places = encoding
            .get_offsets()
            .iter()
            .zip(encoding.get_word_ids())
            .zip(encoding.get_special_tokens_mask());
        let places = places.map(|((offsets, word), special)| Token {
            start: offsets.0,
            end: offsets.1,
            word: *word,
            special: *special != 0,
        });
        let source = Source {
            tokens: places.collect(),
            text: input.text,
            truncated,
            aggregation: input.aggregation.unwrap_or(self.aggregation),
        };
        Ok(EntityFeatures { tokens, source: Arc::new(source) })
    }

    fn predict_batch(&self, batch: &[EntityFeatures]) -> Result<Vec<RawEntities>, ModelError> {
        let texts: Vec<&Tokens> = batch.iter().map(|item| &item.tokens).collect();
        let outputs = self.encoder.run(&texts)?;
        let scores = floats(&outputs, &self.labels.output)?.into_dimensionality::<Ix3>()?;
        let longest = texts.iter().map(|text| text.len()).max().unwrap_or(0);
        if scores.dim().0 != batch.len()
            || scores.dim().1 < longest
            || scores.dim().2 != self.labels.names.len()
        {
            let (shape, texts, labels) = (scores.shape(), batch.len(), self.labels.names.len());
            let reason = format!(
                "the scores are {shape:?}, not {texts} texts of {longest} tokens and {labels} labels"
            );
            return Err(ModelError::new(reason));
        }
        let of_text = |(scores, item): (ndarray::ArrayView2<'_, f32>, &EntityFeatures)| RawEntities {
            scores: scores.outer_iter().take(item.tokens.len()).map(|row| row.to_vec()).collect(),
            source: Arc::clone(&item.source),
        };
        Ok(scores.axis_iter(Axis(0)).zip(batch).map(of_text).collect())
    }

    fn format(&self, raw: RawEntities) -> Entities {
        let RawEntities { mut scores, source } = raw;
        scores.iter_mut().for_each(|row| self.labels.activation.apply(row));
        let groups = group(&source.tokens, &scores, &self.labels.names, source.aggregation);
        // The byte at which each character begins, and the text's end.
        let begins: Vec<usize> =
            source.text.char_indices().map(|(byte, _)| byte).chain([source.text.len()]).collect();
        let byte = |character: usize| begins.get(character).copied().unwrap_or(source.text.len());
        let entity = |Group { label, score, start, end }| Entity {
            text: source.text.get(byte(start)..byte(end)).unwrap_or_default().to_owned(),
            label,
            score,
            start,
            end,
        };
        Entities { entities: groups.into_iter().map(entity).collect(), truncated: source.truncated }
    }

    /// A longer text is more work, and padding a shorter one to its length is wasted work.
    fn cost(&self, features: &EntityFeatures) -> usize {
        self.encoder.length().unwrap_or(features.tokens.len())
    }

    fn models(&self) -> Vec<&Model> {
        vec![self.encoder.model()]
    }

    fn example(&self) -> Option<EntityInput> {
        Some(EntityInput::new("The soup was warm and the bread was fresh."))
    }
}
