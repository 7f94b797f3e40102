//! A text pipeline: tokenise, run a BERT-like encoder with a classification head, name the winner.

use std::path::Path;

use ml_core::{Facts, Model, ModelError, ModelOptions, Pipeline, Rejection};
use ml_tasks::text::{Cutting, Encoder, TextTokenizer, Tokens};
use ml_tasks::{Folder, TaskError, TaskOptions};
use serde::{Deserialize, Serialize};

/// Longer texts are refused rather than cut without a word: the model reads only the first tokens of a text.
const TEXT_BYTES_MAX: usize = 64 * 1024;

/// What a caller sends.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Review {
    /// The text to judge.
    pub text: String,
    /// Whether the answer shall carry the sentence embedding.
    #[serde(default)]
    pub embedding: bool,
}

/// A tokenised text.
pub struct Encoding {
    tokens: Tokens,
    embedding: bool,
}

/// What the model says about one text.
pub struct Scores {
    /// The probability that the text is positive.
    positive: f32,
    embedding: Option<Vec<f32>>,
}

/// What the caller gets back.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Judgement {
    /// `positive` or `negative`.
    pub label: &'static str,
    /// The probability of that label.
    pub score: f32,
    /// The normalised sentence embedding, where it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub embedding: Option<Vec<f32>>,
}

/// The pipeline: a tokenizer and a model, both from one folder.
pub struct Sentiment {
    tokenizer: TextTokenizer,
    /// Takes its batches packed where the graph does, which computes no padding.
    encoder: Encoder,
}

impl Sentiment {
    /// Loads `tokenizer.json` and `model.onnx` from a folder, or the variant of the model that the options choose.
    pub fn load(folder: &Path, options: &ModelOptions) -> Result<Self, TaskError> {
        let options = ModelOptions { packed_batches: true, ..options.clone() };
        let encoder = Encoder::new(Model::load(folder.join("model.onnx"), &options)?, 0)?;
        let inputs: Vec<&str> =
            encoder.model().signature().inputs.iter().map(|info| info.name.as_str()).collect();
        encoder.model().expect(&inputs, &["sentence_embedding", "probabilities"])?;
        let tokenizer = TextTokenizer::load(&Folder::new(folder), &TaskOptions::default(), encoder.length())?;
        Ok(Self { tokenizer, encoder })
    }

    /// Returns the model.
    pub fn model(&self) -> &Model {
        self.encoder.model()
    }
}

impl Pipeline for Sentiment {
    type Input = Review;
    type Features = Encoding;
    type Prediction = Scores;
    type Output = Judgement;

    fn validate(&self, review: &Review) -> Result<(), Rejection> {
        let bytes = review.text.len();
        if review.text.trim().is_empty() {
            return Err(Rejection::new("text", "not_empty").value(format!("{bytes} bytes of white space")));
        }
        if bytes > TEXT_BYTES_MAX {
            return Err(Rejection::new("text", "max_bytes")
                .value(bytes)
                .limit(format!("{TEXT_BYTES_MAX} bytes")));
        }
        Ok(())
    }

    fn clean(&self, review: Review, _: &Facts) -> Result<Encoding, Rejection> {
        let tokenized = self.tokenizer.text(review.text, "text", Cutting::default())?;
        Ok(Encoding { tokens: tokenized.tokens, embedding: review.embedding })
    }

    fn predict_batch(&self, batch: &[Encoding]) -> Result<Vec<Scores>, ModelError> {
        let texts: Vec<&Tokens> = batch.iter().map(|text| &text.tokens).collect();
        let outputs = self.encoder.run(&texts)?;
        let probabilities = outputs.get::<f32>("probabilities")?;
        let embeddings = outputs.get::<f32>("sentence_embedding")?;
        let rows = probabilities.outer_iter().zip(embeddings.outer_iter()).zip(batch);
        rows.map(|((probabilities, embedding), text)| {
            let positive =
                *probabilities.iter().nth(1).ok_or_else(|| ModelError::new("no positive column"))?;
            let embedding = text.embedding.then(|| embedding.iter().copied().collect());
            Ok(Scores { positive, embedding })
        })
        .collect()
    }

    fn format(&self, Scores { positive, embedding }: Scores) -> Judgement {
        let (label, score) =
            if positive >= 0.5 { ("positive", positive) } else { ("negative", 1.0 - positive) };
        Judgement { label, score, embedding }
    }

    /// A longer text is more work, and padding a shorter one to its length is wasted work.
    fn cost(&self, text: &Encoding) -> usize {
        text.tokens.len()
    }

    fn takes_packed_batches(&self) -> bool {
        self.encoder.packed()
    }

    fn models(&self) -> Vec<&Model> {
        vec![self.encoder.model()]
    }

    fn example(&self) -> Option<Review> {
        Some(Review { text: "I loved every minute of it.".to_owned(), embedding: false })
    }
}
