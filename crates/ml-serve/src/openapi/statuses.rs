//! What refusals look like, by status, in the form of the protocol that a path belongs to.

use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{ParameterBuilder, ParameterIn};
use utoipa::openapi::{
    Components, ComponentsBuilder, ContentBuilder, Object, Ref, RefOr, Required, Response, ResponseBuilder,
    Schema, Type,
};

use crate::oip::binary;
use crate::routes;
use crate::wishes::{PRIORITY_HEADER, TIMEOUT_HEADER};

/// Every status that anything is refused with, and when.
const STATUSES: [(u16, &str); 14] = [
    (400, "the request is malformed"),
    (403, "the server is set up not to do this"),
    (404, "there is no such model, version or path"),
    (405, "the path does not take this method"),
    (408, "the body did not come in time"),
    (409, "something of that name is there already"),
    (413, "the body, an item or the call is too large"),
    (415, "the content type or encoding is not taken"),
    (422, "an item is not as the model takes it"),
    (429, "the server has more to do than it can; try again after the time in the header"),
    (500, "the model failed, or the answer cannot be written"),
    (502, "a lookup of the item failed"),
    (503, "the server or the model is not ready"),
    (504, "the deadline passed"),
];

/// The protocols by the paths that are theirs, and the schema of their refusals.
const FORMS: [(&str, &str, &str); 4] = [
    ("/v2", "tensors", "Refusal"),
    ("/v1", "openai", "OpenAiRefusal"),
    ("/tei", "tei", "TeiRefusal"),
    ("/", "", "ErrorBody"),
];

/// Returns the name of the response to a refusal.
pub(super) fn name(status: u16, path: &str) -> String {
    let path = if routes::is_tei(path) { "/tei" } else { path };
    let form = FORMS.iter().find(|(prefix, _, _)| path.starts_with(prefix));
    of_form(status, form.map_or("", |(_, form, _)| form))
}

fn of_form(status: u16, form: &str) -> String {
    format!("{form}{status}")
}

/// Adds the responses, and the parameters that stand in headers.
pub(super) fn components(mut components: ComponentsBuilder) -> Components {
    for (_, form, schema) in FORMS {
        for (status, description) in STATUSES {
            components = components.response(of_form(status, form), response(status, description, schema));
        }
    }
    for (name, description, schema) in parameters() {
        let parameter = ParameterBuilder::new()
            .name(name)
            .parameter_in(ParameterIn::Header)
            .required(Required::False)
            .description(Some(description))
            .schema(Some(schema));
        components = components.parameter(name, parameter.build());
    }
    components.build()
}

fn response(status: u16, description: &str, schema: &str) -> Response {
    let content =
        ContentBuilder::new().schema(Some(RefOr::<Schema>::Ref(Ref::from_schema_name(schema)))).build();
    let response = ResponseBuilder::new().description(description).content("application/json", content);
    let response = if matches!(status, 429 | 503) {
        let seconds = Object::builder().schema_type(Type::Integer).minimum(Some(1));
        let header = HeaderBuilder::new()
            .schema(Some(Schema::from(seconds)))
            .description(Some("seconds, where trying again can help"));
        response.header("retry-after", header.build())
    } else {
        response
    };
    response.build()
}

fn parameters() -> [(&'static str, &'static str, Schema); 3] {
    let whole =
        |least: usize| Schema::from(Object::builder().schema_type(Type::Integer).minimum(Some(least)));
    let words = Object::builder().schema_type(Type::String).enum_values(Some(["interactive", "bulk"]));
    [
        (TIMEOUT_HEADER, "milliseconds in which the answer is wanted", whole(1)),
        (PRIORITY_HEADER, "whether somebody waits for the answer", Schema::from(words)),
        (
            binary::HEADER,
            "how many bytes of the body are JSON; 0: none, all of it is the only input",
            whole(0),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_have_the_form_of_their_path() {
        assert_eq!(name(404, "/v2/models/{model}"), "tensors404");
        assert_eq!(name(404, "/models/{model}"), "404");
        assert_eq!(name(404, "/v1/embeddings"), "openai404");
        assert_eq!(name(404, "/embed"), "tei404");
    }
}
