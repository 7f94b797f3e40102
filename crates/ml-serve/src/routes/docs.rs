//! The OpenAPI document, and the page that shows it.

use actix_web::HttpResponse;
use actix_web::http::header::{CONTENT_SECURITY_POLICY, ContentType};
use actix_web::web::Data;

use crate::state::State;
use crate::{ApiError, openapi};

/// The page is of one piece and talks to this server alone.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

pub(super) async fn document(state: Data<State>) -> Result<HttpResponse, ApiError> {
    let unwritable = |error: serde_json::Error| ApiError::Unwritable { reason: error.to_string() };
    Ok(HttpResponse::Ok().json(openapi::document(&state).map_err(unwritable)?))
}

pub(super) async fn page() -> HttpResponse {
    HttpResponse::Ok()
        .content_type(ContentType::html())
        .insert_header((CONTENT_SECURITY_POLICY, POLICY))
        .body(openapi::PAGE)
}
