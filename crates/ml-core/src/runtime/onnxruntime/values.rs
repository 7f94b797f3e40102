//! Tensors to and from ONNX Runtime's values, without copying.

use half::{bf16, f16};
use ndarray::{ArrayD, ArrayViewD, CowArray, IxDyn};
use ort::session::SessionInputValue;
use ort::value::{DynValue, TensorElementType as Ort, TensorRef};
use zerocopy::IntoBytes;

use super::texts;
use crate::ModelError;
use crate::runtime::{ElementType, OutputTensor, Tensor};

macro_rules! conversions {
    ($($ours:ident $rust:ident $theirs:ident),*) => {
        /// Returns our name of ONNX Runtime's element type, where we have one.
        pub(super) fn element_type(theirs: Ort) -> Option<ElementType> {
            match theirs {
                $(Ort::$theirs => Some(ElementType::$ours),)*
                Ort::String => Some(ElementType::String),
                _ => None,
            }
        }

        /// Makes the elements lie in memory in the order of their indices; copies only where they do not.
        pub(super) fn standard_layout(tensor: Tensor<'_>) -> Tensor<'_> {
            match tensor {
                $(Tensor::$ours(array) => Tensor::$ours(standard(array)),)*
                Tensor::String(array) => Tensor::String(standard(array)),
            }
        }

        /// Borrows a tensor in standard layout as an input.
        pub(super) fn input<'a>(tensor: &'a Tensor<'_>) -> ort::Result<SessionInputValue<'a>> {
            match tensor {
                $(Tensor::$ours(array) => Ok(TensorRef::from_array_view((array.shape(), slice(array)?))?.into()),)*
                // ONNX Runtime keeps strings in its own form, so these are copied.
                Tensor::String(array) => Ok(texts::value(array.shape(), slice(array)?)?.into()),
            }
        }

        fn view(value: &DynValue) -> Result<Tensor<'_>, ModelError> {
            let failed = |error: ort::Error| ModelError::new(error.message());
            match value.dtype().tensor_type() {
                $(Some(Ort::$theirs) => {
                    let (shape, data) = value.try_extract_tensor::<$rust>().map_err(failed)?;
                    Ok(Tensor::$ours(ArrayViewD::from_shape(sizes(shape), data)?.into()))
                })*
                Some(Ort::String) => {
                    let (shape, texts) = texts::read(value).map_err(failed)?;
                    Ok(Tensor::String(ArrayD::from_shape_vec(sizes(&shape), texts)?.into()))
                }
                _ => Err(ModelError::new(format!("the output is {}", value.dtype()))),
            }
        }

        fn bytes(value: &DynValue) -> Option<&[u8]> {
            match value.dtype().tensor_type()? {
                $(Ort::$theirs => value.try_extract_tensor::<$rust>().ok().map(|(_, data)| data.as_bytes()),)*
                _ => None,
            }
        }
    };
}

conversions! {
    F32 f32 Float32, F16 f16 Float16, BF16 bf16 Bfloat16, F64 f64 Float64,
    I8 i8 Int8, I16 i16 Int16, I32 i32 Int32, I64 i64 Int64,
    U8 u8 Uint8, U16 u16 Uint16, U32 u32 Uint32, U64 u64 Uint64, Bool bool Bool
}

fn standard<T: Clone>(array: CowArray<'_, T, IxDyn>) -> CowArray<'_, T, IxDyn> {
    if array.is_standard_layout() { array } else { array.as_standard_layout().into_owned().into() }
}

fn slice<'a, T>(array: &'a CowArray<'_, T, IxDyn>) -> ort::Result<&'a [T]> {
    array.as_slice().ok_or_else(|| ort::Error::new("the tensor is not contiguous"))
}

fn sizes(shape: &[i64]) -> IxDyn {
    let sizes: Vec<usize> = shape.iter().map(|size| usize::try_from(*size).unwrap_or(0)).collect();
    IxDyn(&sizes)
}

struct Value(DynValue);

impl OutputTensor for Value {
    fn view(&self) -> Result<Tensor<'_>, ModelError> {
        view(&self.0)
    }

    fn bytes(&self) -> Option<&[u8]> {
        bytes(&self.0)
    }
}

/// Keeps an output in ONNX Runtime's memory until it was read.
pub(super) fn output(value: DynValue) -> Box<dyn OutputTensor> {
    Box::new(Value(value))
}
