//! A refusal as the protocol's clients get it: `{"error": "…"}`, in Triton's words where it has some.
//!
//! Which status a refusal has is decided where all are, in `error.rs`; here are only the words.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, ResponseError};
use serde_json::json;

use crate::ApiError;

/// A refusal that leaves in the protocol's form.
#[derive(Debug, thiserror::Error)]
#[error("{}", self.text())]
pub(crate) struct Refusal(pub ApiError);

impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Self {
        Self(error)
    }
}

impl Refusal {
    /// Refuses a request for what its tensors or parameters are.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self(ApiError::InvalidTensors { message: message.into() })
    }

    /// Says what is wrong, in Triton's words.
    pub fn text(&self) -> String {
        use ml_core::Error as Engine;
        match &self.0 {
            ApiError::UnknownModel { name, .. } => {
                format!("Request for unknown model: '{name}' is not found")
            }
            ApiError::UnknownVersion { name, version } => {
                format!("Request for unknown model: '{name}' version {version} is not found")
            }
            ApiError::Unloaded { name } => {
                format!("Request for unknown model: '{name}' has no available versions")
            }
            ApiError::NotFound { .. } => "Not Found".to_owned(),
            ApiError::MethodNotAllowed { .. } => "Method Not Allowed".to_owned(),
            ApiError::Engine(error @ Engine::Overloaded { .. }) => {
                format!("Exceeds maximum queue size: {error}")
            }
            ApiError::Engine(Engine::DeadlineExceeded) => "Request timeout expired".to_owned(),
            other => other.to_string(),
        }
    }
}

impl ResponseError for Refusal {
    fn status_code(&self) -> StatusCode {
        self.0.status_code()
    }

    fn error_response(&self) -> HttpResponse {
        // Exactly this media type: a client of KServe shows the text under no other.
        self.0.response_with(&json!({ "error": self.text() }))
    }
}
