//! Embeddings and the list of models as OpenAI has them: `/v1`.

use actix_web::http::StatusCode;
use actix_web::web::{Bytes, Data, Path, Payload, ServiceConfig};
use actix_web::{HttpMessage, HttpRequest, HttpResponse, ResponseError};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ml_core::{Priority, Rejection};
use ml_tasks::{Embedding, EmbeddingInput, TextEmbedding};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{post, read, resource};
use crate::ApiError;
use crate::body;
use crate::served::extract;
use crate::state::{Model, State};
use crate::tasks::{InputError, Inputs, Ready};
use crate::wishes::Wishes;

/// The paths, with their methods and what they are for.
pub(crate) const ROUTES: [(&str, &str, &str); 3] = [
    ("GET", "/v1/models", "the models of embeddings, as OpenAI lists them"),
    ("GET", "/v1/models/{model}", "one of them"),
    ("POST", "/v1/embeddings", "embeddings of texts or tokens, as OpenAI answers them"),
];

const WANTED: &str = "a request for embeddings as application/json";

/// Puts the routes into an application.
pub(super) fn configure(config: &mut ServiceConfig) {
    config
        .service(resource("/v1/models", "GET, HEAD").route(read().to(models)))
        .service(resource("/v1/models/{model}", "GET, HEAD").route(read().to(model)))
        .service(resource("/v1/embeddings", "POST").route(post().to(embeddings)));
}

#[derive(Serialize)]
struct List<T> {
    object: &'static str,
    data: Vec<T>,
}

#[derive(Serialize)]
struct Listed<'a> {
    id: &'a str,
    object: &'static str,
    /// When the server was started, in seconds since 1970.
    created: u64,
    owned_by: &'static str,
}

fn listed<'a>(state: &State, model: &'a Model) -> Listed<'a> {
    Listed { id: &model.name, object: "model", created: state.started_s, owned_by: "ml-serve" }
}

async fn models(state: Data<State>) -> HttpResponse {
    let models = Ready::<TextEmbedding>::all(&state);
    let data = models.iter().map(|model| listed(&state, model)).collect();
    HttpResponse::Ok().json(List { object: "list", data })
}

async fn model(state: Data<State>, name: Path<String>) -> Result<HttpResponse, Refusal> {
    let found = Ready::<TextEmbedding>::find(&state, Some(&name), TASK)?;
    Ok(HttpResponse::Ok().json(listed(&state, &found.model)))
}

const TASK: &str = "text embedding";

/// A request; what else clients send means nothing here.
#[derive(Deserialize)]
struct Request {
    model: String,
    input: Inputs,
    #[serde(default)]
    encoding_format: Format,
    #[serde(default)]
    dimensions: Option<std::num::NonZeroUsize>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Format {
    #[default]
    Float,
    Base64,
}

#[derive(Serialize)]
struct Answer<'a> {
    #[serde(flatten)]
    list: List<Embedded<'a>>,
    model: &'a str,
    usage: Usage,
}

#[derive(Serialize)]
struct Usage {
    prompt_tokens: usize,
    total_tokens: usize,
}

#[derive(Serialize)]
struct Embedded<'a> {
    object: &'static str,
    index: usize,
    embedding: Vector<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Vector<'a> {
    Float(&'a [f32]),
    Base64(String),
}

impl Embedded<'_> {
    fn of((index, embedding): (usize, &Embedding), format: Format) -> Embedded<'_> {
        let numbers = &*embedding.embedding;
        let embedding = match format {
            Format::Float => Vector::Float(numbers),
            Format::Base64 => {
                let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
                Vector::Base64(STANDARD.encode(bytes))
            }
        };
        Embedded { object: "embedding", index, embedding }
    }
}

async fn embeddings(
    request: HttpRequest,
    payload: Payload,
    state: Data<State>,
) -> Result<HttpResponse, Refusal> {
    let limits = state.limits;
    let body = json_body(&request, payload, &state, WANTED).await?;
    let asked: Request = extract(body::text(&body)?)?;
    let inputs = asked.input.checked(limits)?;
    let usual = if inputs.len() > 1 { Priority::Bulk } else { Priority::Interactive };
    let wishes = Wishes::read(&request, limits.request_timeout, usual)?;
    let ready = Ready::<TextEmbedding>::find(&state, Some(&asked.model), TASK)?;
    let item = |text| EmbeddingInput {
        text,
        prompt_name: None,
        // Theirs are always of length one, and a part of one is made so again.
        normalize: Some(true),
        dimensions: asked.dimensions,
        truncate: false,
        truncation_direction: None,
    };
    let (outputs, timings) = ready.call(inputs.into_iter().map(item).collect(), wishes).await?;
    let tokens = outputs.iter().map(|output| output.tokens).sum();
    let data = outputs.iter().enumerate().map(|output| Embedded::of(output, asked.encoding_format)).collect();
    let answer = Answer {
        list: List { object: "list", data },
        model: &ready.model.name,
        usage: Usage { prompt_tokens: tokens, total_tokens: tokens },
    };
    request.extensions_mut().insert(timings);
    Ok(HttpResponse::Ok().json(answer))
}

/// Reads a body of JSON.
pub(super) async fn json_body(
    request: &HttpRequest,
    payload: Payload,
    state: &State,
    wanted: &'static str,
) -> Result<Bytes, ApiError> {
    body::media(request, wanted)?.must_be_json(wanted)?;
    body::read(request, payload, state.limits.body(), wanted).await
}

/// A refusal as OpenAI's clients get it: `{"error": {"message", "type", "param", "code"}}`.
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
        let (status, code) = self.0.error.status_and_code();
        // As their server names them, where programs look for these.
        let code = if code == "unknown_model" { "model_not_found" } else { code };
        let kind = match status {
            StatusCode::TOO_MANY_REQUESTS => "rate_limit_error",
            status if status.is_server_error() => "server_error",
            _ => "invalid_request_error",
        };
        let error = json!({"message": self.0.to_string(), "type": kind, "param": self.param(), "code": code});
        self.0.error.response_with(&json!({ "error": error }))
    }
}

impl Refusal {
    /// The parameter at fault, where it is known.
    fn param(&self) -> Option<String> {
        let name = match &self.0.error {
            ApiError::UnknownModel { .. } | ApiError::WrongTask { .. } => "model",
            ApiError::InvalidItem { field, .. } => return field.clone(),
            ApiError::Engine(ml_core::Error::Rejected(Rejection { field, .. })) if field == "dimensions" => {
                "dimensions"
            }
            ApiError::EmptyBatch { .. }
            | ApiError::TooManyItems { .. }
            | ApiError::ItemTooLarge { .. }
            | ApiError::Engine(ml_core::Error::Rejected(_)) => "input",
            _ => return None,
        };
        Some(name.to_owned())
    }
}
