//! Bytes as numbers of a tensor's type, and back.

use bytes::Bytes;
use half::{bf16, f16};
use ml_core::{Element, ElementType, ModelError, Tensor};
use ndarray::{ArrayD, ArrayViewD, CowArray, IxDyn};
use zerocopy::{ConvertError, FromBytes, Immutable, IntoBytes, KnownLayout, TryFromBytes};

/// Runs `$body` with `$array` bound to the array of a tensor of numbers, whatever its type; `$other` for texts.
macro_rules! with_numbers {
    ($tensor:expr, $array:ident => $body:expr, else $other:expr) => {
        match $tensor {
            ml_core::Tensor::F32($array) => $body,
            ml_core::Tensor::F16($array) => $body,
            ml_core::Tensor::BF16($array) => $body,
            ml_core::Tensor::F64($array) => $body,
            ml_core::Tensor::I8($array) => $body,
            ml_core::Tensor::I16($array) => $body,
            ml_core::Tensor::I32($array) => $body,
            ml_core::Tensor::I64($array) => $body,
            ml_core::Tensor::U8($array) => $body,
            ml_core::Tensor::U16($array) => $body,
            ml_core::Tensor::U32($array) => $body,
            ml_core::Tensor::U64($array) => $body,
            ml_core::Tensor::Bool($array) => $body,
            ml_core::Tensor::String(_) => $other,
        }
    };
}
pub(crate) use with_numbers;

/// Returns how many bytes an element has; none for texts, which have as many as they like.
pub(crate) fn element_bytes(element: ElementType) -> usize {
    match element {
        ElementType::Bool | ElementType::I8 | ElementType::U8 => 1,
        ElementType::F16 | ElementType::BF16 | ElementType::I16 | ElementType::U16 => 2,
        ElementType::F32 | ElementType::I32 | ElementType::U32 => 4,
        ElementType::F64 | ElementType::I64 | ElementType::U64 => 8,
        ElementType::String => 0,
    }
}

/// Gives numbers away as the bytes that they are.
pub(crate) fn as_bytes<T: IntoBytes + Immutable + Send + 'static>(numbers: Vec<T>) -> Bytes {
    Bytes::from_owner(Elements(numbers))
}

/// Numbers that are held as bytes.
pub(super) struct Elements<T>(pub Vec<T>);

impl<T: IntoBytes + Immutable> AsRef<[u8]> for Elements<T> {
    fn as_ref(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// Views bytes as a tensor; copies them where their address does not suit the type.
pub(super) fn view<'a>(
    element: ElementType,
    shape: &[usize],
    bytes: &'a [u8],
) -> Result<Tensor<'a>, ModelError> {
    match element {
        ElementType::F32 => numbers::<f32>(shape, bytes).map(Tensor::F32),
        ElementType::F16 => numbers::<f16>(shape, bytes).map(Tensor::F16),
        ElementType::BF16 => numbers::<bf16>(shape, bytes).map(Tensor::BF16),
        ElementType::F64 => numbers::<f64>(shape, bytes).map(Tensor::F64),
        ElementType::I8 => numbers::<i8>(shape, bytes).map(Tensor::I8),
        ElementType::I16 => numbers::<i16>(shape, bytes).map(Tensor::I16),
        ElementType::I32 => numbers::<i32>(shape, bytes).map(Tensor::I32),
        ElementType::I64 => numbers::<i64>(shape, bytes).map(Tensor::I64),
        ElementType::U8 => numbers::<u8>(shape, bytes).map(Tensor::U8),
        ElementType::U16 => numbers::<u16>(shape, bytes).map(Tensor::U16),
        ElementType::U32 => numbers::<u32>(shape, bytes).map(Tensor::U32),
        ElementType::U64 => numbers::<u64>(shape, bytes).map(Tensor::U64),
        ElementType::Bool => {
            let wrong = |_| ModelError::new("a bool is neither 0 nor 1");
            let flags = <[bool]>::try_ref_from_bytes(bytes).map_err(wrong)?;
            Ok(Tensor::Bool(ArrayViewD::from_shape(IxDyn(shape), flags)?.into()))
        }
        ElementType::String => Err(ModelError::new("texts are not numbers")),
    }
}

fn numbers<'a, T>(shape: &[usize], bytes: &'a [u8]) -> Result<CowArray<'a, T, IxDyn>, ModelError>
where
    T: Element + Default + FromBytes + IntoBytes + KnownLayout + Immutable,
{
    match <[T]>::ref_from_bytes(bytes) {
        Ok(numbers) => Ok(ArrayViewD::from_shape(IxDyn(shape), numbers)?.into()),
        Err(ConvertError::Alignment(_)) => {
            let mut numbers = vec![T::default(); bytes.len() / size_of::<T>()];
            if numbers.as_bytes().len() == bytes.len() {
                numbers.as_mut_bytes().copy_from_slice(bytes);
            }
            Ok(ArrayD::from_shape_vec(IxDyn(shape), numbers)?.into())
        }
        Err(_) => Err(ModelError::new(format!("{} bytes are no whole number of elements", bytes.len()))),
    }
}
