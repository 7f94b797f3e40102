//! What each route takes, answers and refuses: a line for each, in the order of `routes.rs`.

use serde_json::Value;
use utoipa::openapi::request_body::{RequestBody, RequestBodyBuilder};
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Required, Response, ResponseBuilder, Schema};

use super::WISHES;
use super::models::Place;
use crate::arrow;
use crate::oip::binary;

/// A route as the document shows it.
pub(super) struct Described {
    /// The group that it is shown in.
    pub tag: &'static str,
    pub body: Body,
    pub answer: Answer,
    /// Every status that it can refuse with.
    pub refusals: &'static [u16],
}

/// What a route takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Body {
    None,
    /// JSON of this schema, which may be left out.
    Json(&'static str),
    /// JSON of this schema, with something to compute.
    Work(&'static str),
    /// One item of the model.
    Item,
    /// Many items of the model.
    Items,
    /// Named tensors of the model.
    Tensors,
}

/// What a route answers.
#[derive(Debug, Clone, Copy)]
pub(super) enum Answer {
    /// Nothing but the status.
    Empty,
    /// JSON of this schema.
    Json(&'static str),
    /// Text of this media type.
    Text(&'static str),
    Output,
    Outputs,
    Tensors,
}

// What reading a body, finding a model and computing can be refused with.
const READ: &[u16] = &[400, 408, 413, 429];
const MODEL: &[u16] = &[404];
const WRITTEN: &[u16] = &[404, 500];
const READY: &[u16] = &[503];
const PREDICT: &[u16] = &[400, 404, 408, 413, 415, 422, 429, 500, 502, 503, 504];
const INFER: &[u16] = &[400, 404, 408, 413, 422, 429, 500, 502, 503, 504];
const LOAD: &[u16] = &[400, 403, 404, 408, 413, 429, 500, 503];
const CHANGE: &[u16] = &[400, 403, 404, 408, 413, 429];
const UNLOAD: &[u16] = &[400, 403, 408, 413, 429];

const OPERATIONS: &str = "operations";
const MODELS: &str = "models";
const TENSORS: &str = "open inference protocol";
const REPOSITORY: &str = "model repository";
const MEMORY: &str = "shared memory";
const SETTINGS: &str = "settings";
const OPENAI: &str = "as OpenAI has it";
const TEI: &str = "as text-embeddings-inference has it";

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";

/// Returns what is to be said of a route; `None` where nobody has said it.
pub(super) fn of(method: &str, pattern: &str) -> Option<Described> {
    let (tag, body, answer, refusals): (_, _, _, &[u16]) = match (method, without_version(pattern).as_str()) {
        ("GET", "/") => (OPERATIONS, Body::None, Answer::Json("Routes"), &[]),
        ("GET", "/openapi.json") => (OPERATIONS, Body::None, Answer::Json("Anything"), &[500]),
        ("GET", "/docs") => (OPERATIONS, Body::None, Answer::Text(HTML), &[]),
        ("GET", "/health/live") => (OPERATIONS, Body::None, Answer::Json("Live"), &[]),
        ("GET", "/health/ready") => (OPERATIONS, Body::None, Answer::Json("Ready"), READY),
        ("GET", "/metrics") => (OPERATIONS, Body::None, Answer::Text(OPEN_METRICS), &[500]),
        ("GET", "/version") => (OPERATIONS, Body::None, Answer::Json("Version"), &[]),
        ("GET", "/models") => (MODELS, Body::None, Answer::Json("Models"), &[]),
        ("GET", "/models/{model}") => (MODELS, Body::None, Answer::Json("Described"), MODEL),
        ("POST", "/models/{model}/predict") => (MODELS, Body::Item, Answer::Output, PREDICT),
        ("POST", "/models/{model}/predict_batch") => (MODELS, Body::Items, Answer::Outputs, PREDICT),
        ("GET", "/v2") => (TENSORS, Body::None, Answer::Json("ServerMetadata"), &[]),
        ("GET", "/v2/health/live") => (TENSORS, Body::None, Answer::Json("Live"), &[]),
        ("GET", "/v2/health/ready") => (TENSORS, Body::None, Answer::Json("Ready"), READY),
        ("GET", "/v2/models/stats") => (TENSORS, Body::None, Answer::Json("Statistics"), &[]),
        ("GET", "/v2/models/{model}") => (TENSORS, Body::None, Answer::Json("ModelMetadata"), MODEL),
        ("GET", "/v2/models/{model}/ready") => (TENSORS, Body::None, Answer::Json("ModelReady"), &[404, 503]),
        ("GET", "/v2/models/{model}/config") => (TENSORS, Body::None, Answer::Json("ModelConfig"), WRITTEN),
        ("GET", "/v2/models/{model}/stats") => (TENSORS, Body::None, Answer::Json("Statistics"), MODEL),
        ("POST", "/v2/models/{model}/infer") => (TENSORS, Body::Tensors, Answer::Tensors, INFER),
        ("POST", "/v2/repository/index" | "/v2/repository/{repository}/index") => {
            (REPOSITORY, Body::Json("IndexRequest"), Answer::Json("Index"), READ)
        }
        ("POST", "/v2/repository/models/{model}/load") => {
            (REPOSITORY, Body::Json("LoadRequest"), Answer::Empty, LOAD)
        }
        ("POST", "/v2/repository/models/{model}/unload") => {
            (REPOSITORY, Body::Json("Anything"), Answer::Empty, UNLOAD)
        }
        ("GET", "/v2/systemsharedmemory/status") => (MEMORY, Body::None, Answer::Json("Regions"), &[]),
        ("GET", "/v2/systemsharedmemory/region/{region}/status") => {
            (MEMORY, Body::None, Answer::Json("Regions"), MODEL)
        }
        ("POST", "/v2/systemsharedmemory/region/{region}/register") => {
            (MEMORY, Body::Json("RegisterRequest"), Answer::Empty, &[400, 408, 409, 413, 429])
        }
        (
            "POST",
            "/v2/systemsharedmemory/unregister" | "/v2/systemsharedmemory/region/{region}/unregister",
        ) => (MEMORY, Body::Json("Anything"), Answer::Empty, READ),
        ("GET", "/v2/cudasharedmemory/status") => (MEMORY, Body::None, Answer::Json("Regions"), &[]),
        ("GET", "/v2/cudasharedmemory/region/{region}/status") => {
            (MEMORY, Body::None, Answer::Json("Regions"), MODEL)
        }
        ("POST", "/v2/cudasharedmemory/region/{region}/register") => {
            (MEMORY, Body::Json("Anything"), Answer::Empty, &[400, 429])
        }
        ("POST", "/v2/cudasharedmemory/unregister" | "/v2/cudasharedmemory/region/{region}/unregister") => {
            (MEMORY, Body::Json("Anything"), Answer::Empty, &[429])
        }
        ("GET", "/v2/trace/setting") => (SETTINGS, Body::None, Answer::Json("TraceSetting"), &[]),
        ("GET", "/v2/models/{model}/trace/setting") => {
            (SETTINGS, Body::None, Answer::Json("TraceSetting"), MODEL)
        }
        ("POST", "/v2/trace/setting") => {
            (SETTINGS, Body::Json("TraceSettingRequest"), Answer::Json("TraceSetting"), CHANGE)
        }
        ("POST", "/v2/models/{model}/trace/setting") => {
            (SETTINGS, Body::Json("TraceSettingRequest"), Answer::Json("TraceSetting"), CHANGE)
        }
        ("GET", "/v2/logging") => (SETTINGS, Body::None, Answer::Json("LogSettings"), &[]),
        ("POST", "/v2/logging") => (SETTINGS, Body::Json("LogSettings"), Answer::Json("LogSettings"), CHANGE),
        ("GET", "/v1/models") => (OPENAI, Body::None, Answer::Json("OpenAiModels"), &[]),
        ("GET", "/v1/models/{model}") => (OPENAI, Body::None, Answer::Json("OpenAiModel"), &[400, 404]),
        ("POST", "/v1/embeddings") => {
            (OPENAI, Body::Work("EmbeddingsRequest"), Answer::Json("Embeddings"), PREDICT)
        }
        ("POST", "/embed" | "/tei/{model}/embed") => {
            (TEI, Body::Work("EmbedRequest"), Answer::Json("Vectors"), PREDICT)
        }
        ("POST", "/predict" | "/tei/{model}/predict") => {
            (TEI, Body::Work("PredictRequest"), Answer::Json("Predicted"), PREDICT)
        }
        ("POST", "/rerank" | "/tei/{model}/rerank") => {
            (TEI, Body::Work("RerankRequest"), Answer::Json("Ranks"), PREDICT)
        }
        _ => return None,
    };
    Some(Described { tag, body, answer, refusals })
}

/// A version in the path changes which model answers, and nothing else.
fn without_version(pattern: &str) -> String {
    pattern.replacen("/versions/{version}", "", 1)
}

/// JSON of a schema by its name.
fn json(schema: &str) -> ContentBuilder {
    ContentBuilder::new().schema(Some(RefOr::<Schema>::Ref(Ref::from_schema_name(schema))))
}

const JSON: &str = "application/json";
const NDJSON: &str = "application/x-ndjson";
const BYTES: &str = "application/octet-stream";

impl Body {
    /// Whether it differs from model to model.
    pub fn is_of_model(self) -> bool {
        matches!(self, Self::Item | Self::Items | Self::Tensors)
    }

    /// The headers that mean something beside the body.
    pub fn headers(self) -> Vec<&'static str> {
        match self {
            Self::None | Self::Json(_) => Vec::new(),
            Self::Work(_) | Self::Item | Self::Items => WISHES.to_vec(),
            Self::Tensors => [&WISHES[..], &[binary::HEADER]].concat(),
        }
    }

    pub fn request(self, place: &Place<'_>) -> Option<RequestBody> {
        let body = RequestBodyBuilder::new().required(Some(Required::True));
        let example = |name: &str| place.model.and_then(|model| model.example(name));
        let shown = |name: &'static str| json(&place.schema(name)).example(example(name)).build();
        let body = match self {
            Self::None => return None,
            Self::Json(schema) => body.required(Some(Required::False)).content(JSON, json(schema).build()),
            Self::Work(schema) => body.content(JSON, json(schema).build()),
            Self::Item => body.content(JSON, shown("item")),
            Self::Items => {
                let lines =
                    json("Text").example(example("item").map(|item| Value::String(format!("{item}\n"))));
                let table = ContentBuilder::new().build();
                let body = body.content(JSON, shown("items")).content(NDJSON, lines.build());
                body.content(arrow::MEDIA, table)
            }
            Self::Tensors => {
                let description = "JSON and the tensors after it, where the header says how long the JSON is";
                let bytes = ContentBuilder::new().build();
                body.description(Some(description)).content(JSON, shown("request")).content(BYTES, bytes)
            }
        };
        Some(body.build())
    }
}

impl Answer {
    pub fn response(self, place: &Place<'_>) -> Response {
        let response = ResponseBuilder::new().description("the answer");
        let of_model = |name: &str| json(&place.schema(name)).build();
        let response = match self {
            Self::Empty => response,
            Self::Json(schema) => response.content(JSON, json(schema).build()),
            Self::Text(media) => response.content(media, json("Text").build()),
            Self::Output => response.content(JSON, of_model("output")),
            Self::Outputs => {
                let response =
                    response.content(JSON, of_model("outputs")).content(NDJSON, json("Text").build());
                response.content(arrow::MEDIA, ContentBuilder::new().build())
            }
            Self::Tensors => {
                let bytes = ContentBuilder::new().build();
                response.content(JSON, of_model("answer")).content(BYTES, bytes)
            }
        };
        response.build()
    }
}
