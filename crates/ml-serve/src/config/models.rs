//! The `[[models]]` tables of the file.

use toml::Spanned;
use toml::de::DeValue;

use super::error::{ConfigError, Problem, did_you_mean};
use super::file::{Place, describe, in_order};
use super::nearest::nearest;
use super::{ModelEntry, ModelTask, SETTINGS, form, tasks};

const PATH: Field = Field { key: "models.path", takes: form::PATH, check: |path| !path.is_empty() };

const NAME: Field = Field {
    key: "models.name",
    takes: "1 to 64 letters, digits, '.', '_' or '-', the first a letter or digit",
    check: form::is_name,
};

const VARIANT: Field =
    Field { key: "models.variant", takes: "auto, original, or a variant's name", check: form::is_name };

/// The keys of this file, for hints.
const KEYS: [&str; 3] = ["path", "name", "variant"];

/// One key of the tables: a text of a checked form.
struct Field {
    key: &'static str,
    takes: &'static str,
    check: fn(&str) -> bool,
}

/// Reads the value of `models`.
pub(super) fn read(place: &Place<'_>, models: &Spanned<DeValue<'_>>) -> Result<Vec<ModelEntry>, ConfigError> {
    match models.get_ref() {
        DeValue::Array(tables) => tables.iter().map(|table| entry(place, table)).collect(),
        _ => Err(not_tables(place, models)),
    }
}

fn entry(place: &Place<'_>, table: &Spanned<DeValue<'_>>) -> Result<ModelEntry, ConfigError> {
    let DeValue::Table(fields) = table.get_ref() else {
        return Err(not_tables(place, table));
    };
    let (mut path, mut name, mut variant, mut task) = (None, None, None, ModelTask::default());
    for (key, value) in in_order(fields) {
        let refuse = |problem| place.line(key.span().start).refuse(problem);
        match key.get_ref().as_ref() {
            "path" => path = Some(PATH.text(value.get_ref()).map_err(refuse)?),
            "name" => name = Some(NAME.text(value.get_ref()).map_err(refuse)?),
            "variant" => variant = Some(VARIANT.text(value.get_ref()).map_err(refuse)?),
            other if tasks::take(&mut task, place, other, value)? => {}
            other => return Err(refuse(unknown(other))),
        }
    }
    match path {
        Some(path) => Ok(ModelEntry { path: path.into(), name, variant, task }),
        None => {
            let problem = Problem::Missing { key: PATH.key, takes: PATH.takes };
            Err(place.line(table.span().start).refuse(problem))
        }
    }
}

impl Field {
    fn text(&self, value: &DeValue<'_>) -> Result<String, Problem> {
        match value {
            DeValue::String(text) if (self.check)(text) => Ok(text.to_string()),
            _ => Err(Problem::Refused {
                key: self.key,
                found: describe(value),
                takes: format!("a string: {}", self.takes),
                hint: None,
            }),
        }
    }
}

fn not_tables(place: &Place<'_>, value: &Spanned<DeValue<'_>>) -> ConfigError {
    place.line(value.span().start).refuse(Problem::Refused {
        key: "models",
        found: describe(value.get_ref()),
        takes: "[[models]] tables with path and name".to_owned(),
        hint: None,
    })
}

fn unknown(key: &str) -> Problem {
    // In TOML a key belongs to the table above it, however it is indented.
    let hint = if SETTINGS.iter().any(|setting| setting.key == key) {
        Some("settings stand above the first [[models]]".to_owned())
    } else {
        nearest(key, KEYS.into_iter().chain(tasks::KEYS)).map(did_you_mean)
    };
    Problem::Unknown { key: Some(format!("models.{key}")), hint }
}
