//! Which types of Arrow are elements of which tensors.

use std::sync::Arc;

use arrow_schema::{DataType, Field, Fields};
use ml_core::{Dimension, ElementType};

/// The column of errors.
pub(super) const ERROR: &str = "error";

/// The fields of an error.
pub(super) fn error_fields() -> Fields {
    ["code", "message"].into_iter().map(|name| Field::new(name, DataType::Utf8, false)).collect()
}

/// The type that a tensor's elements have in an answer. Brain floats, which Arrow has not, become floats.
pub(super) fn leaf(element: ElementType) -> DataType {
    match element {
        ElementType::F16 => DataType::Float16,
        ElementType::F32 | ElementType::BF16 => DataType::Float32,
        ElementType::F64 => DataType::Float64,
        ElementType::I8 => DataType::Int8,
        ElementType::I16 => DataType::Int16,
        ElementType::I32 => DataType::Int32,
        ElementType::I64 => DataType::Int64,
        ElementType::U8 => DataType::UInt8,
        ElementType::U16 => DataType::UInt16,
        ElementType::U32 => DataType::UInt32,
        ElementType::U64 => DataType::UInt64,
        ElementType::Bool => DataType::Boolean,
        ElementType::String => DataType::Utf8,
    }
}

/// The type of a column whose rows have these sizes: lists of lists, of fixed sizes where these are. A row of one element is that
/// element.
pub(super) fn nested(element: ElementType, sizes: &[Dimension]) -> DataType {
    sizes.iter().rev().fold(leaf(element), |inner, size| {
        let item = item(inner);
        match size {
            Dimension::Fixed(size) => DataType::FixedSizeList(item, i32::try_from(*size).unwrap_or(i32::MAX)),
            Dimension::Dynamic(_) => DataType::List(item),
        }
    })
}

pub(super) fn item(inner: DataType) -> Arc<Field> {
    Arc::new(Field::new("item", inner, false))
}

/// The sizes of a row that a column keeps: none where it has one element.
pub(super) fn kept(sizes: &[Dimension]) -> &[Dimension] {
    match sizes {
        [Dimension::Fixed(1)] => &[],
        sizes => sizes,
    }
}
