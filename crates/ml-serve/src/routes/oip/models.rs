//! What is asked about the server and its models.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde_json::json;

use crate::ApiError;
use crate::oip::describe::ServerMetadata;
use crate::oip::models::Named;
use crate::oip::{Refusal, statistics as measured};
use crate::repository::config_json;
use crate::routes::operations;
use crate::state::State;

/// The model that the path names.
pub(super) fn named(request: &HttpRequest) -> Named {
    let part = |name: &str| request.match_info().get(name).unwrap_or_default();
    Named::new(part("model").to_owned(), part("version"))
}

pub(super) async fn server(state: Data<State>) -> HttpResponse {
    HttpResponse::Ok().json(ServerMetadata::of(&state.name))
}

pub(super) async fn live() -> HttpResponse {
    operations::live().await
}

pub(super) async fn ready(state: Data<State>) -> Result<HttpResponse, Refusal> {
    Ok(operations::ready(state).await?)
}

pub(super) async fn model_ready(state: Data<State>, request: HttpRequest) -> Result<HttpResponse, Refusal> {
    let found = named(&request).of(&state)?;
    found.ready(&state).await?;
    let (_, contract) = found.parts()?;
    Ok(HttpResponse::Ok().json(json!({ "name": contract.name, "ready": true })))
}

pub(super) async fn metadata(state: Data<State>, request: HttpRequest) -> Result<HttpResponse, Refusal> {
    let named = named(&request);
    let found = named.of(&state)?;
    let (_, contract) = found.parts()?;
    Ok(HttpResponse::Ok().json(contract.metadata(named.versions(&state))))
}

pub(super) async fn config(state: Data<State>, request: HttpRequest) -> Result<HttpResponse, Refusal> {
    let found = named(&request).of(&state)?;
    let (_, contract) = found.parts()?;
    let unwritable = |reason| Refusal(ApiError::Unwritable { reason });
    Ok(HttpResponse::Ok().json(config_json(&contract.pipeline.settled().config).map_err(unwritable)?))
}

pub(super) async fn statistics(state: Data<State>, request: HttpRequest) -> Result<HttpResponse, Refusal> {
    let found = named(&request).of(&state)?;
    let (model, contract) = found.parts()?;
    let measured = measured::of_model(contract.name, contract.version, model);
    Ok(HttpResponse::Ok().json(json!({ "model_stats": [measured] })))
}

pub(super) async fn all_statistics(state: Data<State>) -> HttpResponse {
    let models = state.models.all();
    let measured = models
        .iter()
        .filter_map(|model| Some(measured::of_model(&model.name, model.version, model.served.tensors()?)));
    HttpResponse::Ok().json(json!({ "model_stats": measured.collect::<Vec<_>>() }))
}
