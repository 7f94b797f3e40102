//! A table's rows as tensors: columns by name, of checked types, with what missing values are taken for.

use std::fmt;

use ml_core::{Dimension, ElementType, LoadError, LoadErrorKind, Model, Rejection, TensorInfo};
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::json::{Scalar, tensor_of};
use crate::config::{self, ColumnKind, Missing};
use crate::repository::Settled;
use crate::tensors::{RawTensor, Tensors};

/// The columns of a model, in the order of its inputs: those of the first, then those of the second.
pub(crate) struct Columns {
    columns: Vec<Column>,
    /// For each input, how many columns it has, and whether they are an axis of it.
    inputs: Vec<(usize, bool)>,
}

struct Column {
    name: String,
    kind: ColumnKind,
    values: Option<Vec<String>>,
    /// Whether the input has numbers, for which texts and truths stand.
    numbered: bool,
    missing: Missing,
}

impl Columns {
    /// Fits the columns that the configuration names to the inputs; without any, an input of one column is one by its name,
    /// and one of several has those that the graph's notes have under `features`.
    ///
    /// # Errors
    /// When an input has more or fewer columns than are named for it.
    pub fn of(model: &Model, settled: &Settled, named: &[config::Column]) -> Result<Self, LoadError> {
        let wrong =
            |reason| LoadError { path: model.path().to_owned(), kind: LoadErrorKind::WrongSignature(reason) };
        if !settled.batched {
            return Err(wrong(
                "a table has rows, and the graph's first sizes are not all the caller's".to_owned(),
            ));
        }
        let signature = model.signature();
        let noted = noted(signature.metadata.get("features"), &signature.inputs);
        let named = if named.is_empty() { &noted } else { named };
        let [only] = signature.inputs.as_slice() else {
            return Self::fit(&signature.inputs, None, named, wrong);
        };
        Self::fit(&signature.inputs, Some(&only.name), named, wrong)
    }

    fn fit(
        inputs: &[TensorInfo],
        only: Option<&str>,
        named: &[config::Column],
        wrong: impl Fn(String) -> LoadError,
    ) -> Result<Self, LoadError> {
        let input_of = |column: &config::Column| {
            column.input.clone().or_else(|| only.map(str::to_owned)).unwrap_or_else(|| column.name.clone())
        };
        if let Some(column) =
            named.iter().find(|column| !inputs.iter().any(|info| info.name == input_of(column)))
        {
            let known: Vec<&str> = inputs.iter().map(|info| info.name.as_str()).collect();
            let (name, input, known) = (&column.name, input_of(column), known.join(", "));
            return Err(wrong(format!("the column {name} is for the input {input}, and there are {known}")));
        }
        let mut fitted = Self { columns: Vec::new(), inputs: Vec::new() };
        for info in inputs {
            let of_input: Vec<_> = named.iter().filter(|column| input_of(column) == info.name).collect();
            let (width, axis) = width(info).ok_or_else(|| wrong(format!("{info} is no table's input")))?;
            if of_input.is_empty() || width.is_some_and(|width| width != of_input.len()) {
                let (wanted, found) = (width.map_or("some".to_owned(), |n| n.to_string()), of_input.len());
                let reason = format!(
                    "the input {info} has {wanted} columns, and {found} are named; see `columns` in docs/tasks.md"
                );
                return Err(wrong(reason));
            }
            fitted.inputs.push((of_input.len(), axis));
            fitted.columns.extend(of_input.into_iter().map(|column| Column::of(column, info.element)));
        }
        match fitted.columns.iter().enumerate().find(|(place, one)| fitted.place(&one.name) != Some(*place)) {
            Some((_, twice)) => Err(wrong(format!("the column {} is named twice", twice.name))),
            None => Ok(fitted),
        }
    }

    fn place(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }

    /// Returns a row that can be sent.
    pub fn example(&self) -> Value {
        let cell = |column: &Column| match (&column.values, column.kind) {
            (Some(values), _) => json!(values.first()),
            (None, ColumnKind::Number) => json!(0.0),
            (None, ColumnKind::Whole) => json!(0),
            (None, ColumnKind::Bool) => json!(false),
            (None, ColumnKind::Text) => json!(""),
        };
        Value::Object(self.columns.iter().map(|column| (column.name.clone(), cell(column))).collect())
    }

    /// Returns what the columns are.
    pub fn described(&self) -> Value {
        let described = |column: &Column| {
            let mut about = Map::new();
            about.insert("name".to_owned(), json!(column.name));
            about.insert("type".to_owned(), json!(column.kind.name()));
            if let Some(values) = &column.values {
                about.insert("values".to_owned(), json!(values));
            }
            about.insert("required".to_owned(), json!(column.missing == Missing::Refused));
            Value::Object(about)
        };
        self.columns.iter().map(described).collect()
    }

    /// Reads a row.
    ///
    /// # Errors
    /// Names the column at fault.
    pub fn read(&self, item: &RawValue, inputs: &[TensorInfo]) -> Result<Tensors, Rejection> {
        let mut wrong = None;
        let read = serde_json::Deserializer::from_str(item.get())
            .deserialize_map(Row { columns: self, wrong: &mut wrong });
        let cells = match (read, wrong) {
            (_, Some(rejection)) => return Err(rejection),
            (Ok(cells), None) => cells,
            (Err(error), None) => {
                return Err(Rejection::new("item", "type")
                    .value(error)
                    .limit(format!("an object with {}", self.names())));
            }
        };
        self.tensors(&cells, inputs)
    }

    /// Makes a row of its cells, one for each column.
    ///
    /// # Errors
    /// Names the column at fault.
    pub fn tensors(&self, cells: &[Option<Value>], inputs: &[TensorInfo]) -> Result<Tensors, Rejection> {
        let (mut columns, mut cells) = (&*self.columns, cells);
        let tensor = |(info, (count, axis)): (&TensorInfo, &(usize, bool))| {
            let (own, other) = columns.split_at((*count).min(columns.len()));
            let (own_cells, other_cells) = cells.split_at((*count).min(cells.len()));
            (columns, cells) = (other, other_cells);
            tensor(info.element, *axis, own, own_cells)
        };
        Ok(Tensors(inputs.iter().zip(&self.inputs).map(tensor).collect::<Result<_, _>>()?))
    }

    /// Returns the columns' names, and whether each must be there.
    pub fn names_and_required(&self) -> impl Iterator<Item = (&str, bool)> {
        self.columns.iter().map(|column| (column.name.as_str(), column.missing == Missing::Refused))
    }

    /// Refuses values of a type that is none of a column's.
    pub fn wrong_type(&self, place: usize, found: impl fmt::Display) -> Rejection {
        let kind = self.columns.get(place).map_or("", |column| column.kind.name());
        let name = self.columns.get(place).map_or("item", |column| column.name.as_str());
        Rejection::new(name.to_owned(), "type").value(found).limit(format!("a {kind} value"))
    }

    fn names(&self) -> String {
        self.columns.iter().map(|column| column.name.as_str()).collect::<Vec<_>>().join(", ")
    }
}

/// How many columns an input has, where it says so, and whether they are an axis of it.
fn width(info: &TensorInfo) -> Option<(Option<usize>, bool)> {
    match info.shape.as_deref()? {
        [_] => Some((Some(1), false)),
        [_, Dimension::Fixed(width)] => Some((Some(*width), true)),
        [_, Dimension::Dynamic(_)] => Some((None, true)),
        _ => None,
    }
}

/// The columns that a graph speaks of by itself.
fn noted(features: Option<&String>, inputs: &[TensorInfo]) -> Vec<config::Column> {
    let column = |name: &str, input: &str| config::Column {
        name: name.trim().to_owned(),
        input: Some(input.to_owned()),
        kind: None,
        values: None,
        missing: Missing::Refused,
    };
    match (inputs, features) {
        ([only], Some(features)) => features.split(',').map(|name| column(name, &only.name)).collect(),
        _ => inputs.iter().map(|info| column(&info.name, &info.name)).collect(),
    }
}

impl ColumnKind {
    fn name(self) -> &'static str {
        match self {
            Self::Number => "number",
            Self::Whole => "whole",
            Self::Bool => "bool",
            Self::Text => "text",
        }
    }
}

impl Column {
    fn of(column: &config::Column, element: ElementType) -> Self {
        let numbered = !matches!(element, ElementType::String | ElementType::Bool);
        let own = match element {
            ElementType::F32 | ElementType::F64 | ElementType::F16 | ElementType::BF16 => ColumnKind::Number,
            ElementType::Bool => ColumnKind::Bool,
            ElementType::String => ColumnKind::Text,
            _ => ColumnKind::Whole,
        };
        Self {
            name: column.name.clone(),
            kind: column.kind.unwrap_or(if column.values.is_some() { ColumnKind::Text } else { own }),
            values: column.values.clone(),
            numbered,
            missing: column.missing.clone(),
        }
    }

    /// Returns what a cell is to the model.
    fn scalar<'a>(&'a self, cell: &'a Option<Value>) -> Result<Scalar<'a>, Rejection> {
        match (cell.as_ref().filter(|cell| !cell.is_null()), &self.missing) {
            (Some(cell), _) | (None, Missing::Value(cell)) => self.typed(cell),
            (None, Missing::NotANumber) => Ok(Scalar::NotANumber),
            (None, Missing::Refused) => Err(self.reject("required", "nothing", self.kind.name())),
        }
    }

    fn typed<'a>(&self, cell: &'a Value) -> Result<Scalar<'a>, Rejection> {
        let wrong = || self.reject("type", cell, format!("a {} value", self.kind.name()));
        match (self.kind, cell) {
            (ColumnKind::Bool, Value::Bool(truth)) if self.numbered => Ok(Scalar::Unsigned((*truth).into())),
            (ColumnKind::Bool, Value::Bool(truth)) => Ok(Scalar::Bool(*truth)),
            (ColumnKind::Text, Value::String(text)) => self.text(text),
            (ColumnKind::Number | ColumnKind::Whole, Value::Number(number)) => {
                if let Some(number) = number.as_u64() {
                    Ok(Scalar::Unsigned(number))
                } else if let Some(number) = number.as_i64() {
                    Ok(Scalar::Signed(number))
                } else {
                    let number = number.as_f64().filter(|_| self.kind == ColumnKind::Number);
                    number.map(Scalar::Float).ok_or_else(wrong)
                }
            }
            _ => Err(wrong()),
        }
    }

    fn text<'a>(&self, text: &'a str) -> Result<Scalar<'a>, Rejection> {
        let Some(values) = &self.values else { return Ok(Scalar::Text(text)) };
        match values.iter().position(|value| value == text) {
            Some(place) if self.numbered => Ok(Scalar::Unsigned(place as u64)),
            Some(_) => Ok(Scalar::Text(text)),
            None => Err(self.reject("values", text, values.join(", "))),
        }
    }

    fn reject(&self, rule: &'static str, value: impl fmt::Display, limit: impl fmt::Display) -> Rejection {
        Rejection::new(self.name.clone(), rule).value(value).limit(limit)
    }
}

/// One row of an input; `axis` is whether its columns are one of its sizes.
fn tensor(
    element: ElementType,
    axis: bool,
    columns: &[Column],
    cells: &[Option<Value>],
) -> Result<RawTensor, Rejection> {
    let sizes = if axis { vec![1, cells.len()] } else { vec![cells.len()] };
    let scalars = columns.iter().zip(cells).map(|(column, cell)| column.scalar(cell));
    tensor_of(element, sizes, scalars, |place, scalar, wanted| match columns.get(place) {
        Some(column) => column.reject("type", scalar, wanted),
        None => Rejection::new("item", "type").value(scalar).limit(wanted),
    })
}

/// An item's fields, as the cells of its columns.
struct Row<'a> {
    columns: &'a Columns,
    wrong: &'a mut Option<Rejection>,
}

impl<'de> Visitor<'de> for Row<'_> {
    type Value = Vec<Option<Value>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object with {}", self.columns.names())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Self::Value, A::Error> {
        let mut cells: Vec<Option<Value>> = vec![None; self.columns.columns.len()];
        while let Some(name) = fields.next_key::<String>()? {
            let place = self.columns.place(&name);
            let Some(cell) = place.and_then(|place| cells.get_mut(place)) else {
                let limit = format!("an object with {}", self.columns.names());
                *self.wrong = Some(Rejection::new(name, "unknown_field").limit(limit));
                return Err(A::Error::custom("an unknown field"));
            };
            if cell.is_some() {
                *self.wrong =
                    Some(Rejection::new(name, "duplicate_field").value("given twice").limit("given once"));
                return Err(A::Error::custom("a field given twice"));
            }
            *cell = Some(fields.next_value()?);
        }
        Ok(cells)
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    fn column(name: &str, input: &str) -> config::Column {
        let (name, input) = (name.to_owned(), Some(input.to_owned()));
        config::Column { name, input, kind: None, values: None, missing: Missing::Refused }
    }

    fn info(name: &str, element: ElementType, width: usize) -> TensorInfo {
        let shape = vec![Dimension::Dynamic("n".to_owned()), Dimension::Fixed(width)];
        TensorInfo { name: name.to_owned(), element, shape: Some(shape) }
    }

    fn fit(inputs: &[TensorInfo], named: &[config::Column]) -> Result<Columns, String> {
        let wrong =
            |reason| LoadError { path: "model.onnx".into(), kind: LoadErrorKind::WrongSignature(reason) };
        Columns::fit(inputs, None, named, wrong).map_err(|error| error.to_string())
    }

    fn house() -> (Vec<TensorInfo>, Columns) {
        let inputs = vec![info("numbers", ElementType::F32, 4), info("town", ElementType::String, 1)];
        let named = [
            column("area", "numbers"),
            config::Column { missing: Missing::NotANumber, ..column("age", "numbers") },
            config::Column {
                values: Some(vec!["gas".into(), "wood".into()]),
                ..column("heating", "numbers")
            },
            config::Column {
                kind: Some(ColumnKind::Bool),
                missing: Missing::Value(json!(true)),
                ..column("lift", "numbers")
            },
            config::Column { missing: Missing::Value(json!("?")), ..column("town", "town") },
        ];
        let columns = fit(&inputs, &named).expect("they fit");
        (inputs, columns)
    }

    fn read(text: &str) -> Result<Tensors, String> {
        let (inputs, columns) = house();
        columns
            .read(serde_json::from_str(text).expect("JSON"), &inputs)
            .map_err(|rejection| rejection.to_string())
    }

    #[test]
    fn cells_become_rows_of_their_inputs() {
        let row = read(r#"{"heating": "wood", "area": 90, "lift": false, "age": 3.5, "town": "Ulm"}"#)
            .expect("a row");
        assert_eq!(row.0[0].view().expect("numbers"), array![[90.0_f32, 3.5, 1.0, 0.0]].into());
        assert_eq!(row.0[1].view().expect("texts"), array![["Ulm".to_owned()]].into());
    }

    #[test]
    fn what_is_missing_is_what_it_is_taken_for() {
        let row = read(r#"{"area": 1.5, "heating": "gas", "age": null}"#).expect("a row");
        let ml_core::Tensor::F32(numbers) = row.0[0].view().expect("numbers") else { unreachable!("floats") };
        assert!(numbers[[0, 1]].is_nan(), "{numbers}");
        assert_eq!((numbers[[0, 0]], numbers[[0, 2]], numbers[[0, 3]]), (1.5, 0.0, 1.0));
        assert_eq!(row.0[1].view().expect("texts"), array![["?".to_owned()]].into());
    }

    #[test]
    fn what_does_not_fit_names_the_column_and_what_is_wanted() {
        let all = "an object with area, age, heating, lift, town";
        for (text, expected) in [
            (
                r#"{"heating": "gas"}"#,
                "area breaks the rule required: got nothing, allowed is number".to_owned(),
            ),
            (
                r#"{"area": "90"}"#,
                "area breaks the rule type: got \"90\", allowed is a number value".to_owned(),
            ),
            (
                r#"{"area": 1, "heating": "coal"}"#,
                "heating breaks the rule values: got coal, allowed is gas, wood".to_owned(),
            ),
            (
                r#"{"area": 1, "heating": "gas", "lift": 1}"#,
                "lift breaks the rule type: got 1, allowed is a bool value".to_owned(),
            ),
            (
                r#"{"area": 1, "heating": "gas", "town": 5}"#,
                "town breaks the rule type: got 5, allowed is a text value".to_owned(),
            ),
            (r#"{"area": 1, "aera": 1}"#, format!("aera breaks the rule unknown_field: allowed is {all}")),
            (
                r#"{"area": 1, "area": 2}"#,
                "area breaks the rule duplicate_field: got given twice, allowed is given once".to_owned(),
            ),
            (
                r#"{"area": 1e39, "heating": "gas"}"#,
                "area breaks the rule type: got 1e+39, allowed is a number that fits 32-bit floats"
                    .to_owned(),
            ),
        ] {
            assert_eq!(read(text).expect_err(text), expected, "{text}");
        }
        assert!(read("[1]").expect_err("no object").ends_with(&format!("allowed is {all}")));
    }

    #[test]
    fn columns_that_do_not_fit_the_graph_are_refused() {
        let inputs = [info("x", ElementType::F32, 2)];
        for (named, expected) in [
            (vec![column("a", "x")], "the input x: f32[n, 2] has 2 columns, and 1 are named"),
            (vec![column("a", "y")], "the column a is for the input y, and there are x"),
            (vec![column("a", "x"), column("a", "x")], "the column a is named twice"),
        ] {
            let refused = fit(&inputs, &named).err().expect("it does not fit");
            assert!(refused.contains(expected), "{refused}");
        }
    }

    #[test]
    fn the_example_is_a_row_that_is_taken() {
        let (inputs, columns) = house();
        let example = columns.example().to_string();
        assert!(columns.read(serde_json::from_str(&example).expect("JSON"), &inputs).is_ok(), "{example}");
    }
}
