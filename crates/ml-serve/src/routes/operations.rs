//! What operators ask: is it alive, is it ready, how busy is it, which version, which routes.

use actix_web::HttpResponse;
use actix_web::web::Data;
use serde_json::json;

use super::all;
use crate::ApiError;
use crate::oip::models;
use crate::state::State;

pub(super) async fn index() -> HttpResponse {
    let routes: Vec<_> = all()
        .map(|(method, path, purpose)| json!({"method": method, "path": path, "purpose": purpose}))
        .collect();
    HttpResponse::Ok()
        .json(json!({"name": "ml-serve", "version": env!("CARGO_PKG_VERSION"), "routes": routes}))
}

pub(super) async fn version() -> HttpResponse {
    HttpResponse::Ok().json(json!({"name": "ml-serve", "version": env!("CARGO_PKG_VERSION")}))
}

pub(super) async fn live() -> HttpResponse {
    HttpResponse::Ok().json(json!({"live": true}))
}

/// Answers 200 when every model has just made a real prediction.
pub(super) async fn ready(state: Data<State>) -> Result<HttpResponse, ApiError> {
    models::all_ready(&state).await?;
    Ok(HttpResponse::Ok().json(json!({"ready": true})))
}

pub(super) async fn metrics(state: Data<State>) -> Result<HttpResponse, ApiError> {
    let text = state.metrics.encode().map_err(|error| ApiError::Unwritable { reason: error.to_string() })?;
    let media = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(HttpResponse::Ok().content_type(media).body(text))
}
