//! What the server answers, as an OpenAPI 3.1 document: every route with every status, and the models with their schemas.
//!
//! The document is made when it is asked for, since models come and go. Where a model's schema decides what is sent and
//! answered, its name stands in the path: OpenAPI prefers such a path to the one with `{model}` in it.

mod models;
mod operations;
mod schemas;
mod statuses;
mod tasks;
mod tensors;

use serde_json::Value;
use utoipa::openapi::path::{Operation, OperationBuilder, ParameterBuilder, ParameterIn};
use utoipa::openapi::{
    HttpMethod, InfoBuilder, Object, OpenApiBuilder, Paths, Ref, RefOr, Required, Schema, Type,
};

use self::models::Place;
use self::operations::Described;
use crate::routes;
use crate::state::State;
use crate::wishes::{PRIORITY_HEADER, TIMEOUT_HEADER};

pub(crate) use self::models::in_path;
pub(crate) use self::tensors::{item_schema, output_schema};

/// The page that shows the document and tries its operations.
pub(crate) const PAGE: &str = include_str!("openapi/page.html");

/// Describes the server as it is now.
///
/// # Errors
/// When the document cannot be written as JSON.
pub(crate) fn document(state: &State) -> serde_json::Result<Value> {
    let models = models::Models::of(state);
    let mut paths = Paths::new();
    for (method, pattern, purpose) in routes::all() {
        let Some(described) = operations::of(method, pattern) else { continue };
        for place in models.places(pattern, described.body) {
            let operation = operation(&models, &described, (method, pattern, purpose), &place);
            paths.add_path_operation(&place.path, vec![http_method(method)], operation);
        }
    }
    let info = InfoBuilder::new()
        .title("ml-serve")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some("Models over HTTP: their own JSON, and the protocols of other servers' clients."));
    let components = statuses::components(schemas::components());
    let document = OpenApiBuilder::new().info(info.build()).paths(paths).components(Some(components)).build();
    let mut document = serde_json::to_value(document)?;
    if let Some(schemas) = document.pointer_mut("/components/schemas").and_then(Value::as_object_mut) {
        // These are JSON already: they follow from models, not from types.
        schemas.extend(schemas::written());
        schemas.extend(models.schemas());
    }
    Ok(document)
}

fn http_method(method: &str) -> HttpMethod {
    if method == "POST" { HttpMethod::Post } else { HttpMethod::Get }
}

fn operation(
    models: &models::Models,
    described: &Described,
    (method, pattern, purpose): (&str, &str, &str),
    place: &Place<'_>,
) -> Operation {
    let of_model = place.model.map(|model| format!(" ({})", model.name)).unwrap_or_default();
    let answer = described.answer.response(place);
    let mut operation = OperationBuilder::new()
        .tag(described.tag)
        .summary(Some(format!("{purpose}{of_model}")))
        .operation_id(Some(identifier(method, &place.path)))
        .request_body(described.body.request(place))
        .response("200", answer);
    for status in described.refusals {
        let name = statuses::name(*status, pattern);
        operation = operation.response(status.to_string(), RefOr::Ref(Ref::from_response_name(name)));
    }
    for name in place.open_parameters() {
        let values = if name == "model" { models.names() } else { Vec::new() };
        let schema = Object::builder().schema_type(Type::String).min_length(Some(1));
        let schema = if values.is_empty() { schema } else { schema.enum_values(Some(values)) };
        let parameter = ParameterBuilder::new()
            .name(name)
            .parameter_in(ParameterIn::Path)
            .required(Required::True)
            .schema(Some(Schema::from(schema)));
        operation = operation.parameter(parameter);
    }
    for name in described.body.headers() {
        operation = operation.parameter_ref(Ref::new(format!("#/components/parameters/{name}")));
    }
    operation.build()
}

/// A name for the operation that programs made from the document can use.
fn identifier(method: &str, path: &str) -> String {
    let fit = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    let path: String = path.chars().map(fit).collect();
    format!("{}{path}", method.to_ascii_lowercase()).trim_end_matches('_').to_owned()
}

/// The headers that say how a call is to be treated.
const WISHES: [&str; 2] = [TIMEOUT_HEADER, PRIORITY_HEADER];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_is_described() {
        let missing: Vec<_> =
            routes::all().filter(|(method, path, _)| operations::of(method, path).is_none()).collect();
        assert!(missing.is_empty(), "openapi/operations.rs does not describe {missing:?}");
    }

    #[test]
    fn identifiers_are_names() {
        assert_eq!(identifier("GET", "/"), "get");
        assert_eq!(identifier("POST", "/v2/models/a.b/infer"), "post_v2_models_a_b_infer");
    }
}
