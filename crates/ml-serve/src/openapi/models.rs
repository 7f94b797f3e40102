//! The models that are served, as the document shows them: paths of their own, and schemas.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::operations::Body;
use super::schemas::{list, object, reference};
use super::tensors;
use crate::oip::inputs::Contract;
use crate::state::{Model, State};

/// Every version of every model, and the limits of their calls.
pub(super) struct Models {
    all: Vec<Shown>,
    call_items_max: usize,
}

/// A version of a model.
pub(super) struct Shown {
    pub name: String,
    model: Arc<Model>,
    /// Whether it answers where no version is named.
    latest: bool,
}

/// A path of the document, and whose it is.
pub(super) struct Place<'a> {
    pub path: String,
    pub model: Option<&'a Shown>,
}

impl Models {
    pub fn of(state: &State) -> Self {
        let latest = state.models.latest();
        let all = state.models.all().into_iter().map(|model| Shown {
            name: model.name.clone(),
            latest: latest.iter().any(|latest| Arc::ptr_eq(latest, &model)),
            model,
        });
        Self { all: all.collect(), call_items_max: state.limits.call_items_max }
    }

    /// Returns the names of all models, each once.
    pub fn names(&self) -> Vec<Value> {
        self.all.iter().filter(|shown| shown.latest).map(|shown| Value::String(shown.name.clone())).collect()
    }

    /// Returns the paths that a route has in the document: one for each model where they take different things.
    pub fn places(&self, pattern: &str, body: Body) -> Vec<Place<'_>> {
        if !body.is_of_model() {
            return vec![Place { path: pattern.to_owned(), model: None }];
        }
        let with_version = pattern.contains("{version}");
        let taken = self.all.iter().filter(|shown| {
            (shown.latest || with_version)
                && (body != Body::Tensors || shown.model.served.tensors().is_some())
        });
        let place = |shown: &'_ Shown| {
            let path = pattern.replacen("{model}", &in_path(&shown.name), 1).replacen(
                "{version}",
                &shown.model.version.to_string(),
                1,
            );
            (path, shown.name.clone())
        };
        taken.map(|shown| Place { path: place(shown).0, model: Some(shown) }).collect()
    }

    /// Returns the schemas of all models.
    pub fn schemas(&self) -> Map<String, Value> {
        let schemas = self.all.iter().flat_map(|shown| {
            let own = shown.schemas(self.call_items_max).into_iter();
            own.map(|(name, schema)| (shown.schema(name), schema))
        });
        schemas.collect()
    }
}

impl Shown {
    fn schema(&self, name: &str) -> String {
        // Letters, digits, dots, hyphens and underscores are all that a component's name may have.
        let fit = |c: char| match c {
            c if c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_') => c.to_string(),
            other => format!("_{:x}", u32::from(other)),
        };
        let model: String = self.name.chars().map(fit).collect();
        format!("{model}.{}.{name}", self.model.version)
    }

    fn schemas(&self, call_items_max: usize) -> Vec<(&'static str, Value)> {
        let info = &self.model.info;
        let item = info.input_schema.clone().unwrap_or_else(|| json!({}));
        let output = info.output_schema.clone().unwrap_or_else(|| json!({}));
        let items = json!({
            "type": "array", "minItems": 1, "maxItems": call_items_max,
            "items": reference(&self.schema("item")),
        });
        let outputs = list(json!({"oneOf": [
            object(&[("output", reference(&self.schema("output")))]),
            object(&[("error", reference("ErrorBody"))]),
        ]}));
        let mut schemas = vec![("item", item), ("items", items), ("output", output), ("outputs", outputs)];
        if let Some(contract) = self.contract() {
            schemas.push(("request", tensors::request(contract)));
            schemas.push(("answer", tensors::answer(contract)));
        }
        schemas
    }

    fn contract(&self) -> Option<Contract<'_>> {
        let pipeline = self.model.served.tensors()?.pipeline();
        Some(Contract { name: &self.name, version: self.model.version, pipeline })
    }

    /// Returns an example of what is sent, where one is known that is not too large to be shown.
    pub fn example(&self, schema: &str) -> Option<Value> {
        let item = || self.model.info.example.clone().filter(tensors::is_short);
        match schema {
            "item" => item(),
            "items" => item().map(|item| json!([item])),
            "request" => self.contract()?.example(),
            _ => None,
        }
    }
}

impl Place<'_> {
    /// Returns the full name of one of the model's schemas.
    pub fn schema(&self, name: &str) -> String {
        self.model.map_or_else(|| "Anything".to_owned(), |model| model.schema(name))
    }

    /// Returns the parts of the path that a caller fills in.
    pub fn open_parameters(&self) -> Vec<String> {
        let parts = self.path.split('/');
        parts.filter_map(|part| Some(part.strip_prefix('{')?.strip_suffix('}')?.to_owned())).collect()
    }
}

/// Writes a name as a part of a path.
pub(crate) fn in_path(name: &str) -> String {
    let fit = |byte: u8| match byte {
        b if b.is_ascii_alphanumeric() || b"-._~".contains(&b) => char::from(b).to_string(),
        b => format!("%{b:02X}"),
    };
    name.bytes().map(fit).collect()
}
