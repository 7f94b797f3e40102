//! From tensors to JSON text.

use ml_core::{Dimension, ElementType, Tensor, TensorInfo};
use ndarray::{ArrayRef, IxDyn};
use serde::ser::{Error as _, SerializeMap};
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use super::element::JsonElement;
use super::read::Wanted;
use crate::onnx::OnnxPipeline;
use crate::tensors::{Tensors, with_numbers};

/// The outputs of one item as a caller of JSON gets them: by name, without the batch.
pub(in crate::onnx) struct NamedTensors<'a> {
    pub pipeline: &'a OnnxPipeline,
    pub outputs: &'a Tensors,
}

impl Serialize for NamedTensors<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let infos = &self.pipeline.signature().outputs;
        let scattered = || S::Error::custom("the elements of an output do not lie row by row");
        let batched = self.pipeline.batched();
        let mut map = serializer.serialize_map(Some(infos.len()))?;
        for (info, tensor) in infos.iter().zip(&*self.outputs.0) {
            let tensor = tensor.view().map_err(S::Error::custom)?;
            macro_rules! entry {
                ($array:expr) => {
                    map.serialize_entry(&info.name, &Nested::of($array, batched).ok_or_else(scattered)?)?
                };
            }
            if let Tensor::String(texts) = &tensor {
                entry!(texts);
            }
            with_numbers!(&tensor, array => entry!(array), else {});
        }
        map.end()
    }
}

/// An array as JSON: a number where it has no sizes, else an array of arrays. What JSON cannot say (not a number,
/// infinity) is null.
struct Nested<'a, T> {
    sizes: &'a [usize],
    elements: &'a [T],
}

impl<'a, T> Nested<'a, T> {
    /// The whole array, or its first row for a caller who sends no batch; `None` where elements do not lie row by row.
    fn of(array: &'a ArrayRef<T, IxDyn>, batched: bool) -> Option<Self> {
        let whole = Self { sizes: array.shape(), elements: array.as_slice()? };
        Some(whole.rows().next().filter(|_| batched).unwrap_or(whole))
    }

    fn rows(&self) -> impl Iterator<Item = Self> + use<'a, T> {
        let Self { sizes, elements } = *self;
        let (count, sizes) = sizes.split_first().map_or((0, sizes), |(count, inner)| (*count, inner));
        let length: usize = sizes.iter().product();
        (0..count).map(move |row| Self { sizes, elements: &elements[row * length..][..length] })
    }
}

impl<T: JsonElement> Serialize for Nested<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match (self.sizes, self.elements) {
            ([], [element]) => element.write(serializer),
            _ => serializer.collect_seq(self.rows()),
        }
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
    use ndarray::{Array, arr0, array};

    use super::*;

    fn written<T: JsonElement, D: ndarray::Dimension>(
        array: Array<T, D>,
        batched: bool,
    ) -> serde_json::Result<String> {
        let array = array.into_dyn();
        serde_json::to_string(&Nested::of(&array, batched).expect("it lies row by row"))
    }

    #[test]
    fn arrays_are_written_nested() {
        let numbers = array![[0.1_f32, 0.25], [f32::NAN, 1.0]];
        assert_eq!(written(numbers.clone(), false).expect("plain data"), "[[0.1,0.25],[null,1.0]]");
        assert_eq!(written(numbers, true).expect("plain data"), "[0.1,0.25]");
        assert_eq!(written(arr0(7.0_f32), false).expect("plain data"), "7.0");
        assert_eq!(written(Array::<f32, _>::zeros((2, 0)), false).expect("plain data"), "[[],[]]");
        assert_eq!(written(Array::<f32, _>::zeros((0, 2)), true).expect("plain data"), "[]");
        assert_eq!(written(array![b"setosa".to_vec()], false).expect("UTF-8"), r#"["setosa"]"#);
        assert!(written(array![vec![255_u8]], false).is_err(), "it is not UTF-8");
    }
}
