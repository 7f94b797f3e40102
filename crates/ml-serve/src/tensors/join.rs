//! Tensors put together along their first axis.

use std::borrow::Cow;

use bytes::{Bytes, BytesMut};
use ml_core::ModelError;

use super::{Data, RawTensor, Tensors};

/// Puts tensors together that differ in nothing but their first size, as a model's input.
///
/// # Errors
/// When there are none, or when they differ in more.
pub(crate) fn join<'a>(parts: &[&'a RawTensor]) -> Result<Cow<'a, RawTensor>, ModelError> {
    let differ = || ModelError::new("the tensors to put together differ");
    let [first, others @ ..] = parts else { return Err(differ()) };
    if others.is_empty() {
        return Ok(Cow::Borrowed(first));
    }
    let alike =
        |other: &&RawTensor| other.element == first.element && other.shape.get(1..) == first.shape.get(1..);
    let joined = others.iter().all(alike).then(|| put_together(parts)).flatten();
    joined.map(Cow::Owned).ok_or_else(differ)
}

/// Puts the answers to the parts of one request together.
pub(crate) fn joined(parts: Vec<Tensors>) -> Tensors {
    if let [one] = &*parts {
        return one.clone();
    }
    let count = parts.first().map_or(0, |part| part.0.len());
    let of_one_output = |index| {
        let parts: Vec<&RawTensor> = parts.iter().filter_map(|part| part.0.get(index)).collect();
        put_together(&parts)
    };
    Tensors((0..count).filter_map(of_one_output).collect())
}

/// `None` where there are none, or where they have no first size.
fn put_together(parts: &[&RawTensor]) -> Option<RawTensor> {
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
