//! A text pipeline: tokenise, run a BERT-like encoder with a classification head, name the winner.

use std::path::Path;

use ml_core::{Facts, LoadError, Model, ModelError, ModelOptions, Pipeline, Rejection};
use serde::{Deserialize, Serialize};
use tokenizers::{Tokenizer, TruncationParams};

use crate::tokens;

/// Longer texts are refused rather than cut without a word: the model reads only the first tokens of a text.
const TEXT_BYTES_MAX: usize = 64 * 1024;

/// The tokens that a BERT-like model reads where its tokenizer does not say.
const TOKENS_MAX: usize = 256;

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
    tokens: Vec<u32>,
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
    tokenizer: Tokenizer,
    model: Model,
    /// Whether the model takes its batches packed, which computes no padding.
    packed: bool,
}

/// Why the folder does not hold this pipeline.
#[derive(Debug, thiserror::Error)]
pub enum SentimentError {
    #[error(transparent)]
    Model(#[from] LoadError),
    #[error("{path}: {reason}")]
    Tokenizer { path: String, reason: String },
}

impl Sentiment {
    /// Loads `tokenizer.json` and `model.onnx` from a folder, or the variant of the model that the options choose.
    pub fn load(folder: &Path, options: &ModelOptions) -> Result<Self, SentimentError> {
        let options = ModelOptions { packed_batches: true, ..options.clone() };
        let model = Model::load(folder.join("model.onnx"), &options)?;
        let packed = model.takes_packed_batches();
        let inputs: &[&str] = if packed { &tokens::PACKED } else { &tokens::PADDED };
        model.expect(inputs, &["sentence_embedding", "probabilities"])?;
        Ok(Self { tokenizer: tokenizer(&folder.join("tokenizer.json"))?, model, packed })
    }

    /// Returns the model.
    pub fn model(&self) -> &Model {
        &self.model
    }
}

/// Reads a tokenizer that cuts long texts, and does not pad: the batch decides how long a row is.
fn tokenizer(path: &Path) -> Result<Tokenizer, SentimentError> {
    let wrong = |error: tokenizers::Error| SentimentError::Tokenizer {
        path: path.display().to_string(),
        reason: error.to_string(),
    };
    let mut tokenizer = Tokenizer::from_file(path).map_err(wrong)?;
    tokenizer.with_padding(None);
    if tokenizer.get_truncation().is_none() {
        let truncation = TruncationParams { max_length: TOKENS_MAX, ..TruncationParams::default() };
        tokenizer.with_truncation(Some(truncation)).map_err(wrong)?;
    }
    Ok(tokenizer)
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
        let encoded = self.tokenizer.encode_fast(review.text, true);
        let encoded = encoded.map_err(|error| Rejection::new("text", "tokenises").value(error))?;
        Ok(Encoding { tokens: encoded.get_ids().to_vec(), embedding: review.embedding })
    }

    fn predict_batch(&self, batch: &[Encoding]) -> Result<Vec<Scores>, ModelError> {
        let texts: Vec<&[u32]> = batch.iter().map(|text| text.tokens.as_slice()).collect();
        let inputs = if self.packed { tokens::packed(&texts) } else { tokens::padded(&texts) };
        let outputs = self.model.run(inputs)?;
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
        self.packed
    }

    fn models(&self) -> Vec<&Model> {
        vec![&self.model]
    }

    fn example(&self) -> Option<Review> {
        Some(Review { text: "I loved every minute of it.".to_owned(), embedding: false })
    }
}
