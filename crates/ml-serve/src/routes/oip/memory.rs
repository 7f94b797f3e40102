//! Shared memory: which regions there are, register, unregister. Of CUDA's there are none.

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::json;

use super::repository::read;
use crate::ApiError;
use crate::oip::Refusal;
use crate::oip::regions::{self, Registered};
use crate::state::State;

fn region(request: &HttpRequest) -> Option<&str> {
    request.match_info().get("region")
}

pub(super) async fn status(state: Data<State>, request: HttpRequest) -> Result<HttpResponse, Refusal> {
    Ok(HttpResponse::Ok().json(state.regions.status(region(&request))?))
}

pub(super) async fn register(
    request: HttpRequest,
    payload: Payload,
    state: Data<State>,
) -> Result<HttpResponse, Refusal> {
    let body = read(&request, payload, &state).await?;
    let name = region(&request).unwrap_or_default().to_owned();
    state.regions.register(Registered::read(name, &body)?)?;
    Ok(HttpResponse::Ok().finish())
}

pub(super) async fn unregister(
    request: HttpRequest,
    payload: Payload,
    state: Data<State>,
) -> Result<HttpResponse, Refusal> {
    read(&request, payload, &state).await?;
    state.regions.unregister(region(&request));
    Ok(HttpResponse::Ok().finish())
}

/// Clients ask for these before they begin, and unregister what they never registered.
pub(super) async fn cuda_status(request: HttpRequest) -> Result<HttpResponse, Refusal> {
    match region(&request) {
        None => Ok(HttpResponse::Ok().json(json!([]))),
        Some(name) => Err(Refusal(ApiError::UnknownRegion { name: name.to_owned() })),
    }
}

pub(super) async fn cuda_register() -> Result<HttpResponse, Refusal> {
    Err(regions::no_cuda())
}

pub(super) async fn cuda_unregister() -> HttpResponse {
    HttpResponse::Ok().finish()
}
