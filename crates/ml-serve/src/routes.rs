//! The routes. Each is listed once, with its methods, so that a wrong method is told apart from a wrong path.

mod arrow;
pub(crate) mod batch;
mod docs;
mod models;
pub(crate) mod ndjson;
pub(crate) mod oip;
mod openai;
mod operations;
mod predict;
mod tei;

use actix_web::http::Method;
use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse, Resource, ResponseError, Route, guard};

use crate::ApiError;
use crate::oip::Refusal;

pub(crate) use self::models::{Described, Listed};
pub(crate) use self::predict::{at_once, predict_at_once};

/// The route that most requests take.
pub(crate) const PREDICT: &str = "/models/{model}/predict";

/// Every path with the methods that it takes and what it is for; `GET /` answers this table.
pub(crate) const ROUTES: [(&str, &str, &str); 11] = [
    ("GET", "/", "this table"),
    ("GET", "/models", "the models of this server"),
    ("GET", "/models/{model}", "one model: what runs it, an item to send, its details"),
    ("POST", PREDICT, "predicts one item"),
    (
        "POST",
        "/models/{model}/predict_batch",
        "predicts a JSON array of items, NDJSON lines as they come, or an Arrow IPC stream",
    ),
    ("GET", "/health/live", "200 while the process runs"),
    ("GET", "/health/ready", "200 when every model has just made a real prediction"),
    ("GET", "/metrics", "numbers for Prometheus"),
    ("GET", "/version", "name and version"),
    ("GET", "/openapi.json", "all of this as an OpenAPI document"),
    ("GET", "/docs", "a page that shows that document and tries what is in it"),
];

/// Every path of every protocol.
pub(crate) fn all() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    ROUTES.into_iter().chain(oip::ROUTES).chain(openai::ROUTES).chain(tei::ROUTES)
}

/// Returns the pattern that a path belongs to, for logs and metrics; `unmatched` where there is none.
pub(crate) fn pattern(path: &str) -> &'static str {
    let path = path.strip_suffix('/').filter(|path| *path == "/v2").unwrap_or(path);
    all().find(|(_, pattern, _)| belongs(path, pattern)).map_or("unmatched", |(_, pattern, _)| pattern)
}

/// Whether a path is of a pattern, in which a name in braces stands for a part that is not empty.
///
/// Byte by byte: it is asked for every request, and of most patterns the first bytes tell that it is not.
fn belongs(path: &str, pattern: &str) -> bool {
    let (mut path, mut pattern) = (path.as_bytes(), pattern.as_bytes());
    while let [next, rest @ ..] = pattern {
        let (of_path, of_pattern) = if *next == b'{' {
            let end_of = |text: &[u8]| text.iter().position(|byte| *byte == b'/').unwrap_or(text.len());
            (end_of(path), &pattern[end_of(pattern)..])
        } else {
            (usize::from(path.first() == Some(next)), rest)
        };
        if of_path == 0 {
            return false;
        }
        (path, pattern) = (&path[of_path..], of_pattern);
    }
    path.is_empty()
}

/// Whether a path is one of text-embeddings-inference's.
pub(crate) fn is_tei(path: &str) -> bool {
    tei::is_ours(path)
}

/// Refuses a request in the form of the protocol that its path belongs to.
pub(crate) fn refuse(path: &str, refusal: ApiError) -> HttpResponse {
    let is_below =
        |folder: &str| path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    if is_below("/v2") {
        Refusal(refusal).error_response()
    } else if is_below("/v1") {
        openai::Refusal::from(refusal).error_response()
    } else if is_tei(path) {
        tei::Refusal::from(refusal).error_response()
    } else {
        refusal.error_response()
    }
}

/// Puts the routes into an application.
pub(crate) fn configure(config: &mut ServiceConfig) {
    config
        // They are tried in this order, so the one that is asked most comes first.
        .service(resource(PREDICT, "POST").route(post().to(predict::predict)))
        .service(resource("/", "GET, HEAD").route(read().to(operations::index)))
        .service(resource("/models", "GET, HEAD").route(read().to(models::list)))
        .service(resource("/models/{model}", "GET, HEAD").route(read().to(models::describe)))
        .service(resource("/models/{model}/predict_batch", "POST").route(post().to(batch::predict_batch)))
        .service(resource("/health/live", "GET, HEAD").route(read().to(operations::live)))
        .service(resource("/health/ready", "GET, HEAD").route(read().to(operations::ready)))
        .service(resource("/metrics", "GET, HEAD").route(read().to(operations::metrics)))
        .service(resource("/version", "GET, HEAD").route(read().to(operations::version)))
        .service(resource("/openapi.json", "GET, HEAD").route(read().to(docs::document)))
        .service(resource("/docs", "GET, HEAD").route(read().to(docs::page)))
        .configure(oip::configure)
        .configure(openai::configure)
        .configure(tei::configure)
        .default_service(web::to(not_found));
}

/// POST. Actix's own guard notes in every request which methods a path takes; a path here says so itself.
fn post() -> Route {
    web::route().guard(guard::fn_guard(|request| request.head().method == Method::POST))
}

/// GET, and HEAD, which is GET without the body: some load balancers probe with it.
fn read() -> Route {
    web::route().guard(guard::Any(guard::Get()).or(guard::Head()))
}

fn resource(path: &str, allowed: &'static str) -> Resource {
    web::resource(path).default_service(web::to(move |request: HttpRequest| async move {
        let (method, path) = (request.method().to_string(), request.path().to_owned());
        refuse(request.path(), ApiError::MethodNotAllowed { method, path, allowed })
    }))
}

async fn not_found(request: HttpRequest) -> HttpResponse {
    refuse(request.path(), ApiError::NotFound { path: request.path().to_owned() })
}

#[cfg(test)]
mod tests {
    use super::pattern;

    #[test]
    fn a_path_belongs_to_the_route_that_serves_it() {
        for (path, expected) in [
            ("/", "/"),
            ("/models", "/models"),
            ("/models/iris", "/models/{model}"),
            ("/models/iris/predict", "/models/{model}/predict"),
            ("/models/iris/predict/", "unmatched"),
            ("/models//predict", "unmatched"),
            ("/models/predict", "/models/{model}"),
            ("/models/a/b/predict", "unmatched"),
            ("/health", "unmatched"),
            ("", "unmatched"),
            ("/v2", "/v2"),
            ("/v2/", "/v2"),
            ("/v2/models/stats", "/v2/models/stats"),
            ("/v2/models/iris/infer", "/v2/models/{model}/infer"),
            ("/v2/models/iris/versions/1/infer", "/v2/models/{model}/versions/{version}/infer"),
            ("/v2/models/iris/infer/", "unmatched"),
            ("/v1/embeddings", "/v1/embeddings"),
            ("/tei/minilm/embed", "/tei/{model}/embed"),
        ] {
            assert_eq!(pattern(path), expected, "{path}");
        }
    }
}
