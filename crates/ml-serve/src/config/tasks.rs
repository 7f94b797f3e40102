//! The keys of a `[[models]]` table that say what is made of the model.

use std::num::NonZeroUsize;

use ml_tasks::{Aggregation, Pooling, Task, TaskOptions};
use serde_json::Value;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{ConfigError, Problem, did_you_mean};
use super::file::{Place, describe, in_order};
use super::nearest::nearest;

/// What is made of a model.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ModelTask {
    /// Which task it is for.
    pub choice: TaskChoice,
    /// Decisions about a ready-made task.
    pub options: TaskOptions,
    /// The columns of a table, in the order of the model's inputs.
    pub columns: Vec<Column>,
}

/// Which task a model is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TaskChoice {
    /// The one that its folder speaks of; tensors where it speaks of none.
    #[default]
    Auto,
    /// Tensors, as the graph has them.
    Tensors,
    /// Rows of named columns.
    Tabular,
    /// A ready-made task.
    Ready(Task),
}

/// A column of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name in an item.
    pub name: String,
    /// The model's input that it is a part of; the only one, or that of its own name, where it is `None`.
    pub input: Option<String>,
    /// What its values are; as the input has them where it is `None`.
    pub kind: Option<ColumnKind>,
    /// The texts that stand for numbers from 0, where the input is one of numbers; else those that are taken.
    pub values: Option<Vec<String>>,
    /// What a value is taken for that is null or not there.
    pub missing: Missing,
}

/// What the values of a column are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnKind {
    /// Numbers.
    Number,
    /// Whole numbers.
    Whole,
    /// True or false.
    Bool,
    /// Texts.
    Text,
}

/// What a missing value is taken for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Missing {
    /// Nothing: the item is refused.
    Refused,
    /// Not a number, for models that know what to do with it.
    NotANumber,
    /// This value, as if it had been sent.
    Value(Value),
}

const KINDS: [(&str, ColumnKind); 4] = [
    ("number", ColumnKind::Number),
    ("whole", ColumnKind::Whole),
    ("bool", ColumnKind::Bool),
    ("text", ColumnKind::Text),
];

/// The keys of this file, for hints.
pub(super) const KEYS: [&str; 8] =
    ["task", "labels", "tokens_max", "pooling", "normalize", "aggregation", "image_pixels_max", "columns"];

const COLUMN_KEYS: [&str; 5] = ["name", "input", "type", "values", "missing"];

/// Takes a key, where it is one of [`KEYS`]; false where it is not.
pub(super) fn take(
    task: &mut ModelTask,
    place: &Place<'_>,
    key: &str,
    value: &Spanned<DeValue<'_>>,
) -> Result<bool, ConfigError> {
    let refuse = |problem| place.line(value.span().start).refuse(problem);
    let (options, given) = (&mut task.options, value.get_ref());
    match key {
        "task" => task.choice = choice(given).map_err(refuse)?,
        "labels" => options.labels = Some(texts("models.labels", given).map_err(refuse)?),
        "tokens_max" => options.tokens_max = Some(count("models.tokens_max", given).map_err(refuse)?),
        "pooling" => options.pooling = Some(one_of("models.pooling", &Pooling::ALL, given).map_err(refuse)?),
        "normalize" => options.normalize = Some(truth("models.normalize", given).map_err(refuse)?),
        "aggregation" => {
            options.aggregation =
                Some(one_of("models.aggregation", &Aggregation::ALL, given).map_err(refuse)?);
        }
        "image_pixels_max" => {
            options.image_pixels_max = Some(count("models.image_pixels_max", given).map_err(refuse)?);
        }
        "columns" => task.columns = columns(place, value)?,
        _ => return Ok(false),
    }
    Ok(true)
}

fn choice(value: &DeValue<'_>) -> Result<TaskChoice, Problem> {
    let plain =
        [("auto", TaskChoice::Auto), ("tensors", TaskChoice::Tensors), ("tabular", TaskChoice::Tabular)];
    let ready = Task::ALL.map(|(name, task)| (name, TaskChoice::Ready(task)));
    one_of("models.task", &plain.into_iter().chain(ready).collect::<Vec<_>>(), value)
}

fn columns(place: &Place<'_>, value: &Spanned<DeValue<'_>>) -> Result<Vec<Column>, ConfigError> {
    let wrong = |value: &Spanned<DeValue<'_>>| {
        let takes = "an array of tables with name, input, type, values and missing".to_owned();
        let found = describe(value.get_ref());
        place.line(value.span().start).refuse(Problem::Refused {
            key: "models.columns",
            found,
            takes,
            hint: None,
        })
    };
    let DeValue::Array(tables) = value.get_ref() else { return Err(wrong(value)) };
    let column = |table: &Spanned<DeValue<'_>>| match table.get_ref() {
        DeValue::Table(fields) => column(place, table, fields),
        _ => Err(wrong(table)),
    };
    tables.iter().map(column).collect()
}

fn column(
    place: &Place<'_>,
    table: &Spanned<DeValue<'_>>,
    fields: &DeTable<'_>,
) -> Result<Column, ConfigError> {
    let mut column =
        Column { name: String::new(), input: None, kind: None, values: None, missing: Missing::Refused };
    for (key, value) in in_order(fields) {
        let refuse = |problem| place.line(key.span().start).refuse(problem);
        let value = value.get_ref();
        match key.get_ref().as_ref() {
            "name" => column.name = text("models.columns.name", value).map_err(refuse)?,
            "input" => column.input = Some(text("models.columns.input", value).map_err(refuse)?),
            "type" => column.kind = Some(one_of("models.columns.type", &KINDS, value).map_err(refuse)?),
            "values" => column.values = Some(texts("models.columns.values", value).map_err(refuse)?),
            "missing" => column.missing = missing(value).map_err(refuse)?,
            other => {
                let hint = nearest(other, COLUMN_KEYS).map(did_you_mean);
                return Err(refuse(Problem::Unknown { key: Some(format!("models.columns.{other}")), hint }));
            }
        }
    }
    if column.name.is_empty() {
        let problem = Problem::Missing { key: "models.columns.name", takes: "a string: the column's name" };
        return Err(place.line(table.span().start).refuse(problem));
    }
    Ok(column)
}

fn missing(value: &DeValue<'_>) -> Result<Missing, Problem> {
    let takes = "a number, a string or a boolean; nan where the model knows it";
    let given = match value {
        DeValue::Float(number) => {
            let number: f64 =
                number.as_str().parse().map_err(|_| refused("models.columns.missing", value, takes))?;
            if number.is_nan() {
                return Ok(Missing::NotANumber);
            }
            Value::from(number)
        }
        DeValue::Integer(number) => {
            let number = i64::from_str_radix(number.as_str(), number.radix());
            Value::from(number.map_err(|_| refused("models.columns.missing", value, takes))?)
        }
        DeValue::String(text) => Value::from(text.as_ref()),
        DeValue::Boolean(truth) => Value::from(*truth),
        DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => Value::Null,
    };
    // Infinity is none of JSON's numbers either.
    if given.is_null() {
        Err(refused("models.columns.missing", value, takes))
    } else {
        Ok(Missing::Value(given))
    }
}

fn one_of<T: Copy>(
    key: &'static str,
    words: &[(&'static str, T)],
    value: &DeValue<'_>,
) -> Result<T, Problem> {
    let names = || words.iter().map(|(word, _)| *word);
    let takes = format!("a string: {}", names().collect::<Vec<_>>().join(", "));
    let DeValue::String(text) = value else { return Err(refused(key, value, takes)) };
    let found = words.iter().find(|(word, _)| *word == text.as_ref());
    found.map(|(_, choice)| *choice).ok_or_else(|| {
        let hint = nearest(text, names()).map(did_you_mean);
        Problem::Refused { key, found: format!("{text:?}"), takes, hint }
    })
}

fn text(key: &'static str, value: &DeValue<'_>) -> Result<String, Problem> {
    match value {
        DeValue::String(text) if !text.is_empty() => Ok(text.to_string()),
        _ => Err(refused(key, value, "a string that is not empty")),
    }
}

fn texts(key: &'static str, value: &DeValue<'_>) -> Result<Vec<String>, Problem> {
    let takes = "an array of strings, at least one";
    let DeValue::Array(values) = value else { return Err(refused(key, value, takes)) };
    let text = |value: &Spanned<DeValue<'_>>| match value.get_ref() {
        DeValue::String(text) => Ok(text.to_string()),
        other => Err(refused(key, other, takes)),
    };
    match values.is_empty() {
        true => Err(refused(key, value, takes)),
        false => values.iter().map(text).collect(),
    }
}

fn count(key: &'static str, value: &DeValue<'_>) -> Result<NonZeroUsize, Problem> {
    let number = match value {
        DeValue::Integer(number) => usize::from_str_radix(number.as_str(), number.radix()).ok(),
        _ => None,
    };
    number.and_then(NonZeroUsize::new).ok_or_else(|| refused(key, value, "a whole number, 1 or more"))
}

fn truth(key: &'static str, value: &DeValue<'_>) -> Result<bool, Problem> {
    match value {
        DeValue::Boolean(truth) => Ok(*truth),
        _ => Err(refused(key, value, "true or false")),
    }
}

fn refused(key: &'static str, value: &DeValue<'_>, takes: impl Into<String>) -> Problem {
    Problem::Refused { key, found: describe(value), takes: takes.into(), hint: None }
}
