//! Tensors as nested JSON arrays, both ways.

use std::fmt::Display;

use half::{bf16, f16};
use ml_core::{Dimension, Element, ElementType, Rejection, Tensor, TensorInfo};
use ndarray::{ArrayD, ArrayViewD, Axis, IxDyn};
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

/// Runs `$body` with `$array` bound to the array of a tensor, whatever its type.
macro_rules! with_array {
    ($tensor:expr, $array:ident => $body:expr) => {
        match $tensor {
            Tensor::F32($array) => $body,
            Tensor::F16($array) => $body,
            Tensor::BF16($array) => $body,
            Tensor::F64($array) => $body,
            Tensor::I8($array) => $body,
            Tensor::I16($array) => $body,
            Tensor::I32($array) => $body,
            Tensor::I64($array) => $body,
            Tensor::U8($array) => $body,
            Tensor::U16($array) => $body,
            Tensor::U32($array) => $body,
            Tensor::U64($array) => $body,
            Tensor::Bool($array) => $body,
            Tensor::String($array) => $body,
        }
    };
}

/// The outputs of one item, by name.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct NamedTensors(pub Vec<(String, Tensor<'static>)>);

impl Serialize for NamedTensors {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, tensor) in &self.0 {
            with_array!(tensor, array => map.serialize_entry(name, &Nested(array.view()))?);
        }
        map.end()
    }
}

/// An array as JSON: a number where it has no sizes, else an array of arrays. What JSON cannot say (not a number,
/// infinity) is null.
struct Nested<'a, T>(ArrayViewD<'a, T>);

impl<T: JsonElement> Serialize for Nested<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if let Some(element) = self.0.first().filter(|_| self.0.ndim() == 0) {
            return element.write(serializer);
        }
        let mut sequence = serializer.serialize_seq(Some(self.0.len_of(Axis(0))))?;
        for row in self.0.axis_iter(Axis(0)) {
            sequence.serialize_element(&Nested(row))?;
        }
        sequence.end()
    }
}

/// A tensor element that JSON can carry.
trait JsonElement: Element {
    /// What to send, for the message when something else was sent.
    const WANTED: &'static str;
    fn read(value: &Value) -> Option<Self>;
    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error>;
}

macro_rules! json_elements {
    ($($rust:ty, $wanted:literal, $read:expr, $write:expr;)*) => {$(
        impl JsonElement for $rust {
            const WANTED: &'static str = $wanted;
            fn read(value: &Value) -> Option<Self> {
                let read: fn(&Value) -> Option<Self> = $read;
                read(value)
            }
            fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                $write(self).serialize(serializer)
            }
        }
    )*};
}

json_elements! {
    f32, "a number that fits 32-bit floats", |v| v.as_f64().map(|n| n as f32).filter(|n| n.is_finite()), |n: &f32| *n;
    f64, "a number", Value::as_f64, |n: &f64| *n;
    f16, "a number that fits 16-bit floats", |v| v.as_f64().map(f16::from_f64).filter(|n| n.is_finite()), |n: &f16| n.to_f32();
    bf16, "a number that fits bfloat16", |v| v.as_f64().map(bf16::from_f64).filter(|n| n.is_finite()), |n: &bf16| n.to_f32();
    i8, "a whole number from -128 to 127", |v| v.as_i64()?.try_into().ok(), |n: &i8| *n;
    i16, "a whole number from -32768 to 32767", |v| v.as_i64()?.try_into().ok(), |n: &i16| *n;
    i32, "a whole number that fits 32 bits", |v| v.as_i64()?.try_into().ok(), |n: &i32| *n;
    i64, "a whole number that fits 64 bits", Value::as_i64, |n: &i64| *n;
    u8, "a whole number from 0 to 255", |v| v.as_u64()?.try_into().ok(), |n: &u8| *n;
    u16, "a whole number from 0 to 65535", |v| v.as_u64()?.try_into().ok(), |n: &u16| *n;
    u32, "a whole number from 0 that fits 32 bits", |v| v.as_u64()?.try_into().ok(), |n: &u32| *n;
    u64, "a whole number from 0 that fits 64 bits", Value::as_u64, |n: &u64| *n;
    bool, "true or false", Value::as_bool, |b: &bool| *b;
    // ONNX Runtime's texts end at a zero.
    String, "a text without U+0000", |v| v.as_str().filter(|s| !s.contains('\0')).map(str::to_owned), |s: &String| s.clone();
}

/// Reads an item's tensor for an input of the model.
pub(super) fn read(
    info: &TensorInfo,
    shape: Option<&[Dimension]>,
    value: &Value,
) -> Result<Tensor<'static>, Rejection> {
    match info.element {
        ElementType::F32 => read_as::<f32>(&info.name, shape, value).map(Tensor::from),
        ElementType::F16 => read_as::<f16>(&info.name, shape, value).map(Tensor::from),
        ElementType::BF16 => read_as::<bf16>(&info.name, shape, value).map(Tensor::from),
        ElementType::F64 => read_as::<f64>(&info.name, shape, value).map(Tensor::from),
        ElementType::I8 => read_as::<i8>(&info.name, shape, value).map(Tensor::from),
        ElementType::I16 => read_as::<i16>(&info.name, shape, value).map(Tensor::from),
        ElementType::I32 => read_as::<i32>(&info.name, shape, value).map(Tensor::from),
        ElementType::I64 => read_as::<i64>(&info.name, shape, value).map(Tensor::from),
        ElementType::U8 => read_as::<u8>(&info.name, shape, value).map(Tensor::from),
        ElementType::U16 => read_as::<u16>(&info.name, shape, value).map(Tensor::from),
        ElementType::U32 => read_as::<u32>(&info.name, shape, value).map(Tensor::from),
        ElementType::U64 => read_as::<u64>(&info.name, shape, value).map(Tensor::from),
        ElementType::Bool => read_as::<bool>(&info.name, shape, value).map(Tensor::from),
        ElementType::String => read_as::<String>(&info.name, shape, value).map(Tensor::from),
    }
}

fn read_as<T: JsonElement>(
    name: &str,
    wanted: Option<&[Dimension]>,
    value: &Value,
) -> Result<ArrayD<T>, Rejection> {
    let (mut sizes, mut elements) = (Vec::new(), Vec::new());
    flatten(value, &mut Place { name, indices: Vec::new() }, &mut sizes, &mut elements)?;
    let fits = wanted.is_none_or(|wanted| {
        let same = |(size, dimension): (&usize, &Dimension)| match dimension {
            Dimension::Fixed(fixed) => size == fixed,
            Dimension::Dynamic(_) => true,
        };
        sizes.len() == wanted.len() && sizes.iter().zip(wanted).all(same)
    });
    if !fits {
        let wanted: Vec<_> = wanted.unwrap_or_default().iter().map(ToString::to_string).collect();
        return Err(Rejection::new(name.to_owned(), "shape")
            .value(format!("{sizes:?}"))
            .limit(format!("[{}]", wanted.join(", "))));
    }
    let ragged = |error: ndarray::ShapeError| {
        Rejection::new(name.to_owned(), "shape").value(error).limit("rows of one length")
    };
    ArrayD::from_shape_vec(IxDyn(&sizes), elements).map_err(ragged)
}

/// Walks nested arrays, at most as deep as the JSON parser lets them be.
fn flatten<T: JsonElement>(
    value: &Value,
    place: &mut Place<'_>,
    sizes: &mut Vec<usize>,
    elements: &mut Vec<T>,
) -> Result<(), Rejection> {
    let depth = place.indices.len();
    let Value::Array(rows) = value else {
        if depth != sizes.len() {
            return Err(place.reject("shape", "a value beside arrays", "rows of one length"));
        }
        elements.push(T::read(value).ok_or_else(|| place.reject("type", value, T::WANTED))?);
        return Ok(());
    };
    match sizes.get(depth) {
        None if elements.is_empty() => sizes.push(rows.len()),
        Some(size) if *size == rows.len() => {}
        _ => return Err(place.reject("shape", format!("{} values", rows.len()), "rows of one length")),
    }
    for (index, row) in rows.iter().enumerate() {
        place.indices.push(index);
        flatten(row, place, sizes, elements)?;
        place.indices.pop();
    }
    Ok(())
}

/// Where in an input a value stands; written out only when something is wrong with it.
struct Place<'a> {
    name: &'a str,
    indices: Vec<usize>,
}

impl Place<'_> {
    fn reject(&self, rule: &'static str, value: impl Display, limit: impl Display) -> Rejection {
        let indices: String = self.indices.iter().map(|index| format!("[{index}]")).collect();
        Rejection::new(format!("{}{indices}", self.name), rule).value(value).limit(limit)
    }
}

/// Returns a tensor of zeros as JSON, with every dynamic size at one.
pub(super) fn zeros(element: ElementType, shape: &[Dimension]) -> Value {
    let zero = match element {
        ElementType::Bool => json!(false),
        ElementType::String => json!(""),
        ElementType::F32 | ElementType::F16 | ElementType::BF16 | ElementType::F64 => json!(0.0),
        _ => json!(0),
    };
    shape.iter().rev().fold(zero, |inner, dimension| match dimension {
        Dimension::Fixed(size) => Value::Array(vec![inner; *size]),
        Dimension::Dynamic(_) => Value::Array(vec![inner]),
    })
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    fn dynamic() -> Dimension {
        Dimension::Dynamic(String::new())
    }

    #[test]
    fn nested_arrays_become_a_tensor_of_the_inputs_type() {
        let shape = [dynamic(), Dimension::Fixed(2)];
        let read = read_as::<i64>("ids", Some(&shape), &json!([[1, 2], [3, 4], [5, 6]]));
        assert_eq!(read, Ok(array![[1, 2], [3, 4], [5, 6]].into_dyn()));
    }

    #[test]
    fn what_does_not_fit_names_the_place_and_what_is_wanted() {
        let pair = [Dimension::Fixed(2)];
        for (value, expected) in [
            (
                json!([1.0, "two"]),
                "x[1] breaks the rule type: got \"two\", allowed is a number that fits 32-bit floats",
            ),
            (
                json!([1.0, 1e39]),
                "x[1] breaks the rule type: got 1e+39, allowed is a number that fits 32-bit floats",
            ),
            (
                json!([1.0, null]),
                "x[1] breaks the rule type: got null, allowed is a number that fits 32-bit floats",
            ),
            (json!([1.0, 2.0, 3.0]), "x breaks the rule shape: got [3], allowed is [2]"),
            (
                json!([[1.0], [1.0, 2.0]]),
                "x[1] breaks the rule shape: got 2 values, allowed is rows of one length",
            ),
            (
                json!([[1.0], 2.0]),
                "x[1] breaks the rule shape: got a value beside arrays, allowed is rows of one length",
            ),
            (json!(7.0), "x breaks the rule shape: got [], allowed is [2]"),
        ] {
            let rejection = read_as::<f32>("x", Some(&pair), &value).expect_err("it does not fit");
            assert_eq!(rejection.to_string(), expected, "{value}");
        }
    }

    #[test]
    fn a_text_that_no_runtime_takes_is_refused_before_the_model() {
        let pair = [Dimension::Fixed(2)];
        let taken = read_as::<String>("x", Some(&pair), &json!(["", "ünï ✓"]));
        assert_eq!(taken, Ok(array![String::new(), "ünï ✓".to_owned()].into_dyn()));
        let refused = read_as::<String>("x", Some(&pair), &json!(["a", "b\u{0}c"]));
        assert_eq!(
            refused.expect_err("a zero").to_string(),
            "x[1] breaks the rule type: got \"b\\u0000c\", allowed is a text without U+0000"
        );
    }

    #[test]
    fn tensors_are_written_as_nested_arrays() {
        let outputs = NamedTensors(vec![
            ("p".to_owned(), array![[0.1_f32, 0.25], [f32::NAN, 1.0]].into()),
            ("label".to_owned(), ndarray::arr0("setosa".to_owned()).into()),
            ("flags".to_owned(), array![true, false].into()),
        ]);
        let written = serde_json::to_string(&outputs).expect("plain data");
        assert_eq!(written, r#"{"p":[[0.1,0.25],[null,1.0]],"label":"setosa","flags":[true,false]}"#);
    }
}
