//! Embeddings, classes and ranks as text-embeddings-inference has them: `/embed`, `/predict`, `/rerank`, and the same below
//! `/tei/{model}` where several models could be meant.

use std::cmp::Ordering;

use actix_web::http::StatusCode;
use actix_web::web::{Data, Payload, ServiceConfig};
use actix_web::{HttpMessage, HttpRequest, HttpResponse, ResponseError};
use ml_core::{Priority, Timings};
use ml_tasks::{
    ClassificationInput, Content, Direction, EmbeddingInput, LabelScore, Ranked, Reranking, RerankingInput,
    TextClassification, TextEmbedding,
};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::openai::json_body;
use super::{post, resource};
use crate::ApiError;
use crate::body;
use crate::served::extract;
use crate::state::State;
use crate::tasks::{InputError, Inputs, Ready, check_bytes, check_count};
use crate::wishes::Wishes;

/// The paths, with their methods and what they are for.
pub(crate) const ROUTES: [(&str, &str, &str); 6] = [
    ("POST", "/embed", "embeddings of texts, as text-embeddings-inference answers them"),
    ("POST", "/predict", "labels of texts, likewise"),
    ("POST", "/rerank", "texts by how well they answer a query, likewise"),
    ("POST", "/tei/{model}/embed", "as /embed, of this model"),
    ("POST", "/tei/{model}/predict", "as /predict, of this model"),
    ("POST", "/tei/{model}/rerank", "as /rerank, of this model"),
];

const WANTED: &str = "a request as application/json";

/// Puts the routes into an application.
pub(super) fn configure(config: &mut ServiceConfig) {
    for prefix in ["", "/tei/{model}"] {
        config
            .service(resource(&format!("{prefix}/embed"), "POST").route(post().to(embed)))
            .service(resource(&format!("{prefix}/predict"), "POST").route(post().to(predict)))
            .service(resource(&format!("{prefix}/rerank"), "POST").route(post().to(rerank)));
    }
}

/// Whether a path is one of these.
pub(super) fn is_ours(path: &str) -> bool {
    matches!(path, "/embed" | "/predict" | "/rerank") || path.starts_with("/tei/")
}

/// The model that the path names.
fn named(request: &HttpRequest) -> Option<&str> {
    request.match_info().get("model")
}

fn answered(request: &HttpRequest, timings: Timings, body: &impl Serialize) -> HttpResponse {
    request.extensions_mut().insert(timings);
    HttpResponse::Ok().json(body)
}

fn yes() -> bool {
    true
}

#[derive(Deserialize)]
struct EmbedRequest {
    inputs: Inputs,
    #[serde(default = "yes")]
    normalize: bool,
    #[serde(default)]
    truncate: bool,
    #[serde(default)]
    truncation_direction: Option<Direction>,
    #[serde(default)]
    prompt_name: Option<String>,
    #[serde(default)]
    dimensions: Option<std::num::NonZeroUsize>,
}

async fn embed(request: HttpRequest, payload: Payload, state: Data<State>) -> Result<HttpResponse, Refusal> {
    let ready = Ready::<TextEmbedding>::find(&state, named(&request), "text embedding")?;
    let body = json_body(&request, payload, &state, WANTED).await?;
    let asked: EmbedRequest = extract(body::text(&body)?)?;
    let inputs = asked.inputs.checked(state.limits)?;
    let wishes = wishes(&request, &state, inputs.len())?;
    let item = |text: Content| EmbeddingInput {
        text,
        prompt_name: asked.prompt_name.clone(),
        normalize: Some(asked.normalize),
        dimensions: asked.dimensions,
        truncate: asked.truncate,
        truncation_direction: asked.truncation_direction,
    };
    let (outputs, timings) = ready.call(inputs.into_iter().map(item).collect(), wishes).await?;
    let vectors: Vec<&[f32]> = outputs.iter().map(|output| &*output.embedding).collect();
    Ok(answered(&request, timings, &vectors))
}

/// Many inputs are work; one is somebody who waits.
fn wishes(request: &HttpRequest, state: &State, inputs: usize) -> Result<Wishes, ApiError> {
    let usual = if inputs > 1 { Priority::Bulk } else { Priority::Interactive };
    Wishes::read(request, state.limits.request_timeout, usual)
}

#[derive(Deserialize)]
struct PredictRequest {
    inputs: Sequences,
    #[serde(default)]
    raw_scores: bool,
    #[serde(default)]
    truncate: bool,
    #[serde(default)]
    truncation_direction: Option<Direction>,
}

/// A text, a pair, or an array of arrays of one or two texts.
#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a text, a pair of texts, or an array of arrays of one or two texts")]
enum Sequences {
    One(String),
    Pair([String; 2]),
    Single([String; 1]),
    Many(Vec<Sequence>),
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected an array of one or two texts")]
enum Sequence {
    Single([String; 1]),
    Pair([String; 2]),
}

impl Sequence {
    fn parts(self) -> (String, Option<String>) {
        match self {
            Self::Single([text]) => (text, None),
            Self::Pair([text, pair]) => (text, Some(pair)),
        }
    }
}

impl Sequences {
    /// Returns the texts, and whether the answer is an array of arrays.
    fn parts(self) -> (Vec<(String, Option<String>)>, bool) {
        match self {
            Self::One(text) | Self::Single([text]) => (vec![(text, None)], false),
            Self::Pair([text, pair]) => (vec![(text, Some(pair))], false),
            Self::Many(sequences) => (sequences.into_iter().map(Sequence::parts).collect(), true),
        }
    }
}

/// One text's labels, or those of several.
#[derive(Serialize)]
#[serde(untagged)]
enum Predicted {
    One(Vec<LabelScore>),
    Many(Vec<Vec<LabelScore>>),
}

async fn predict(
    request: HttpRequest,
    payload: Payload,
    state: Data<State>,
) -> Result<HttpResponse, Refusal> {
    let ready = Ready::<TextClassification>::find(&state, named(&request), "text classification")?;
    let body = json_body(&request, payload, &state, WANTED).await?;
    let asked: PredictRequest = extract(body::text(&body)?)?;
    let (sequences, several) = asked.inputs.parts();
    check_count(sequences.len(), state.limits)?;
    let bytes = |(text, pair): &(String, Option<String>)| text.len() + pair.as_ref().map_or(0, String::len);
    check_bytes(sequences.iter().map(bytes), state.limits)?;
    let wishes = wishes(&request, &state, sequences.len())?;
    let item = |(text, text_pair)| ClassificationInput {
        text,
        text_pair,
        raw_scores: asked.raw_scores,
        truncate: asked.truncate,
        truncation_direction: asked.truncation_direction,
    };
    let (outputs, timings) = ready.call(sequences.into_iter().map(item).collect(), wishes).await?;
    let mut scores: Vec<_> = outputs.into_iter().map(|output| output.scores).collect();
    let predicted = match scores.pop() {
        Some(only) if !several => Predicted::One(only),
        last => Predicted::Many(scores.into_iter().chain(last).collect()),
    };
    Ok(answered(&request, timings, &predicted))
}

#[derive(Deserialize)]
struct RerankRequest {
    query: String,
    texts: Vec<String>,
    #[serde(default)]
    raw_scores: bool,
    #[serde(default)]
    return_text: bool,
    #[serde(default)]
    truncate: bool,
    #[serde(default)]
    truncation_direction: Option<Direction>,
}

#[derive(Serialize)]
struct Rank<'a> {
    index: usize,
    score: f32,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
}

async fn rerank(request: HttpRequest, payload: Payload, state: Data<State>) -> Result<HttpResponse, Refusal> {
    let ready = Ready::<Reranking>::find(&state, named(&request), "reranking")?;
    let body = json_body(&request, payload, &state, WANTED).await?;
    let asked: RerankRequest = extract(body::text(&body)?)?;
    check_count(asked.texts.len(), state.limits)?;
    check_bytes(asked.texts.iter().map(|text| asked.query.len() + text.len()), state.limits)?;
    // Somebody waits for a search, however many texts it has found.
    let wishes = Wishes::read(&request, state.limits.request_timeout, Priority::Interactive)?;
    let item = |text: &String| RerankingInput {
        query: asked.query.clone(),
        text: text.clone(),
        raw_scores: asked.raw_scores,
        truncate: asked.truncate,
        truncation_direction: asked.truncation_direction,
    };
    let (outputs, timings) = ready.call(asked.texts.iter().map(item).collect(), wishes).await?;
    let text = |index: usize| asked.texts.get(index).filter(|_| asked.return_text).map(String::as_str);
    let rank = |(index, output): (usize, &Ranked)| Rank { index, score: output.score, text: text(index) };
    let mut ranks: Vec<Rank<'_>> = outputs.iter().enumerate().map(rank).collect();
    ranks.sort_by(|one, other| other.score.partial_cmp(&one.score).unwrap_or(Ordering::Equal));
    Ok(answered(&request, timings, &ranks))
}

/// A refusal as that server's clients get it: `{"error", "error_type"}`.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub(super) struct Refusal(pub InputError);

impl<E: Into<InputError>> From<E> for Refusal {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl ResponseError for Refusal {
    fn status_code(&self) -> StatusCode {
        self.0.error.status_code()
    }

    fn error_response(&self) -> HttpResponse {
        let kind = match &self.0.error {
            ApiError::EmptyBatch { .. } | ApiError::EmptyBody { .. } => "Empty",
            ApiError::Engine(ml_core::Error::Rejected(rejection)) => match &*rejection.rule {
                "not_empty" => "Empty",
                "tokenises" => "Tokenizer",
                _ => "Validation",
            },
            error => match error.status_code() {
                StatusCode::TOO_MANY_REQUESTS => "Overloaded",
                StatusCode::SERVICE_UNAVAILABLE => "Unhealthy",
                status if status.is_server_error() => "Backend",
                _ => "Validation",
            },
        };
        self.0.error.response_with(&json!({"error": self.0.to_string(), "error_type": kind}))
    }
}
