//! Reranking: a text is scored by how well it answers a query. A pair is an item; whoever ranks sends many.

use ml_core::{Facts, Model, ModelError, Pipeline, Rejection};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::classification::{ClassificationFeatures, Classifier, RawScores};
use super::embedding::yes;
use super::tokenizer::{Cutting, Direction};
use crate::folder::CONFIG;
use crate::scores::Activation;
use crate::{Folder, TaskError, TaskOptions};

/// What a caller sends.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RerankingInput {
    /// What is asked.
    pub query: String,
    /// What may answer it.
    pub text: String,
    /// Whether the score is as the model gives it, and not between 0 and 1.
    #[serde(default)]
    pub raw_scores: bool,
    /// Whether a pair with more tokens than the model reads is cut, as it is by default, or refused.
    #[serde(default = "yes")]
    pub truncate: bool,
    /// Which end is cut.
    #[serde(default)]
    pub truncation_direction: Option<Direction>,
}

impl RerankingInput {
    /// Asks how well a text answers a query.
    pub fn new(query: impl Into<String>, text: impl Into<String>) -> Self {
        let (query, text) = (query.into(), text.into());
        Self { query, text, raw_scores: false, truncate: true, truncation_direction: None }
    }
}

/// What the caller gets back.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Ranked {
    /// The higher, the better the text answers the query.
    pub score: f32,
}

/// The pipeline.
pub struct Reranking(Classifier);

impl Reranking {
    /// Makes the pipeline of a loaded model, and the tokenizer in a folder.
    ///
    /// # Errors
    /// When files are missing or broken, or the graph has not one score.
    pub fn new(model: Model, folder: &Folder, options: &TaskOptions) -> Result<Self, TaskError> {
        let mut classifier = Classifier::new(model, folder, options)?;
        let labels = &mut classifier.labels;
        if labels.names.len() != 1 {
            let reason = format!("a reranker has one label, and this has {}", labels.names.len());
            return Err(folder.refuse(CONFIG, reason));
        }
        if labels.output != "probabilities" {
            // Also of those that were trained as a regression: a score from 0 to 1 is what rerankers promise.
            labels.activation = Activation::Sigmoid;
        }
        Ok(Self(classifier))
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

impl Pipeline for Reranking {
    type Input = RerankingInput;
    type Features = ClassificationFeatures;
    type Prediction = RawScores;
    type Output = Ranked;

    fn validate(&self, input: &RerankingInput) -> Result<(), Rejection> {
        for (field, text) in [("query", &input.query), ("text", &input.text)] {
            if text.is_empty() {
                return Err(Rejection::new(field, "not_empty"));
            }
        }
        self.0.check_raw(input.raw_scores)
    }

    fn clean(&self, input: RerankingInput, _: &Facts) -> Result<ClassificationFeatures, Rejection> {
        let cutting = Cutting { truncate: input.truncate, direction: input.truncation_direction };
        self.0.features((input.query, input.text).into(), "text", input.raw_scores, cutting)
    }

    fn predict_batch(&self, batch: &[ClassificationFeatures]) -> Result<Vec<RawScores>, ModelError> {
        self.0.predict(batch)
    }

    fn format(&self, raw: RawScores) -> Ranked {
        let mut scores = raw.scores;
        if !raw.raw {
            self.0.labels.activation.apply(&mut scores);
        }
        Ranked { score: scores.first().copied().unwrap_or(f32::NAN) }
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

    fn example(&self) -> Option<RerankingInput> {
        Some(RerankingInput::new("Was the soup warm?", "The soup was warm and the bread was fresh."))
    }
}
