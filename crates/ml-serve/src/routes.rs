//! The routes. Each is listed once, with its methods, so that a wrong method is told apart from a wrong path.

mod batch;
mod models;
mod ndjson;
mod operations;
mod predict;

use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse, Resource, Route, guard};

use crate::ApiError;

/// Every path with the methods that it takes and what it is for; `GET /` answers this table.
pub(crate) const ROUTES: [(&str, &str, &str); 9] = [
    ("GET", "/", "this table"),
    ("GET", "/models", "the models of this server"),
    ("GET", "/models/{model}", "one model: what runs it, an item to send, its details"),
    ("POST", "/models/{model}/predict", "predicts one item"),
    ("POST", "/models/{model}/predict_batch", "predicts a JSON array of items, or NDJSON lines as they come"),
    ("GET", "/health/live", "200 while the process runs"),
    ("GET", "/health/ready", "200 when every model has just made a real prediction"),
    ("GET", "/metrics", "numbers for Prometheus"),
    ("GET", "/version", "name and version"),
];

/// Returns the pattern that a path belongs to, for logs and metrics; `unmatched` where there is none.
pub(crate) fn pattern(path: &str) -> &'static str {
    // Every request passes here: single characters are found several times as fast as "{model}".
    let matches = |pattern: &str| match pattern.split_once('{') {
        None => path == pattern,
        Some((before, rest)) => path
            .strip_prefix(before)
            .and_then(|path| path.strip_suffix(rest.trim_start_matches(|c| c != '/')))
            .is_some_and(|model| !model.is_empty() && !model.contains('/')),
    };
    ROUTES.into_iter().find(|(_, pattern, _)| matches(pattern)).map_or("unmatched", |(_, pattern, _)| pattern)
}

/// Puts the routes into an application.
pub(crate) fn configure(config: &mut ServiceConfig) {
    config
        // They are tried in this order, so the one that is asked most comes first.
        .service(resource("/models/{model}/predict", "POST").route(web::post().to(predict::predict)))
        .service(resource("/", "GET, HEAD").route(read().to(operations::index)))
        .service(resource("/models", "GET, HEAD").route(read().to(models::list)))
        .service(resource("/models/{model}", "GET, HEAD").route(read().to(models::describe)))
        .service(
            resource("/models/{model}/predict_batch", "POST").route(web::post().to(batch::predict_batch)),
        )
        .service(resource("/health/live", "GET, HEAD").route(read().to(operations::live)))
        .service(resource("/health/ready", "GET, HEAD").route(read().to(operations::ready)))
        .service(resource("/metrics", "GET, HEAD").route(read().to(operations::metrics)))
        .service(resource("/version", "GET, HEAD").route(read().to(operations::version)))
        .default_service(web::to(not_found));
}

/// GET, and HEAD, which is GET without the body: some load balancers probe with it.
fn read() -> Route {
    web::route().guard(guard::Any(guard::Get()).or(guard::Head()))
}

fn resource(path: &str, allowed: &'static str) -> Resource {
    web::resource(path).default_service(web::to(move |request: HttpRequest| async move {
        let (method, path) = (request.method().to_string(), request.path().to_owned());
        Err::<HttpResponse, _>(ApiError::MethodNotAllowed { method, path, allowed })
    }))
}

async fn not_found(request: HttpRequest) -> Result<HttpResponse, ApiError> {
    Err(ApiError::NotFound { path: request.path().to_owned() })
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
        ] {
            assert_eq!(pattern(path), expected, "{path}");
        }
    }
}
