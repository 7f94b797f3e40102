//! What operators ask: is it alive, is it ready, how busy is it, which version, which routes.

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::web::Data;
use ml_core::WhenFull;
use serde_json::json;

use super::ROUTES;
use crate::ApiError;
use crate::served::within;
use crate::state::State;

/// The longest that a readiness check may take: probes of common orchestrators give up soon after.
const CHECK_TIMEOUT: Duration = Duration::from_secs(5);

pub(super) async fn index() -> HttpResponse {
    let routes: Vec<_> = ROUTES
        .iter()
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
    if state.is_draining() {
        return Err(ApiError::NotReady { reason: "the server is shutting down".to_owned() });
    }
    for (name, model) in &state.models {
        let checked = model.served.check(within(CHECK_TIMEOUT, WhenFull::Refuse));
        let checked = actix_web::rt::time::timeout(CHECK_TIMEOUT, checked).await;
        let reason = match checked {
            Ok(Ok(())) => continue,
            Ok(Err(error)) => format!("{name}: {error}"),
            Err(_) => format!("{name}: no answer within {} ms", CHECK_TIMEOUT.as_millis()),
        };
        return Err(ApiError::NotReady { reason });
    }
    Ok(HttpResponse::Ok().json(json!({"ready": true})))
}

pub(super) async fn metrics(state: Data<State>) -> Result<HttpResponse, ApiError> {
    let text = state.metrics.encode().map_err(|error| ApiError::Unwritable { reason: error.to_string() })?;
    let media = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(HttpResponse::Ok().content_type(media).body(text))
}
