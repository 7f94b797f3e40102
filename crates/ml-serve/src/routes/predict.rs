//! One item in, its output out.

use std::sync::Arc;

use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::HeaderValue;
use actix_web::web::{Data, Path, Payload};
use actix_web::{FromRequest, HttpMessage, HttpRequest, HttpResponse};
use ml_core::{Priority, WhenFull};
use ml_tasks::{ImageClassification, ImageInput};

use crate::ApiError;
use crate::body::{self, BodyLimits};
use crate::served::{Item, Reply, Served};
use crate::state::{Limits, State};
use crate::tasks::Ready;
use crate::wishes::{Wishes, in_time};

static JSON: HeaderValue = HeaderValue::from_static("application/json");

const WANTED: &str = "one item as application/json";

pub(super) async fn predict(
    request: HttpRequest,
    payload: Payload,
    state: Data<State>,
    name: Path<String>,
) -> Result<HttpResponse, ApiError> {
    predict_by(request, payload, &state, &name).await
}

/// Returns the model that a request is to predict with, where its route can be told without the router.
///
/// That one compares paths with regular expressions, and hands over by boxes what handlers ask for, which takes a twelfth of the
/// instructions of a request whose answer is remembered. What it alone can read (names with escapes in them) is left to it.
pub(crate) fn at_once(request: &ServiceRequest) -> Option<String> {
    let name = request.path().strip_prefix("/models/")?.strip_suffix("/predict")?;
    let plain = !name.is_empty() && !name.contains(['/', '%']) && request.method() == Method::POST;
    plain.then(|| name.to_owned())
}

/// Predicts what [`at_once`] has told the model of.
pub(crate) async fn predict_at_once(request: ServiceRequest, state: &State, name: &str) -> ServiceResponse {
    let (request, mut body) = request.into_parts();
    let answer = match Payload::from_request(&request, &mut body).await {
        Ok(payload) => {
            predict_by(request.clone(), payload, state, name).await.map_err(actix_web::Error::from)
        }
        Err(error) => Err(error),
    };
    ServiceResponse::new(request, answer.unwrap_or_else(HttpResponse::from_error))
}

async fn predict_by(
    request: HttpRequest,
    payload: Payload,
    state: &State,
    name: &str,
) -> Result<HttpResponse, ApiError> {
    if body::is_image(&request) {
        // Boxed, so that an item's way is no larger than what the allocator hands out fastest (1 KiB in glibc).
        return Box::pin(predict_image(request, payload, state, name)).await;
    }
    let model = state.models.find(name, None)?;
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
    Ok(HttpResponse::Ok().content_type(JSON.clone()).body(String::from(Box::<str>::from(output))))
}

/// An image as the whole body, for models of images.
async fn predict_image(
    request: HttpRequest,
    payload: Payload,
    state: &State,
    name: &str,
) -> Result<HttpResponse, ApiError> {
    let ready = Ready::<ImageClassification>::find(state, Some(name), "image classification")?;
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
    in_time(wishes.deadline, served.call(items, wishes.options(WhenFull::Refuse))).await
}

impl Limits {
    pub(super) fn body(&self) -> BodyLimits {
        BodyLimits { bytes_max: self.body_bytes_max, timeout: self.request_timeout }
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn a_plain_path_tells_its_model_without_the_router() {
        for (method, path, expected) in [
            (Method::POST, "/models/iris/predict", Some("iris")),
            (Method::POST, "/models/iris/predict?x=/predict", Some("iris")),
            (Method::GET, "/models/iris/predict", None),
            (Method::POST, "/models/i%72is/predict", None),
            (Method::POST, "/models//predict", None),
            (Method::POST, "/models/predict", None),
            (Method::POST, "/models/a/b/predict", None),
            (Method::POST, "/models/iris/predict/", None),
            (Method::POST, "/models/iris/predict_batch", None),
            (Method::POST, "/v2/models/iris/predict", None),
        ] {
            let request = TestRequest::default().method(method.clone()).uri(path).to_srv_request();
            assert_eq!(at_once(&request).as_deref(), expected, "{method} {path}");
        }
    }

    #[test]
    fn a_small_items_way_is_small() {
        fn bytes<A, B, C, D, F>(_: impl Fn(A, B, C, D) -> F) -> usize {
            size_of::<F>()
        }
        // actix puts it into a box, with what it was made of.
        assert!(bytes(predict) < 900, "{}", bytes(predict));
        fn bytes_at_once<F>(_: impl Fn(ServiceRequest, &'static State, &'static str) -> F) -> usize {
            size_of::<F>()
        }
        assert!(bytes_at_once(predict_at_once) < 1000, "{}", bytes_at_once(predict_at_once));
    }
}
