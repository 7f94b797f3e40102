//! Every refusal that leaves the server: one closed list, one place that gives it a status and a code.

use std::borrow::Cow;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, RETRY_AFTER};
use actix_web::{HttpResponse, ResponseError};
use ml_core::Rejection;
use serde::Serialize;
use utoipa::ToSchema;

/// Why a request, or an item of it, has no answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ApiError {
    /// The body has no bytes.
    #[error("the body is empty; send {wanted}")]
    EmptyBody {
        /// What the route takes.
        wanted: &'static str,
    },
    /// The body, or a line of it, is not JSON.
    #[error("the body is not JSON: {reason}")]
    MalformedJson {
        /// What the parser said, with line and column.
        reason: String,
    },
    /// The body is no stream of Arrow's.
    #[error("the body is not an Arrow IPC stream: {reason}")]
    MalformedArrow {
        /// What the reader said.
        reason: String,
    },
    /// The body is not text.
    #[error("the body is not UTF-8: the first wrong byte is at {byte}")]
    InvalidUtf8 {
        /// Bytes before the wrong one.
        byte: usize,
    },
    /// The body ended before it was complete, or its transfer coding is broken.
    #[error("the body could not be read: {reason}")]
    UnreadableBody {
        /// What the transport said.
        reason: String,
    },
    /// The caller took too long to send the body.
    #[error("the body was not sent within {} ms", limit.as_millis())]
    BodyTimeout {
        /// The time that a request may take.
        limit: Duration,
    },
    /// A batch call's body is JSON, but not an array.
    #[error("a batch is a JSON array of items: {reason}")]
    NotABatch {
        /// What the parser said.
        reason: String,
    },
    /// A batch call without items.
    #[error("the batch has no items; send 1 to {limit_items}")]
    EmptyBatch {
        /// Most items of a call.
        limit_items: usize,
    },
    /// A batch call with too many items.
    #[error("the batch has {items} items, the limit is {limit_items}; send several, or stream NDJSON")]
    TooManyItems {
        /// Items in the call.
        items: usize,
        /// Most items of a call.
        limit_items: usize,
    },
    /// A body over the limit.
    #[error("the body is larger than the limit of {limit_bytes} bytes")]
    BodyTooLarge {
        /// Most bytes of a body.
        limit_bytes: usize,
    },
    /// An item over the limit.
    #[error("the item has {bytes} bytes, the limit is {limit_bytes}")]
    ItemTooLarge {
        /// Bytes of the item; where it was not read to its end, of what was read.
        bytes: usize,
        /// Most bytes of an item.
        limit_bytes: usize,
    },
    /// A content type that the route does not take.
    #[error("the content type {:?} is not taken here; send {wanted}", cut(found))]
    UnsupportedMediaType {
        /// What the caller said.
        found: String,
        /// What the route takes.
        wanted: &'static str,
    },
    /// A content encoding that the server does not undo.
    #[error("the content encoding {:?} is not taken here; send the body as it is", cut(found))]
    UnsupportedEncoding {
        /// What the caller said.
        found: String,
    },
    /// A header of ours with a value that means nothing.
    #[error("the header {name} is {:?}; send {wanted}", cut(found))]
    InvalidHeader {
        /// The header.
        name: &'static str,
        /// Its value.
        found: String,
        /// What it takes.
        wanted: &'static str,
    },
    /// An item that does not have the form that the model takes: a field is missing, unknown or of the wrong type.
    #[error("{}{reason}", field.as_ref().map(|field| format!("{field}: ")).unwrap_or_default())]
    InvalidItem {
        /// The path of the field at fault, where it is known.
        field: Option<String>,
        /// What is wrong with it.
        reason: String,
    },
    /// No model of that name.
    #[error("there is no model {:?}; this server has {known}", cut(name))]
    UnknownModel {
        /// The name in the request.
        name: String,
        /// The names that there are.
        known: String,
    },
    /// A model that is for something else than what is asked of it, or one of several that could be meant.
    #[error("{message}")]
    WrongTask {
        /// What was asked, and of what.
        message: String,
    },
    /// No such version of a model.
    #[error("there is no version {:?} of the model {:?}", cut(version), cut(name))]
    UnknownVersion {
        /// The model.
        name: String,
        /// The version in the request.
        version: String,
    },
    /// A model that is known, and of which no version is served.
    #[error("no version of the model {:?} is served", cut(name))]
    Unloaded {
        /// The model.
        name: String,
    },
    /// A model that no repository has.
    #[error("failed to load '{}', failed to poll from model repository", cut(name))]
    NotInRepository {
        /// The name in the request.
        name: String,
    },
    /// A configuration that came with a request to load, and that the model cannot be served by.
    #[error("failed to load '{}', {reason}", cut(name))]
    InvalidConfiguration {
        /// The model.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A model that could not be loaded.
    #[error("failed to load '{}', {reason}", cut(name))]
    LoadFailed {
        /// The model.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Models that are not to be loaded and unloaded by requests.
    #[error("{message}")]
    NotControlled {
        /// Why not.
        message: String,
    },
    /// No shared memory region of that name.
    #[error("Unable to find shared memory region: '{}'", cut(name))]
    UnknownRegion {
        /// The name in the request.
        name: String,
    },
    /// Something of that name is there already.
    #[error("{message}")]
    AlreadyThere {
        /// What it is.
        message: String,
    },
    /// Tensors or parameters that the model, or the protocol, does not take.
    #[error("{message}")]
    InvalidTensors {
        /// What is wrong with them, in the words that the protocol's clients look for.
        message: String,
    },
    /// A part of a protocol that this server does not serve.
    #[error("{message}")]
    Unsupported {
        /// What is not served.
        message: String,
    },
    /// No such path.
    #[error("there is nothing at {}; see /", cut(path))]
    NotFound {
        /// The path in the request.
        path: String,
    },
    /// A known path, but not with this method.
    #[error("{} does not take {}; it takes {allowed}", cut(path), cut(method))]
    MethodNotAllowed {
        /// The method in the request.
        method: String,
        /// The path in the request.
        path: String,
        /// The methods that the path takes.
        allowed: &'static str,
    },
    /// More requests at once than the server works on.
    #[error("{limit_requests} requests are being worked on, which is the limit; try again")]
    TooManyRequests {
        /// Most requests at once.
        limit_requests: usize,
    },
    /// More sequences at once than the server keeps for a model.
    #[error("{limit_sequences} sequences are under way, which is the limit; end one, or try again")]
    TooManySequences {
        /// Most sequences of a model.
        limit_sequences: usize,
    },
    /// The server cannot predict now.
    #[error("not ready: {reason}")]
    NotReady {
        /// What is missing.
        reason: String,
    },
    /// The answer could not be written as JSON.
    #[error("the answer could not be written: {reason}")]
    Unwritable {
        /// What the serialiser said.
        reason: String,
    },
    /// The engine's own refusals.
    #[error(transparent)]
    Engine(#[from] ml_core::Error),
}

impl ApiError {
    /// Every code that the server itself can answer with; those of [`ml_core::Error::CODES`] come on top.
    pub const CODES: [&'static str; 33] = [
        "empty_body",
        "malformed_json",
        "malformed_arrow",
        "invalid_utf8",
        "unreadable_body",
        "body_timeout",
        "not_a_batch",
        "empty_batch",
        "too_many_items",
        "body_too_large",
        "item_too_large",
        "unsupported_media_type",
        "unsupported_encoding",
        "invalid_header",
        "invalid_item",
        "unknown_model",
        "wrong_task",
        "unknown_version",
        "unloaded_model",
        "not_in_repository",
        "invalid_configuration",
        "load_failed",
        "not_controlled",
        "unknown_region",
        "already_there",
        "invalid_tensors",
        "unsupported",
        "not_found",
        "method_not_allowed",
        "too_many_requests",
        "too_many_sequences",
        "not_ready",
        "unwritable_answer",
    ];

    /// Returns the status and the stable code: the one place that decides them.
    pub fn status_and_code(&self) -> (StatusCode, &'static str) {
        use ml_core::Error as Engine;
        match self {
            Self::EmptyBody { .. } => (StatusCode::BAD_REQUEST, "empty_body"),
            Self::MalformedJson { .. } => (StatusCode::BAD_REQUEST, "malformed_json"),
            Self::MalformedArrow { .. } => (StatusCode::BAD_REQUEST, "malformed_arrow"),
            Self::InvalidUtf8 { .. } => (StatusCode::BAD_REQUEST, "invalid_utf8"),
            Self::UnreadableBody { .. } => (StatusCode::BAD_REQUEST, "unreadable_body"),
            // The caller was slow to send: the one case that 408 is for.
            Self::BodyTimeout { .. } => (StatusCode::REQUEST_TIMEOUT, "body_timeout"),
            Self::NotABatch { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "not_a_batch"),
            Self::EmptyBatch { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "empty_batch"),
            Self::TooManyItems { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "too_many_items"),
            Self::BodyTooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large"),
            Self::ItemTooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "item_too_large"),
            Self::UnsupportedMediaType { .. } => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type")
            }
            Self::UnsupportedEncoding { .. } => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_encoding"),
            Self::InvalidHeader { .. } => (StatusCode::BAD_REQUEST, "invalid_header"),
            Self::InvalidItem { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "invalid_item"),
            Self::UnknownModel { .. } => (StatusCode::NOT_FOUND, "unknown_model"),
            Self::WrongTask { .. } => (StatusCode::BAD_REQUEST, "wrong_task"),
            Self::UnknownVersion { .. } => (StatusCode::NOT_FOUND, "unknown_version"),
            Self::Unloaded { .. } => (StatusCode::NOT_FOUND, "unloaded_model"),
            Self::NotInRepository { .. } => (StatusCode::NOT_FOUND, "not_in_repository"),
            Self::InvalidConfiguration { .. } => (StatusCode::BAD_REQUEST, "invalid_configuration"),
            Self::LoadFailed { .. } => (StatusCode::INTERNAL_SERVER_ERROR, "load_failed"),
            // It stays so, whoever tries again: clients of KServe try again what is unavailable.
            Self::NotControlled { .. } => (StatusCode::FORBIDDEN, "not_controlled"),
            Self::UnknownRegion { .. } => (StatusCode::NOT_FOUND, "unknown_region"),
            Self::AlreadyThere { .. } => (StatusCode::CONFLICT, "already_there"),
            // The protocol's clients know 400 for all of these.
            Self::InvalidTensors { .. } => (StatusCode::BAD_REQUEST, "invalid_tensors"),
            Self::Unsupported { .. } => (StatusCode::BAD_REQUEST, "unsupported"),
            Self::NotFound { .. } => (StatusCode::NOT_FOUND, "not_found"),
            Self::MethodNotAllowed { .. } => (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed"),
            Self::TooManyRequests { .. } => (StatusCode::TOO_MANY_REQUESTS, "too_many_requests"),
            Self::TooManySequences { .. } => (StatusCode::TOO_MANY_REQUESTS, "too_many_sequences"),
            Self::NotReady { .. } => (StatusCode::SERVICE_UNAVAILABLE, "not_ready"),
            Self::Unwritable { .. } => (StatusCode::INTERNAL_SERVER_ERROR, "unwritable_answer"),
            Self::Engine(error) => {
                let status = match error {
                    Engine::Rejected(_) => StatusCode::UNPROCESSABLE_ENTITY,
                    Engine::Overloaded { .. } => StatusCode::TOO_MANY_REQUESTS,
                    Engine::CallTooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
                    Engine::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
                    Engine::LookupFailed { .. } => StatusCode::BAD_GATEWAY,
                    Engine::ModelFailed { .. } | Engine::Panicked { .. } => StatusCode::INTERNAL_SERVER_ERROR,
                    Engine::ShuttingDown => StatusCode::SERVICE_UNAVAILABLE,
                };
                (status, error.code())
            }
        }
    }

    /// Returns whether the refusal is of the whole call, and not of this item for what it is.
    pub(crate) fn concerns_call(&self) -> bool {
        use ml_core::Error as Engine;
        match self {
            Self::Engine(error) => matches!(
                error,
                Engine::Overloaded { .. }
                    | Engine::CallTooLarge { .. }
                    | Engine::DeadlineExceeded
                    | Engine::ShuttingDown
            ),
            _ => false,
        }
    }

    /// Returns when the caller may try again, in whole seconds, where trying again can help.
    fn retry_after_s(&self) -> Option<u64> {
        match self {
            Self::Engine(ml_core::Error::Overloaded { retry_after, .. }) => {
                Some(retry_after.as_secs_f64().ceil().max(1.0) as u64)
            }
            Self::TooManyRequests { .. }
            | Self::TooManySequences { .. }
            | Self::NotReady { .. }
            | Self::Engine(ml_core::Error::ShuttingDown) => Some(1),
            _ => None,
        }
    }

    /// Returns the body: `{"code", "message"}` and what more is known.
    pub fn body(&self) -> ErrorBody<'_> {
        let mut body = ErrorBody {
            code: self.status_and_code().1,
            message: self.to_string(),
            field: None,
            rule: None,
            value: None,
            limit: None,
            retry_after_s: self.retry_after_s(),
        };
        match self {
            Self::Engine(ml_core::Error::Rejected(Rejection { field, rule, value, limit })) => {
                body.field = Some(Cow::Borrowed(field));
                body.rule = Some(Cow::Borrowed(rule));
                body.value = value.as_deref();
                body.limit = limit.as_deref();
            }
            Self::InvalidItem { field: Some(field), .. } => body.field = Some(Cow::Borrowed(field)),
            _ => {}
        }
        body
    }
}

/// Cuts what a caller sent to what is worth repeating.
fn cut(text: &str) -> &str {
    text.char_indices().nth(80).map_or(text, |(end, _)| &text[..end])
}

/// What a refusal looks like on the wire.
#[derive(Debug, Serialize, ToSchema)]
pub struct ErrorBody<'a> {
    /// Stable and machine-readable.
    pub code: &'static str,
    /// For a person: names the value and the limit.
    pub message: String,
    /// The field at fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<Cow<'a, str>>,
    /// The rule that it broke.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<Cow<'a, str>>,
    /// The value that broke it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<&'a str>,
    /// What is allowed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<&'a str>,
    /// When to try again, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_s: Option<u64>,
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        self.status_and_code().0
    }

    fn error_response(&self) -> HttpResponse {
        self.response_with(&self.body())
    }
}

impl ApiError {
    /// Returns the answer with this body: a protocol may want another one than [`Self::body`].
    pub(crate) fn response_with(&self, body: &impl Serialize) -> HttpResponse {
        let mut response = HttpResponse::build(self.status_code());
        if let Some(seconds) = self.retry_after_s() {
            response.insert_header((RETRY_AFTER, seconds));
        }
        if let Self::MethodNotAllowed { allowed, .. } = self {
            response.insert_header((ALLOW, *allowed));
        }
        let (_, code) = self.status_and_code();
        let mut response = response.json(body);
        response.extensions_mut().insert(ErrorCode(code));
        response
    }
}

/// Tells the request's guard which code was answered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ErrorCode(pub &'static str);
