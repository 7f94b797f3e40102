//! Which models there are, and what each says about itself.

use actix_web::HttpResponse;
use actix_web::web::{Data, Path};
use serde::Serialize;
use utoipa::ToSchema;

use crate::ApiError;
use crate::served::ModelInfo;
use crate::state::State;

/// A model, and what it says about itself.
#[derive(Serialize, ToSchema)]
pub(crate) struct Described<'a> {
    name: &'a str,
    #[serde(flatten)]
    info: &'a ModelInfo,
}

/// The models of a server.
#[derive(Serialize, ToSchema)]
pub(crate) struct Listed<'a> {
    models: Vec<Described<'a>>,
}

pub(super) async fn list(state: Data<State>) -> HttpResponse {
    let models = state.models.latest();
    let models = models.iter().map(|model| Described { name: &model.name, info: &model.info });
    HttpResponse::Ok().json(Listed { models: models.collect() })
}

pub(super) async fn describe(state: Data<State>, name: Path<String>) -> Result<HttpResponse, ApiError> {
    let model = state.models.find(&name, None)?;
    Ok(HttpResponse::Ok().json(Described { name: &name, info: &model.info }))
}
