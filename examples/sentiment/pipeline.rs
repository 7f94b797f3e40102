//! A text pipeline: tokenise, run a BERT-like encoder with a classification head, name the winner.

use std::path::Path;

use ml_core::{Facts, LoadError, Model, ModelError, ModelOptions, Pipeline, Rejection};
use ndarray::{Array2, ArrayView1, Axis};
use serde::{Deserialize, Serialize};
use tokenizers::{Tokenizer, TruncationParams};

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
    tokens: Vec<i64>,
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
    /// Loads `model.onnx` and `tokenizer.json` from a folder.
    pub fn load(folder: &Path, options: &ModelOptions) -> Result<Self, SentimentError> {
        let model = Model::load(folder.join("model.onnx"), options)?;
        model.expect(
            &["input_ids", "attention_mask", "token_type_ids"],
            &["sentence_embedding", "probabilities"],
        )?;
        Ok(Self { tokenizer: tokenizer(&folder.join("tokenizer.json"))?, model })
    }

    /// Returns what runs the model.
    pub fn runtime(&self) -> &str {
        self.model.runtime()
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
        let tokens = encoded.get_ids().iter().copied().map(i64::from).collect();
        Ok(Encoding { tokens, embedding: review.embedding })
    }

    fn predict_batch(&self, batch: &[Encoding]) -> Result<Vec<Scores>, ModelError> {
        let longest = batch.iter().map(|text| text.tokens.len()).max().unwrap_or(0);
        let mut ids = Array2::<i64>::zeros((batch.len(), longest));
        let mut mask = ids.clone();
        for (text, (mut ids, mut mask)) in batch.iter().zip(ids.outer_iter_mut().zip(mask.outer_iter_mut())) {
            let tokens = ArrayView1::from(&text.tokens);
            ids.slice_axis_mut(Axis(0), (..tokens.len()).into()).assign(&tokens);
            mask.slice_axis_mut(Axis(0), (..tokens.len()).into()).fill(1);
        }
        let types = Array2::<i64>::zeros(ids.raw_dim());
        let outputs = self.model.run(vec![
            ("input_ids", ids.into()),
            ("attention_mask", mask.into()),
            ("token_type_ids", types.into()),
        ])?;
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

    fn example(&self) -> Option<Review> {
        Some(Review { text: "I loved every minute of it.".to_owned(), embedding: false })
    }
}
