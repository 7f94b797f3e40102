//! The Open Inference Protocol over HTTP: `/v2`.

pub(crate) mod body;
mod infer;
mod memory;
mod models;
mod repository;
mod settings;

use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpRequest, Resource};

use super::{post, read};
use crate::ApiError;
use crate::oip::Refusal;

/// The paths, with their methods and what they are for; those of a model also take `/versions/{version}` after its name.
pub(crate) const ROUTES: [(&str, &str, &str); 34] = [
    ("GET", "/v2", "the server: name, version, extensions of the Open Inference Protocol"),
    ("GET", "/v2/health/live", "200 while the process runs"),
    ("GET", "/v2/health/ready", "200 when every model has just made a real prediction"),
    ("GET", "/v2/models/stats", "statistics of all models of tensors"),
    ("GET", "/v2/models/{model}", "the inputs and outputs of a model"),
    ("GET", "/v2/models/{model}/ready", "200 when the model has just made a real prediction"),
    ("GET", "/v2/models/{model}/config", "the model's configuration"),
    ("GET", "/v2/models/{model}/stats", "the model's statistics"),
    ("POST", "/v2/models/{model}/infer", "predicts tensors, in JSON or binary"),
    ("POST", "/v2/repository/index", "what models there are, and which of them are ready"),
    ("POST", "/v2/repository/{repository}/index", "as without the repository"),
    ("POST", "/v2/repository/models/{model}/load", "loads a model, or loads it again"),
    ("POST", "/v2/repository/models/{model}/unload", "serves a model no longer"),
    ("GET", "/v2/systemsharedmemory/status", "the regions of shared memory that are registered"),
    ("GET", "/v2/systemsharedmemory/region/{region}/status", "one of them"),
    ("POST", "/v2/systemsharedmemory/region/{region}/register", "registers a region of shared memory"),
    ("POST", "/v2/systemsharedmemory/region/{region}/unregister", "forgets a region"),
    ("POST", "/v2/systemsharedmemory/unregister", "forgets all regions"),
    ("GET", "/v2/cudasharedmemory/status", "an empty list: this server takes no memory of CUDA's"),
    ("GET", "/v2/cudasharedmemory/region/{region}/status", "refused: there is no such region"),
    ("POST", "/v2/cudasharedmemory/region/{region}/register", "refused: this is not served"),
    ("POST", "/v2/cudasharedmemory/region/{region}/unregister", "nothing to forget"),
    ("POST", "/v2/cudasharedmemory/unregister", "nothing to forget"),
    ("GET", "/v2/trace/setting", "which requests are traced"),
    ("POST", "/v2/trace/setting", "changes which requests are traced"),
    ("GET", "/v2/models/{model}/trace/setting", "which requests of a model are traced"),
    ("POST", "/v2/models/{model}/trace/setting", "changes which requests of a model are traced"),
    ("GET", "/v2/logging", "what is logged"),
    ("POST", "/v2/logging", "changes what is logged"),
    ("GET", "/v2/models/{model}/versions/{version}", "a version of a model, and the same below it"),
    ("GET", "/v2/models/{model}/versions/{version}/config", "as without version"),
    ("GET", "/v2/models/{model}/versions/{version}/ready", "as without version"),
    ("GET", "/v2/models/{model}/versions/{version}/stats", "as without version"),
    ("POST", "/v2/models/{model}/versions/{version}/infer", "as without version"),
];

/// Puts the routes into an application.
pub(super) fn configure(config: &mut ServiceConfig) {
    config
        .service(resource(&["/v2", "/v2/"], "GET, HEAD").route(read().to(models::server)))
        .service(resource(&["/v2/health/live"], "GET, HEAD").route(read().to(models::live)))
        .service(resource(&["/v2/health/ready"], "GET, HEAD").route(read().to(models::ready)))
        .service(resource(&["/v2/models/stats"], "GET, HEAD").route(read().to(models::all_statistics)))
        .service(of_model("", "GET, HEAD").route(read().to(models::metadata)))
        .service(of_model("/ready", "GET, HEAD").route(read().to(models::model_ready)))
        .service(of_model("/config", "GET, HEAD").route(read().to(models::config)))
        .service(of_model("/stats", "GET, HEAD").route(read().to(models::statistics)))
        .service(of_model("/infer", "POST").route(post().to(infer::infer)))
        .service(
            resource(&["/v2/repository/index", "/v2/repository/{repository}/index"], "POST")
                .route(post().to(repository::index)),
        )
        .service(resource(&["/v2/repository/models/{model}/load"], "POST").route(post().to(repository::load)))
        .service(
            resource(&["/v2/repository/models/{model}/unload"], "POST").route(post().to(repository::unload)),
        )
        .configure(configure_memory)
        .configure(configure_settings)
        .service(web::resource("/v2/{rest:.*}").default_service(web::to(not_found)));
}

fn configure_memory(config: &mut ServiceConfig) {
    // With a region in the path, and without for all of them.
    let paths = |kind: &str, what: &str| {
        [format!("/v2/{kind}sharedmemory/{what}"), format!("/v2/{kind}sharedmemory/region/{{region}}/{what}")]
    };
    let of = |kind: &str, what: &str, allowed| {
        let [all, one] = paths(kind, what);
        resource(&[&all, &one], allowed)
    };
    let of_one = |kind: &str, what: &str| resource(&[&paths(kind, what)[1]], "POST");
    config
        .service(of("system", "status", "GET, HEAD").route(read().to(memory::status)))
        .service(of("system", "unregister", "POST").route(post().to(memory::unregister)))
        .service(of_one("system", "register").route(post().to(memory::register)))
        .service(of("cuda", "status", "GET, HEAD").route(read().to(memory::cuda_status)))
        .service(of("cuda", "unregister", "POST").route(post().to(memory::cuda_unregister)))
        .service(of_one("cuda", "register").route(post().to(memory::cuda_register)));
}

fn configure_settings(config: &mut ServiceConfig) {
    let paths = ["/v2/trace/setting", "/v2/models/{model}/trace/setting"];
    config
        .service(
            resource(&paths, "GET, HEAD, POST")
                .route(read().to(settings::trace))
                .route(post().to(settings::change_trace)),
        )
        .service(
            resource(&["/v2/logging"], "GET, HEAD, POST")
                .route(read().to(settings::log))
                .route(post().to(settings::change_log)),
        );
}

/// A path below a model, with a version and without.
fn of_model(path: &str, allowed: &'static str) -> Resource {
    let paths =
        [format!("/v2/models/{{model}}{path}"), format!("/v2/models/{{model}}/versions/{{version}}{path}")];
    resource(&[&paths[0], &paths[1]], allowed)
}

fn resource(paths: &[&str], allowed: &'static str) -> Resource {
    web::resource(paths.to_vec()).default_service(web::to(move |request: HttpRequest| async move {
        let (method, path) = (request.method().to_string(), request.path().to_owned());
        Err::<actix_web::HttpResponse, _>(Refusal(ApiError::MethodNotAllowed { method, path, allowed }))
    }))
}

async fn not_found(request: HttpRequest) -> Result<actix_web::HttpResponse, Refusal> {
    Err(Refusal(ApiError::NotFound { path: request.path().to_owned() }))
}
