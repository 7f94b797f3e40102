//! Many items in, one result for each out, in order: `{"output": …}` or `{"error": {"code", "message", …}}`.

use actix_web::http::header::ContentType;
use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpMessage, HttpRequest, HttpResponse};
use ml_core::Priority;
use serde::Serialize;
use serde_json::value::RawValue;

use super::{arrow, ndjson, predict};
use crate::ApiError;
use crate::body::{self, Media};
use crate::error::ErrorBody;
use crate::served::{Item, ItemResult};
use crate::state::{Limits, State};
use crate::wishes::Wishes;

const WANTED: &str = "a JSON array of items as application/json, one item a line as application/x-ndjson, or a table as \
                      application/vnd.apache.arrow.stream";

pub(super) async fn predict_batch(
    request: HttpRequest,
    payload: Payload,
    state: Data<State>,
    name: Path<String>,
) -> Result<HttpResponse, ApiError> {
    let model = state.models.find(&name, None)?;
    let limits = state.limits;
    let media = body::media(&request, WANTED)?;
    // Many items are work, not somebody who waits: unless told otherwise, single items go before them.
    let wishes = Wishes::read(&request, limits.request_timeout, Priority::Bulk)?;
    if media == Media::NdJson {
        return Ok(ndjson::predict_stream(model, payload, limits, wishes));
    }
    let body = body::read(&request, payload, limits.body(), WANTED).await?;
    if media == Media::Arrow {
        return arrow::predict_table(model, body, wishes);
    }
    let items = items(body::text(&body)?, limits)?;
    let reply = predict::call(&*model.served, items, wishes).await?;
    if let Some(refusal) = refusal_of_all(&reply.results) {
        return Err(refusal.clone());
    }
    request.extensions_mut().insert(reply.timings);
    Ok(HttpResponse::Ok().content_type(ContentType::json()).body(written(&reply.results)?))
}

/// Splits the array without reading the items, so that a broken one is its own error.
pub(crate) fn items(body: &str, limits: Limits) -> Result<Vec<Item<'_>>, ApiError> {
    let raw: Vec<&RawValue> = serde_json::from_str(body).map_err(|error| {
        let reason = error.to_string();
        if error.is_data() { ApiError::NotABatch { reason } } else { ApiError::MalformedJson { reason } }
    })?;
    match raw.len() {
        0 => Err(ApiError::EmptyBatch { limit_items: limits.call_items_max }),
        items if items > limits.call_items_max => {
            Err(ApiError::TooManyItems { items, limit_items: limits.call_items_max })
        }
        _ => Ok(raw.into_iter().map(|raw| sized(raw.get(), limits)).collect()),
    }
}

/// Refuses an item that is too large.
fn sized(item: &str, limits: Limits) -> Item<'_> {
    let (bytes, limit_bytes) = (item.len(), limits.item_bytes_max);
    if bytes > limit_bytes { Err(ApiError::ItemTooLarge { bytes, limit_bytes }) } else { Ok(item) }
}

/// Returns the refusal when the call as a whole was refused, so that its status says so.
fn refusal_of_all(results: &[ItemResult]) -> Option<&ApiError> {
    let first = results.first()?.as_ref().err().filter(|error| error.concerns_call())?;
    let code = first.status_and_code();
    let same = |result: &ItemResult| result.as_ref().is_err_and(|error| error.status_and_code() == code);
    results.iter().all(same).then_some(first)
}

/// One result on the wire.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Written<'a> {
    Output(&'a RawValue),
    Error(ErrorBody<'a>),
}

impl<'a> From<&'a ItemResult> for Written<'a> {
    fn from(result: &'a ItemResult) -> Self {
        match result {
            Ok(output) => Self::Output(output),
            Err(error) => Self::Error(error.body()),
        }
    }
}

fn written(results: &[ItemResult]) -> Result<Vec<u8>, ApiError> {
    let results: Vec<Written<'_>> = results.iter().map(Written::from).collect();
    serde_json::to_vec(&results).map_err(|error| ApiError::Unwritable { reason: error.to_string() })
}
