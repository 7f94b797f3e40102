//! The values of a column, one by one, whatever type they are of.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type,
    UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;
use serde_json::{Value, json};

use crate::onnx::Scalar;

/// A column's values as scalars; those that are null are none.
pub(super) struct Cells<'a> {
    array: &'a ArrayRef,
    read: fn(&'a ArrayRef, usize) -> Scalar<'a>,
}

impl<'a> Cells<'a> {
    /// `None` where the type is of no tensor.
    pub fn of(array: &'a ArrayRef) -> Option<Self> {
        macro_rules! numbers {
            ($type:ty, $scalar:ident) => {
                |array, index| Scalar::$scalar(array.as_primitive::<$type>().value(index).into())
            };
        }
        let read: fn(&'a ArrayRef, usize) -> Scalar<'a> = match array.data_type() {
            DataType::Boolean => |array, index| Scalar::Bool(array.as_boolean().value(index)),
            DataType::Int8 => numbers!(Int8Type, Signed),
            DataType::Int16 => numbers!(Int16Type, Signed),
            DataType::Int32 => numbers!(Int32Type, Signed),
            DataType::Int64 => numbers!(Int64Type, Signed),
            DataType::UInt8 => numbers!(UInt8Type, Unsigned),
            DataType::UInt16 => numbers!(UInt16Type, Unsigned),
            DataType::UInt32 => numbers!(UInt32Type, Unsigned),
            DataType::UInt64 => numbers!(UInt64Type, Unsigned),
            DataType::Float16 => {
                |array, index| float(array.as_primitive::<Float16Type>().value(index).to_f64())
            }
            DataType::Float32 => {
                |array, index| float(array.as_primitive::<Float32Type>().value(index).into())
            }
            DataType::Float64 => |array, index| float(array.as_primitive::<Float64Type>().value(index)),
            DataType::Utf8 => |array, index| Scalar::Text(array.as_string::<i32>().value(index)),
            DataType::LargeUtf8 => |array, index| Scalar::Text(array.as_string::<i64>().value(index)),
            DataType::Utf8View => |array, index| Scalar::Text(array.as_string_view().value(index)),
            _ => return None,
        };
        Some(Self { array, read })
    }

    /// Returns a value; `None` where it is null.
    pub fn get(&self, index: usize) -> Option<Scalar<'a>> {
        (!self.array.is_null(index)).then(|| (self.read)(self.array, index))
    }

    /// Returns a value as a row in JSON would have it; what is not a number is missing, as tables have it.
    pub fn json(&self, index: usize) -> Option<Value> {
        Some(match self.get(index)? {
            Scalar::Bool(value) => json!(value),
            Scalar::Unsigned(value) => json!(value),
            Scalar::Signed(value) => json!(value),
            Scalar::Float(value) => json!(value),
            Scalar::Text(value) => json!(value),
            Scalar::Null | Scalar::Object | Scalar::NotANumber => return None,
        })
    }
}

fn float<'a>(number: f64) -> Scalar<'a> {
    if number.is_nan() { Scalar::NotANumber } else { Scalar::Float(number) }
}
