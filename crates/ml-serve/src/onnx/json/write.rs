//! From tensors to JSON text.

use std::sync::Arc;

use ml_core::{Dimension, ElementType, Tensor};
use ndarray::{ArrayViewD, Axis};
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use super::element::JsonElement;

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

/// The outputs of one item.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct NamedTensors {
    /// The names of the model's outputs, which all items share.
    pub names: Arc<[String]>,
    /// One tensor for each name.
    pub tensors: Vec<Tensor<'static>>,
}

impl Serialize for NamedTensors {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.tensors.len()))?;
        for (name, tensor) in self.names.iter().zip(&self.tensors) {
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

/// Returns a tensor of zeros as JSON, with every dynamic size at one.
pub(in crate::onnx) fn zeros(element: ElementType, shape: &[Dimension]) -> Value {
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

    #[test]
    fn tensors_are_written_as_nested_arrays() {
        let names = ["p", "label", "flags"].map(str::to_owned).into();
        let tensors = vec![
            array![[0.1_f32, 0.25], [f32::NAN, 1.0]].into(),
            ndarray::arr0("setosa".to_owned()).into(),
            array![true, false].into(),
        ];
        let outputs = NamedTensors { names, tensors };
        let written = serde_json::to_string(&outputs).expect("plain data");
        assert_eq!(written, r#"{"p":[[0.1,0.25],[null,1.0]],"label":"setosa","flags":[true,false]}"#);
    }
}
