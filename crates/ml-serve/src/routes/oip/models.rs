//! What is asked about the server and its models.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde_json::json;

use crate::oip::describe::ServerMetadata;
use crate::oip::models::{self, Named};
use crate::oip::{Refusal, statistics as measured};
use crate::routes::operations;
use crate::state::State;

/// The model that the path names.
pub(super) fn named(request: &HttpRequest) -> Named {
    let part = |name: &str| request.match_info().get(name).unwrap_or_default();
    Named::new(part("model").to_owned(), part("version"))
}

pub(super) async fn server() -> HttpResponse {
    HttpResponse::Ok().json(ServerMetadata::default())
}

pub(super) async fn live() -> HttpResponse {
    operations::live().await
}

pub(super) async fn ready(state: Data<State>) -> Result<HttpResponse, Refusal> {
    Ok(operations::ready(state).await?)
}

pub(super) async fn model_ready(state: Data<State>, request: HttpRequest) -> Result<HttpResponse, Refusal> {
    let named = named(&request);
    let (_, contract) = named.of(&state)?;
    models::ready(&state, contract.name).await?;
    Ok(HttpResponse::Ok().json(json!({ "name": contract.name, "ready": true })))
}

pub(super) async fn metadata(state: Data<State>, request: HttpRequest) -> Result<HttpResponse, Refusal> {
    let named = named(&request);
    let (_, contract) = named.of(&state)?;
    Ok(HttpResponse::Ok().json(contract.metadata()))
}

pub(super) async fn config(state: Data<State>, request: HttpRequest) -> Result<HttpResponse, Refusal> {
    let named = named(&request);
    let (_, contract) = named.of(&state)?;
    Ok(HttpResponse::Ok().json(contract.config()))
}

pub(super) async fn statistics(state: Data<State>, request: HttpRequest) -> Result<HttpResponse, Refusal> {
    let named = named(&request);
    let (model, contract) = named.of(&state)?;
    Ok(HttpResponse::Ok().json(json!({ "model_stats": [measured::of_model(contract.name, model)] })))
}

pub(super) async fn all_statistics(state: Data<State>) -> HttpResponse {
    let models = state
        .models
        .iter()
        .filter_map(|(name, model)| Some(measured::of_model(name, model.served.tensors()?)));
    HttpResponse::Ok().json(json!({ "model_stats": models.collect::<Vec<_>>() }))
}
