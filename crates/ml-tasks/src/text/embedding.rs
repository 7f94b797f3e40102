//! Text embedding: a text becomes a vector.

use std::num::NonZeroUsize;

use ml_core::{Dimension, Facts, Model, ModelError, Pipeline, Rejection, TensorInfo};
use ndarray::{Axis, Ix2, Ix3};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::encoder::Encoder;
use super::pooling::{Steps, normalize};
use super::tokenizer::{Content, Cutting, Direction, TextTokenizer};
use super::tokens::Tokens;
use crate::folder::Prompts;
use crate::scores::floats;
use crate::{Folder, Pooling, TaskError, TaskOptions};

/// What a caller sends.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmbeddingInput {
    /// The text, or its tokens.
    pub text: Content,
    /// The name of a text of the model's that is to go before.
    #[serde(default)]
    pub prompt_name: Option<String>,
    /// Whether the embedding is scaled to length one; as the model's folder says where it is not given.
    #[serde(default)]
    pub normalize: Option<bool>,
    /// How many of the embedding's first numbers are wanted, for models that are trained for that; all by default.
    #[serde(default)]
    pub dimensions: Option<NonZeroUsize>,
    /// Whether a text with more tokens than the model reads is cut, as it is by default, or refused.
    #[serde(default = "yes")]
    pub truncate: bool,
    /// Which end is cut.
    #[serde(default)]
    pub truncation_direction: Option<Direction>,
}

pub(super) fn yes() -> bool {
    true
}

impl EmbeddingInput {
    /// Asks for the embedding of a text as the model's folder has it.
    pub fn new(text: impl Into<String>) -> Self {
        Self {
            text: Content::Text(text.into()),
            prompt_name: None,
            normalize: None,
            dimensions: None,
            truncate: true,
            truncation_direction: None,
        }
    }
}

/// What the caller gets back.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Embedding {
    /// The vector.
    pub embedding: Vec<f32>,
    /// How many tokens the model read, special ones included.
    pub tokens: usize,
    /// Whether the text had more.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
}

/// A tokenised text, and how its embedding is wanted.
pub struct EmbeddingFeatures {
    tokens: Tokens,
    truncated: bool,
    finish: Finish,
}

/// How an embedding is wanted.
#[derive(Clone, Copy)]
struct Finish {
    normalize: bool,
    dimensions: Option<NonZeroUsize>,
}

/// What the model says about one text.
pub struct RawEmbedding {
    embedding: Vec<f32>,
    tokens: usize,
    truncated: bool,
    finish: Finish,
}

/// The pipeline.
pub struct TextEmbedding {
    tokenizer: TextTokenizer,
    encoder: Encoder,
    output: EmbeddingOutput,
    /// Numbers of an embedding, where the graph says.
    width: Option<usize>,
    normalize: bool,
    prompts: Prompts,
}

/// The output that embeddings are made of.
enum EmbeddingOutput {
    /// It has one for each text.
    Pooled(String),
    /// It has a state for each token.
    States(String, Pooling),
}

impl EmbeddingOutput {
    fn name(&self) -> &str {
        match self {
            Self::Pooled(name) | Self::States(name, _) => name,
        }
    }
}

impl TextEmbedding {
    /// Makes the pipeline of a loaded model, and the tokenizer and settings in a folder.
    ///
    /// # Errors
    /// When files are missing or broken, or the graph has no embeddings.
    pub fn new(model: Model, folder: &Folder, options: &TaskOptions) -> Result<Self, TaskError> {
        let steps = Steps::read(folder)?;
        let prompts = folder.prompts()?;
        let encoder = Encoder::new(model, folder.model_config()?.padding())?;
        let tokenizer = TextTokenizer::load(folder, options, encoder.length())?;
        let pooling = options.pooling.or(steps.pooling).unwrap_or(Pooling::Mean);
        let output = output(&encoder, pooling)?;
        // Who says nothing wants to compare embeddings, which is what length one is for.
        let normalize = options.normalize.or(steps.normalize).unwrap_or(true);
        let width = width(&encoder, output.name());
        Ok(Self { tokenizer, encoder, output, width, normalize, prompts })
    }

    /// Returns the most tokens of a text.
    pub fn tokens_max(&self) -> usize {
        self.tokenizer.tokens_max()
    }

    /// Returns the model.
    pub fn model(&self) -> &Model {
        self.encoder.model()
    }

    /// Returns what is worth knowing about the pipeline.
    pub fn details(&self) -> Vec<(&'static str, Value)> {
        let pooling = match &self.output {
            EmbeddingOutput::Pooled(_) => "in the graph",
            EmbeddingOutput::States(_, pooling) => pooling.name(),
        };
        let mut details = vec![
            ("dimensions", json!(self.width)),
            ("tokens_max", json!(self.tokens_max())),
            ("pooling", json!(pooling)),
            ("normalize", json!(self.normalize)),
            ("packed", json!(self.encoder.packed())),
        ];
        if !self.prompts.prompts.is_empty() {
            details.push(("prompts", json!(self.prompts.prompts)));
        }
        details
    }

    /// The text that goes before, where one does.
    fn prompt(&self, input: &EmbeddingInput) -> Result<Option<&String>, Rejection> {
        let Some(name) = input.prompt_name.as_ref().or(self.prompts.default_prompt_name.as_ref()) else {
            return Ok(None);
        };
        match self.prompts.prompts.get(name) {
            Some(prompt) => Ok(Some(prompt)),
            None => {
                let known: Vec<_> = self.prompts.prompts.keys().map(String::as_str).collect();
                let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                Err(Rejection::new("prompt_name", "known").value(name).limit(known))
            }
        }
    }
}

/// Finds the output: one that is pooled already, else the states of the tokens.
fn output(encoder: &Encoder, pooling: Pooling) -> Result<EmbeddingOutput, TaskError> {
    let outputs = &encoder.model().signature().outputs;
    let named = |name: &str| outputs.iter().find(|info| info.name == name);
    let of_rank = |rank: usize| {
        let mut fitting =
            outputs.iter().filter(|info| info.shape.as_ref().is_some_and(|shape| shape.len() == rank));
        fitting.next().filter(|_| fitting.next().is_none())
    };
    let pooled = |info: &TensorInfo| EmbeddingOutput::Pooled(info.name.clone());
    let states = |info: &TensorInfo| EmbeddingOutput::States(info.name.clone(), pooling);
    let found = named("sentence_embedding").map(pooled);
    let by_token = || named("last_hidden_state").or_else(|| named("token_embeddings")).or_else(|| of_rank(3));
    // In a packed batch nobody but the graph knows which states belong together.
    let found = found.or_else(|| by_token().filter(|_| !encoder.packed()).map(states));
    found.or_else(|| of_rank(2).map(pooled)).ok_or_else(|| TaskError::Graph {
        path: encoder.model().path().to_owned(),
        reason: format!("no output is an embedding: {}", encoder.model().signature()),
    })
}

fn width(encoder: &Encoder, output: &str) -> Option<usize> {
    let info = encoder.model().signature().outputs.iter().find(|info| info.name == output)?;
    match info.shape.as_ref()?.last()? {
        Dimension::Fixed(width) => Some(*width),
        Dimension::Dynamic(_) => None,
    }
}

impl Pipeline for TextEmbedding {
    type Input = EmbeddingInput;
    type Features = EmbeddingFeatures;
    type Prediction = RawEmbedding;
    type Output = Embedding;

    fn validate(&self, input: &EmbeddingInput) -> Result<(), Rejection> {
        let empty = match &input.text {
            Content::Text(text) => text.is_empty(),
            Content::Tokens(tokens) => tokens.is_empty(),
        };
        if empty {
            return Err(Rejection::new("text", "not_empty"));
        }
        if let (Some(wanted), Some(width)) = (input.dimensions, self.width)
            && wanted.get() > width
        {
            return Err(Rejection::new("dimensions", "range").value(wanted).limit(format!("1 to {width}")));
        }
        self.prompt(input).map(|_| ())
    }

    fn clean(&self, mut input: EmbeddingInput, _: &Facts) -> Result<EmbeddingFeatures, Rejection> {
        if let (Some(prompt), Content::Text(text)) = (self.prompt(&input)?, &input.text) {
            input.text = Content::Text(format!("{prompt}{text}"));
        }
        let cutting = Cutting { truncate: input.truncate, direction: input.truncation_direction };
        let tokenized = self.tokenizer.content(&input.text, cutting)?;
        let normalize = input.normalize.unwrap_or(self.normalize);
        let finish = Finish { normalize, dimensions: input.dimensions };
        Ok(EmbeddingFeatures { tokens: tokenized.tokens, truncated: tokenized.truncated, finish })
    }

    fn predict_batch(&self, batch: &[EmbeddingFeatures]) -> Result<Vec<RawEmbedding>, ModelError> {
        let texts: Vec<&Tokens> = batch.iter().map(|item| &item.tokens).collect();
        let outputs = self.encoder.run(&texts)?;
        let embeddings: Vec<Vec<f32>> = match &self.output {
            EmbeddingOutput::Pooled(name) => {
                let rows = floats(&outputs, name)?.into_dimensionality::<Ix2>()?;
                rows.outer_iter().map(|row| row.iter().copied().collect()).collect()
            }
            EmbeddingOutput::States(name, pooling) => {
                let states = floats(&outputs, name)?.into_dimensionality::<Ix3>()?;
                let pool = |(states, text): (_, &&Tokens)| pooling.of(states, text.len());
                states.axis_iter(Axis(0)).zip(&texts).map(pool).collect()
            }
        };
        if embeddings.len() != batch.len() {
            let reason = format!("the model gave {} embeddings for {} texts", embeddings.len(), batch.len());
            return Err(ModelError::new(reason));
        }
        let raw = |(embedding, item): (Vec<f32>, &EmbeddingFeatures)| RawEmbedding {
            embedding,
            tokens: item.tokens.len(),
            truncated: item.truncated,
            finish: item.finish,
        };
        Ok(embeddings.into_iter().zip(batch).map(raw).collect())
    }

    fn format(&self, raw: RawEmbedding) -> Embedding {
        let RawEmbedding { mut embedding, tokens, truncated, finish } = raw;
        if let Some(dimensions) = finish.dimensions {
            embedding.truncate(dimensions.get());
        }
        if finish.normalize {
            normalize(&mut embedding);
        }
        Embedding { embedding, tokens, truncated }
    }

    /// A longer text is more work, and padding a shorter one to its length is wasted work.
    fn cost(&self, features: &EmbeddingFeatures) -> usize {
        self.encoder.length().unwrap_or(features.tokens.len())
    }

    fn takes_packed_batches(&self) -> bool {
        self.encoder.packed()
    }

    fn models(&self) -> Vec<&Model> {
        vec![self.encoder.model()]
    }

    fn example(&self) -> Option<EmbeddingInput> {
        Some(EmbeddingInput::new("The soup was warm and the bread was fresh."))
    }
}
