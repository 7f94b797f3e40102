//! Log and trace settings: read, changed.

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::{Map, Value, json};

use super::repository::read;
use crate::oip::Refusal;
use crate::oip::settings::{self, log, trace};
use crate::state::State;

fn model(request: &HttpRequest) -> &str {
    request.match_info().get("model").unwrap_or_default()
}

fn traced(state: &State, model: &str) -> Result<HttpResponse, Refusal> {
    let settings = trace::settings(state, model)?.into_iter().map(|(name, mut values)| {
        // Levels are a list, the others one text each.
        let value = if name == "trace_level" { json!(values) } else { json!(values.pop()) };
        (name.to_owned(), value)
    });
    Ok(HttpResponse::Ok().json(settings.collect::<Map<String, Value>>()))
}

pub(super) async fn trace(state: Data<State>, request: HttpRequest) -> Result<HttpResponse, Refusal> {
    traced(&state, model(&request))
}

pub(super) async fn change_trace(
    request: HttpRequest,
    payload: Payload,
    state: Data<State>,
) -> Result<HttpResponse, Refusal> {
    let body = read(&request, payload, &state).await?;
    trace::change(&state, model(&request), &settings::read(&body)?)?;
    traced(&state, model(&request))
}

fn logged() -> HttpResponse {
    let settings = log::settings().into_iter().map(|(name, value)| (name.to_owned(), json!(value)));
    HttpResponse::Ok().json(settings.collect::<Map<String, Value>>())
}

pub(super) async fn log() -> HttpResponse {
    logged()
}

pub(super) async fn change_log(
    request: HttpRequest,
    payload: Payload,
    state: Data<State>,
) -> Result<HttpResponse, Refusal> {
    let body = read(&request, payload, &state).await?;
    log::change(&state, &settings::read(&body)?)?;
    Ok(logged())
}
