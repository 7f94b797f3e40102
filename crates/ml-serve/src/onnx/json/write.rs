//! From tensors to JSON text.

use ml_core::{Dimension, ElementType, Tensor, TensorInfo};
use ndarray::{ArrayViewD, Axis};
use serde::ser::{Error as _, SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use super::element::JsonElement;
use super::read::Wanted;
use crate::onnx::OnnxPipeline;
use crate::onnx::pipeline::first_row;
use crate::tensors::{Tensors, with_numbers};

/// The outputs of one item as a caller of JSON gets them: by name, without the batch.
pub(in crate::onnx) struct NamedTensors<'a> {
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
            if let Tensor::String(texts) = &row {
                map.serialize_entry(&info.name, &Nested(texts.view()))?;
            }
            with_numbers!(row, array => map.serialize_entry(&info.name, &Nested(array.view()))?, else {});
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

/// Returns an item of zeros, with every dynamic size at one.
pub(in crate::onnx) fn example(wanted: Wanted<'_>) -> Value {
    let zeros = |info: &TensorInfo| zeros(info.element, wanted.shape(info).unwrap_or_default());
    wanted.inputs.iter().map(|info| (info.name.clone(), zeros(info))).collect()
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
