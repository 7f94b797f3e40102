//! Tensors as nested JSON arrays, both ways.

use std::fmt::Display;

use half::{bf16, f16};
use ml_core::{Dimension, Element, ElementType, Rejection, Tensor, TensorInfo};
use ndarray::{ArrayViewD, Axis};
use serde::ser::{Error as _, SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value, json};

use super::OnnxPipeline;
use super::pipeline::first_row;
use crate::ApiError;
use crate::served;
use crate::tensors::{RawTensor, Tensors, as_bytes, with_numbers};

/// The outputs of one item as a caller of JSON gets them: by name, without the batch.
pub(super) struct NamedTensors<'a> {
    pub pipeline: &'a OnnxPipeline,
    pub outputs: &'a Tensors,
}

impl Serialize for NamedTensors<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let infos = &self.pipeline.signature().outputs;
        let mut map = serializer.serialize_map(Some(infos.len()))?;
        for (info, tensor) in infos.iter().zip(&*self.outputs.0) {
            let tensor = tensor.view().map_err(S::Error::custom)?;
            let row = first_row(&tensor, self.pipeline.batched());
            with_numbers!(row, array => map.serialize_entry(&info.name, &Nested(array.view()))?, else {
                if let Tensor::String(array) = first_row(&tensor, self.pipeline.batched()) {
                    map.serialize_entry(&info.name, &Nested(array.view()))?;
                }
            });
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
}

/// A text; one that is not UTF-8 cannot be written as JSON, and is an error rather than another text.
impl JsonElement for Vec<u8> {
    const WANTED: &'static str = "a text";

    fn read(value: &Value) -> Option<Self> {
        value.as_str().map(|text| text.as_bytes().to_vec())
    }

    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        std::str::from_utf8(self).map_err(|_| S::Error::custom("a text is not UTF-8"))?.serialize(serializer)
    }
}

/// Reads one item: an object with a tensor for each input, without the batch.
///
/// # Errors
/// Says which field is missing, unknown or of the wrong form.
pub(super) fn read_item(pipeline: &OnnxPipeline, item: &str) -> Result<Tensors, ApiError> {
    let item: Map<String, Value> = served::extract(item)?;
    let inputs = &pipeline.signature().inputs;
    let reject = |rejection| ApiError::Engine(ml_core::Error::Rejected(rejection));
    let names = || inputs.iter().map(|info| info.name.as_str()).collect::<Vec<_>>().join(", ");
    if let Some(info) = inputs.iter().find(|info| !item.contains_key(&info.name)) {
        return Err(reject(Rejection::new(info.name.clone(), "required").value("nothing").limit(names())));
    }
    if let Some(key) = item.keys().find(|key| !inputs.iter().any(|info| info.name == **key)) {
        return Err(reject(Rejection::new(key.clone(), "unknown_field").limit(names())));
    }
    let tensors =
        inputs.iter().map(|info| read(info, pipeline, item.get(&info.name).unwrap_or(&Value::Null)));
    Ok(Tensors(tensors.collect::<Result<_, _>>().map_err(reject)?))
}

fn read(info: &TensorInfo, pipeline: &OnnxPipeline, value: &Value) -> Result<RawTensor, Rejection> {
    let shape = pipeline.row_shape(info);
    macro_rules! numbers {
        ($($element:ident $rust:ty),*) => {
            match info.element {
                $(ElementType::$element => read_as::<$rust>(&info.name, shape, value)
                    .map(|(sizes, numbers)| RawTensor::numbers(info.element, sizes, as_bytes(numbers))),)*
                ElementType::String => read_as::<Vec<u8>>(&info.name, shape, value)
                    .map(|(sizes, texts)| RawTensor::texts(sizes, texts)),
            }
        };
    }
    let mut tensor = numbers! {
        F32 f32, F16 f16, BF16 bf16, F64 f64, I8 i8, I16 i16, I32 i32, I64 i64, U8 u8, U16 u16, U32 u32, U64 u64, Bool bool
    }?;
    if pipeline.batched() {
        tensor.shape.insert(0, 1);
    }
    Ok(tensor)
}

/// The sizes and the elements of a tensor.
type Read<T> = (Vec<usize>, Vec<T>);

fn read_as<T: JsonElement>(
    name: &str,
    wanted: Option<&[Dimension]>,
    value: &Value,
) -> Result<Read<T>, Rejection> {
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
    if sizes.iter().product::<usize>() != elements.len() {
        return Err(Rejection::new(name.to_owned(), "shape")
            .value(format!("{sizes:?}"))
            .limit("rows of one length"));
    }
    Ok((sizes, elements))
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

/// Returns an item of zeros, with every dynamic size at one.
pub(super) fn example(pipeline: &OnnxPipeline) -> Value {
    let inputs = pipeline.signature().inputs.iter();
    let zeros = |info: &TensorInfo| zeros(info.element, pipeline.row_shape(info).unwrap_or_default());
    Value::Object(inputs.map(|info| (info.name.clone(), zeros(info))).collect())
}

fn zeros(element: ElementType, shape: &[Dimension]) -> Value {
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
        assert_eq!(read, Ok((vec![3, 2], vec![1, 2, 3, 4, 5, 6])));
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
    fn texts_are_taken_byte_for_byte() {
        let read = read_as::<Vec<u8>>("x", Some(&[Dimension::Fixed(3)]), &json!(["", "ünï ✓", "b\u{0}c"]));
        let texts = ["", "ünï ✓", "b\0c"].map(|text| text.as_bytes().to_vec());
        assert_eq!(read, Ok((vec![3], texts.to_vec())));
    }

    #[test]
    fn arrays_are_written_nested() {
        let write = |array: ArrayViewD<'_, f32>| serde_json::to_string(&Nested(array));
        let numbers = array![[0.1_f32, 0.25], [f32::NAN, 1.0]].into_dyn();
        assert_eq!(write(numbers.view()).expect("plain data"), "[[0.1,0.25],[null,1.0]]");
        assert_eq!(write(ndarray::arr0(7.0).into_dyn().view()).expect("plain data"), "7.0");
        let texts = array![b"setosa".to_vec()].into_dyn();
        assert_eq!(serde_json::to_string(&Nested(texts.view())).expect("UTF-8"), r#"["setosa"]"#);
        let broken = array![vec![255_u8]].into_dyn();
        assert!(serde_json::to_string(&Nested(broken.view())).is_err(), "it is not UTF-8");
    }
}
