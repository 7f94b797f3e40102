//! One item in, its output out.

use std::sync::Arc;
use std::time::Instant;

use actix_web::http::header::ContentType;
use actix_web::rt::time::timeout;
use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpMessage, HttpRequest, HttpResponse};
use ml_core::{Priority, WhenFull};
use ml_tasks::{ImageClassification, ImageInput};

use crate::ApiError;
use crate::body::{self, BodyLimits};
use crate::served::{Item, Reply, Served};
use crate::state::{Limits, State};
use crate::tasks::Ready;
use crate::wishes::Wishes;

const WANTED: &str = "one item as application/json";

pub(super) async fn predict(
    request: HttpRequest,
    payload: Payload,
    state: Data<State>,
    name: Path<String>,
) -> Result<HttpResponse, ApiError> {
    if body::is_image(&request) {
        // Boxed, so that an item's way is no larger than what the allocator hands out fastest (1 KiB in glibc).
        return Box::pin(predict_image(request, payload, state, name)).await;
    }
    let model = state.models.find(&name, None)?;
    body::media(&request, WANTED)?.must_be_json(WANTED)?;
    let limits = state.limits;
    let wishes = Wishes::read(&request, limits.request_timeout, Priority::Interactive)?;
    let body = body::read(&request, payload, limits.body(), WANTED).await?;
    let item = body::text(&body)?;
    if item.len() > limits.item_bytes_max {
        return Err(ApiError::ItemTooLarge { bytes: item.len(), limit_bytes: limits.item_bytes_max });
    }
    let mut reply = call(&*model.served, vec![Ok(item)], wishes).await?;
    let output = reply.results.pop().unwrap_or(Err(ApiError::Engine(ml_core::Error::ShuttingDown)))?;
    // Of the request, since those of a response are made anew for each.
    request.extensions_mut().insert(reply.timings);
    Ok(HttpResponse::Ok().content_type(ContentType::json()).body(String::from(Box::<str>::from(output))))
}

/// An image as the whole body, for models of images.
async fn predict_image(
    request: HttpRequest,
    payload: Payload,
    state: Data<State>,
    name: Path<String>,
) -> Result<HttpResponse, ApiError> {
    let ready = Ready::<ImageClassification>::find(&state, Some(&name), "image classification")?;
    let limits = state.limits;
    let wishes = Wishes::read(&request, limits.request_timeout, Priority::Interactive)?;
    let limits = BodyLimits { bytes_max: limits.item_bytes_max.min(limits.body_bytes_max), ..limits.body() };
    let body = body::read(&request, payload, limits, "an image").await?;
    let image = ImageInput { image: Arc::from(&*body), top_k: None };
    let (mut outputs, timings) = ready.call(vec![image], wishes).await.map_err(|refused| refused.error)?;
    request.extensions_mut().insert(timings);
    let output = outputs.pop().ok_or(ApiError::Engine(ml_core::Error::ShuttingDown))?;
    Ok(HttpResponse::Ok().json(output))
}

/// Calls a model and stops waiting at the deadline.
pub(super) async fn call(
    served: &dyn Served,
    items: Vec<Item<'_>>,
    wishes: Wishes,
) -> Result<Reply, ApiError> {
    let calling = served.call(items, wishes.options(WhenFull::Refuse));
    let Some(deadline) = wishes.deadline else { return Ok(calling.await) };
    let reply = timeout(deadline.saturating_duration_since(Instant::now()), calling).await;
    reply.map_err(|_| ApiError::Engine(ml_core::Error::DeadlineExceeded))
}

impl Limits {
    pub(super) fn body(&self) -> BodyLimits {
        BodyLimits { bytes_max: self.body_bytes_max, timeout: self.request_timeout }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_items_way_is_small() {
        fn bytes<A, B, C, D, F>(_: impl Fn(A, B, C, D) -> F) -> usize {
            size_of::<F>()
        }
        // actix puts it into a box, with what it was made of.
        assert!(bytes(predict) < 900, "{}", bytes(predict));
    }
}
