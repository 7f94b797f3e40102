//! Tensors to and from TVM's.

use ndarray::{ArrayViewD, CowArray, IxDyn};
use tvm_ffi::DLDataTypeExt as _;
use tvm_ffi::dtype::AsDLDataType;
use zerocopy::IntoBytes;

use crate::ModelError;
use crate::runtime::{ElementType, OutputTensor, Tensor};

macro_rules! conversions {
    ($($ours:ident $rust:ident),*) => {
        /// Returns the element type of this name, where TVM's crate has it.
        pub(super) fn element_type(name: &str) -> Option<ElementType> {
            match name {
                $(stringify!($rust) => Some(ElementType::$ours),)*
                _ => None,
            }
        }

        /// Copies a tensor with elements into memory of TVM's, aligned as its code expects.
        pub(super) fn input(name: &str, tensor: &Tensor<'_>) -> Result<tvm_ffi::Tensor, ModelError> {
            match tensor {
                $(Tensor::$ours(array) => copied(array),)*
                other => Err(ModelError::new(format!("input {name}: TVM takes no {}", other.element()))),
            }
        }

        fn view(tensor: &tvm_ffi::Tensor) -> Result<Tensor<'_>, ModelError> {
            let shape = IxDyn(&sizes(tensor));
            $(if tensor.dtype() == <$rust as AsDLDataType>::DL_DATA_TYPE {
                let data = tensor.data_as_slice::<$rust>().map_err(model_error)?;
                return Ok(Tensor::$ours(ArrayViewD::from_shape(shape, data)?.into()));
            })*
            Err(ModelError::new(format!("the output is {}", tensor.dtype().to_string().as_str())))
        }

        fn bytes(tensor: &tvm_ffi::Tensor) -> Option<&[u8]> {
            $(if let Ok(data) = tensor.data_as_slice::<$rust>() {
                return Some(data.as_bytes());
            })*
            None
        }
    };
}

conversions!(F32 f32, F64 f64, I8 i8, I16 i16, I32 i32, I64 i64, U8 u8, U16 u16, U32 u32, U64 u64);

fn copied<T: AsDLDataType>(array: &CowArray<'_, T, IxDyn>) -> Result<tvm_ffi::Tensor, ModelError> {
    let shape: Vec<i64> = array.shape().iter().map(|size| i64::try_from(*size).unwrap_or(i64::MAX)).collect();
    let standard = array.as_standard_layout();
    let data = standard.as_slice().ok_or_else(|| ModelError::new("an input is not contiguous"))?;
    tvm_ffi::Tensor::from_slice(data, &shape).map_err(model_error)
}

fn sizes(tensor: &tvm_ffi::Tensor) -> Vec<usize> {
    tensor.shape().iter().map(|size| usize::try_from(*size).unwrap_or(0)).collect()
}

/// An output, in memory that its run has allocated for it.
struct Value(tvm_ffi::Tensor);

// SAFETY: A `tvm_ffi::Tensor` is a pointer to an object of its own that counts its owners atomically, so that it can be moved to and
// dropped on any thread; its memory goes back by `free`, which any thread may call: sessions have the naive allocator.
unsafe impl Send for Value {}

// SAFETY: The run that wrote the elements is over, nobody has a copy to write through, and `Value` lends only shared
// views. The session keeps no output: memory that outlives a run is allocated for it anew.
unsafe impl Sync for Value {}

impl OutputTensor for Value {
    fn view(&self) -> Result<Tensor<'_>, ModelError> {
        view(&self.0)
    }

    fn bytes(&self) -> Option<&[u8]> {
        bytes(&self.0)
    }
}

/// Keeps an output in TVM's memory until it was read.
pub(super) fn output(tensor: tvm_ffi::Tensor) -> Box<dyn OutputTensor> {
    Box::new(Value(tensor))
}

pub(super) fn model_error(error: tvm_ffi::Error) -> ModelError {
    ModelError::new(error.message())
}
