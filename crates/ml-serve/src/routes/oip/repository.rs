//! The repository of models: what is in it, load, unload.

use actix_web::web::{self, Bytes, Data, Payload};
use actix_web::{HttpRequest, HttpResponse};

use super::body;
use crate::ApiError;
use crate::oip::Refusal;
use crate::oip::repository::{self, Asked};
use crate::state::State;

pub(super) async fn index(
    request: HttpRequest,
    payload: Payload,
    state: Data<State>,
) -> Result<HttpResponse, Refusal> {
    let body = read(&request, payload, &state).await?;
    let ready_only = repository::wants_ready(&body)?;
    Ok(HttpResponse::Ok().json(repository::index(&state, ready_only)))
}

pub(super) async fn load(
    request: HttpRequest,
    payload: Payload,
    state: Data<State>,
) -> Result<HttpResponse, Refusal> {
    let body = read(&request, payload, &state).await?;
    let asked = Asked::read(&body)?;
    let name = name(&request);
    let done = web::block(move || repository::load(&state, &name, &asked)).await;
    done.map_err(|error| ApiError::NotReady { reason: error.to_string() })??;
    Ok(HttpResponse::Ok().finish())
}

pub(super) async fn unload(
    request: HttpRequest,
    payload: Payload,
    state: Data<State>,
) -> Result<HttpResponse, Refusal> {
    read(&request, payload, &state).await?;
    repository::unload(&state, &name(&request))?;
    Ok(HttpResponse::Ok().finish())
}

fn name(request: &HttpRequest) -> String {
    request.match_info().get("model").unwrap_or_default().to_owned()
}

pub(super) async fn read(request: &HttpRequest, payload: Payload, state: &State) -> Result<Bytes, ApiError> {
    body::read(request, payload, state.limits.body(), 0).await
}
