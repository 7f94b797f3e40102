//! Tensors put together along their first axis.

use bytes::{Bytes, BytesMut};
use ml_core::{ModelError, Tensor};
use ndarray::{ArrayD, CowArray, IxDyn};

use super::{Data, RawTensor, Tensors};

/// Puts tensors together that differ in nothing but their first size, as a model's input.
///
/// # Errors
/// When there are none, or when they differ in more.
pub(crate) fn join<'a>(parts: &[&'a RawTensor]) -> Result<Tensor<'a>, ModelError> {
    let differ = || ModelError::new("the tensors to put together differ");
    let [first, others @ ..] = parts else { return Err(differ()) };
    if others.is_empty() {
        return first.view();
    }
    let mut shape = first.shape.clone();
    let size = shape.first_mut().ok_or_else(differ)?;
    *size = parts.iter().filter_map(|part| part.shape.first()).sum();
    macro_rules! joined_numbers {
        ($($variant:ident),*) => {
            match first.view()? {
                $(Tensor::$variant(_) => {
                    let mut elements = Vec::with_capacity(shape.iter().product());
                    for part in parts {
                        let Tensor::$variant(array) = part.view()? else { return Err(differ()) };
                        extend(&mut elements, &array);
                    }
                    Ok(Tensor::$variant(ArrayD::from_shape_vec(IxDyn(&shape), elements)?.into()))
                })*
            }
        };
    }
    joined_numbers!(F32, F16, BF16, F64, I8, I16, I32, I64, U8, U16, U32, U64, Bool, String)
}

fn extend<T: Clone>(elements: &mut Vec<T>, array: &CowArray<'_, T, IxDyn>) {
    match array.as_slice() {
        Some(slice) => elements.extend_from_slice(slice),
        None => elements.extend(array.iter().cloned()),
    }
}

/// Puts the answers to the parts of one request together.
pub(crate) fn joined(parts: Vec<Tensors>) -> Tensors {
    if let [one] = &*parts {
        return one.clone();
    }
    let count = parts.first().map_or(0, |part| part.0.len());
    Tensors((0..count).filter_map(|index| of_one_output(&parts, index)).collect())
}

fn of_one_output(parts: &[Tensors], index: usize) -> Option<RawTensor> {
    let parts: Vec<&RawTensor> = parts.iter().filter_map(|part| part.0.get(index)).collect();
    let first = parts.first()?;
    let mut shape = first.shape.clone();
    *shape.first_mut()? = parts.iter().filter_map(|part| part.shape.first()).sum();
    let data = match &first.data {
        Data::Numbers(_) => {
            let mut bytes = BytesMut::with_capacity(parts.iter().map(|part| part.bytes()).sum());
            parts.iter().for_each(|part| match &part.data {
                Data::Numbers(part) => bytes.extend_from_slice(part),
                Data::Texts(_) => {}
            });
            Data::Numbers(Bytes::from(bytes))
        }
        Data::Texts(_) => {
            let texts = parts.iter().flat_map(|part| match &part.data {
                Data::Texts(texts) => texts.to_vec(),
                Data::Numbers(_) => Vec::new(),
            });
            Data::Texts(texts.collect())
        }
    };
    Some(RawTensor { element: first.element, shape, data })
}
