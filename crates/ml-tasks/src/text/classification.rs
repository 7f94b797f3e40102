//! Text classification: a text, or a pair of texts, gets a label.

use ml_core::{Facts, Model, ModelError, Pipeline, Rejection};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokenizers::EncodeInput;

use super::embedding::yes;
use super::encoder::Encoder;
use super::tokenizer::{Cutting, Direction, TextTokenizer};
use super::tokens::Tokens;
use crate::scores::{Activation, Labels, rows};
use crate::{Folder, LabelScore, TaskError, TaskOptions};

/// What a caller sends.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassificationInput {
    /// The text.
    pub text: String,
    /// The second text, for models that judge pairs.
    #[serde(default)]
    pub text_pair: Option<String>,
    /// Whether scores are as the model gives them, and no probabilities.
    #[serde(default)]
    pub raw_scores: bool,
    /// Whether a text with more tokens than the model reads is cut, as it is by default, or refused.
    #[serde(default = "yes")]
    pub truncate: bool,
    /// Which end is cut.
    #[serde(default)]
    pub truncation_direction: Option<Direction>,
}

impl ClassificationInput {
    /// Asks for the label of a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            text_pair: None,
            raw_scores: false,
            truncate: true,
            truncation_direction: None,
        }
    }
}

/// What the caller gets back.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Classification {
    /// The label with the highest score.
    pub label: String,
    /// Its score.
    pub score: f32,
    /// Every label with its score, the highest first.
    pub scores: Vec<LabelScore>,
}

/// A tokenised text, and how its scores are wanted.
pub struct ClassificationFeatures {
    pub(super) tokens: Tokens,
    pub(super) raw: bool,
}

/// The model's scores of one text.
pub struct RawScores {
    pub(super) scores: Vec<f32>,
    pub(super) raw: bool,
}

/// A model that gives a text a score for each label: what classification and reranking have in common.
pub(super) struct Classifier {
    pub tokenizer: TextTokenizer,
    pub encoder: Encoder,
    pub labels: Labels,
}

impl Classifier {
    pub fn new(model: Model, folder: &Folder, options: &TaskOptions) -> Result<Self, TaskError> {
        let encoder = Encoder::new(model, folder.model_config()?.padding())?;
        let tokenizer = TextTokenizer::load(folder, options, encoder.length())?;
        let labels = Labels::find(encoder.model(), folder, options, 2)?;
        Ok(Self { tokenizer, encoder, labels })
    }

    /// Refuses raw scores where the graph has made probabilities of them.
    pub fn check_raw(&self, raw: bool) -> Result<(), Rejection> {
        if raw && self.labels.activation == Activation::Identity && self.labels.output == "probabilities" {
            let limit = "false, for this model's graph gives probabilities";
            return Err(Rejection::new("raw_scores", "available").value(true).limit(limit));
        }
        Ok(())
    }

    pub fn features(
        &self,
        text: EncodeInput<'_>,
        field: &'static str,
        raw: bool,
        cutting: Cutting,
    ) -> Result<ClassificationFeatures, Rejection> {
        Ok(ClassificationFeatures { tokens: self.tokenizer.text(text, field, cutting)?.tokens, raw })
    }

    pub fn predict(&self, batch: &[ClassificationFeatures]) -> Result<Vec<RawScores>, ModelError> {
        let texts: Vec<&Tokens> = batch.iter().map(|item| &item.tokens).collect();
        let outputs = self.encoder.run(&texts)?;
        let scores = rows(&outputs, &self.labels.output, batch.len(), self.labels.names.len())?;
        Ok(scores.into_iter().zip(batch).map(|(scores, item)| RawScores { scores, raw: item.raw }).collect())
    }

    /// A longer text is more work, and padding a shorter one to its length is wasted work.
    pub fn cost(&self, features: &ClassificationFeatures) -> usize {
        self.encoder.length().unwrap_or(features.tokens.len())
    }

    pub fn details(&self) -> Vec<(&'static str, Value)> {
        vec![
            ("labels", json!(self.labels.names)),
            ("tokens_max", json!(self.tokenizer.tokens_max())),
            ("packed", json!(self.encoder.packed())),
        ]
    }
}

/// The pipeline.
pub struct TextClassification(Classifier);

impl TextClassification {
    /// Makes the pipeline of a loaded model, and the tokenizer and labels in a folder.
    ///
    /// # Errors
    /// When files are missing or broken, or the graph has no scores for the labels.
    pub fn new(model: Model, folder: &Folder, options: &TaskOptions) -> Result<Self, TaskError> {
        Classifier::new(model, folder, options).map(Self)
    }

    /// Returns the model.
    pub fn model(&self) -> &Model {
        self.0.encoder.model()
    }

    /// Returns what is worth knowing about the pipeline.
    pub fn details(&self) -> Vec<(&'static str, Value)> {
        self.0.details()
    }
}

impl Pipeline for TextClassification {
    type Input = ClassificationInput;
    type Features = ClassificationFeatures;
    type Prediction = RawScores;
    type Output = Classification;

    fn validate(&self, input: &ClassificationInput) -> Result<(), Rejection> {
        if input.text.is_empty() {
            return Err(Rejection::new("text", "not_empty"));
        }
        self.0.check_raw(input.raw_scores)
    }

    fn clean(&self, input: ClassificationInput, _: &Facts) -> Result<ClassificationFeatures, Rejection> {
        let cutting = Cutting { truncate: input.truncate, direction: input.truncation_direction };
        let text = match input.text_pair {
            Some(pair) => (input.text, pair).into(),
            None => input.text.into(),
        };
        self.0.features(text, "text", input.raw_scores, cutting)
    }

    fn predict_batch(&self, batch: &[ClassificationFeatures]) -> Result<Vec<RawScores>, ModelError> {
        self.0.predict(batch)
    }

    fn format(&self, raw: RawScores) -> Classification {
        let scores = self.0.labels.named(raw.scores, raw.raw);
        let (label, score) =
            scores.first().map_or((String::new(), 0.0), |first| (first.label.clone(), first.score));
        Classification { label, score, scores }
    }

    fn cost(&self, features: &ClassificationFeatures) -> usize {
        self.0.cost(features)
    }

    fn takes_packed_batches(&self) -> bool {
        self.0.encoder.packed()
    }

    fn models(&self) -> Vec<&Model> {
        vec![self.0.encoder.model()]
    }

    fn example(&self) -> Option<ClassificationInput> {
        Some(ClassificationInput::new("The soup was warm and the bread was fresh."))
    }
}
