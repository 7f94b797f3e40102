//! Which JSON values are elements of which tensors.

use std::fmt;

use half::{bf16, f16};
use ml_core::{Element, ElementType, Rejection};
use serde::Serializer;
use serde::ser::Error as _;
use serde_json::json;

use crate::tensors::{RawTensor, as_bytes};

/// A JSON value that is no array.
pub(crate) enum Scalar<'a> {
    Null,
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Text(&'a str),
    Object,
    /// None of JSON: what a missing number may be taken for.
    NotANumber,
}

impl fmt::Display for Scalar<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = match self {
            Self::Object => return f.write_str("an object"),
            Self::NotANumber => return f.write_str("not a number"),
            Self::Null => json!(null),
            Self::Bool(value) => json!(value),
            Self::Unsigned(value) => json!(value),
            Self::Signed(value) => json!(value),
            Self::Float(value) => json!(value),
            Self::Text(value) => json!(value),
        };
        value.fmt(f)
    }
}

impl Scalar<'_> {
    fn float(&self) -> Option<f64> {
        match *self {
            Self::Float(value) => Some(value),
            Self::Unsigned(value) => Some(value as f64),
            Self::Signed(value) => Some(value as f64),
            Self::NotANumber => Some(f64::NAN),
            _ => None,
        }
    }

    fn finite<T: Copy>(&self, from: fn(f64) -> T, is_finite: fn(T) -> bool) -> Option<T> {
        let allowed = |number: &T| is_finite(*number) || matches!(self, Self::NotANumber);
        self.float().map(from).filter(allowed)
    }

    fn bool(&self) -> Option<bool> {
        if let Self::Bool(value) = self { Some(*value) } else { None }
    }

    fn text(&self) -> Option<&str> {
        if let Self::Text(value) = self { Some(value) } else { None }
    }

    fn whole<T: TryFrom<u64> + TryFrom<i64>>(&self) -> Option<T> {
        match *self {
            Self::Unsigned(value) => value.try_into().ok(),
            Self::Signed(value) => value.try_into().ok(),
            _ => None,
        }
    }
}

/// A tensor element that JSON can carry.
pub(in crate::onnx) trait JsonElement: Element {
    /// What to send, for the message when something else was sent.
    const WANTED: &'static str;
    fn read(scalar: &Scalar<'_>) -> Option<Self>;
    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error>;
    /// Makes a tensor of elements that fill its sizes.
    fn tensor(sizes: Vec<usize>, elements: Vec<Self>) -> RawTensor;
}

macro_rules! json_elements {
    ($($rust:ty, $wanted:literal, $scalar:ident => $read:expr, $value:ident => $write:ident($written:expr);)*) => {$(
        impl JsonElement for $rust {
            const WANTED: &'static str = $wanted;
            fn read($scalar: &Scalar<'_>) -> Option<Self> {
                $read
            }
            fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let $value = self;
                serializer.$write($written)
            }
            fn tensor(sizes: Vec<usize>, elements: Vec<Self>) -> RawTensor {
                RawTensor::numbers(Self::TYPE, sizes, as_bytes(elements))
            }
        }
    )*};
}

json_elements! {
    f32, "a number that fits 32-bit floats", s => s.finite(|n| n as Self, Self::is_finite), n => serialize_f32(*n);
    f64, "a number", s => s.float(), n => serialize_f64(*n);
    f16, "a number that fits 16-bit floats", s => s.finite(Self::from_f64, Self::is_finite), n => serialize_f32(n.to_f32());
    bf16, "a number that fits bfloat16", s => s.finite(Self::from_f64, Self::is_finite), n => serialize_f32(n.to_f32());
    i8, "a whole number from -128 to 127", s => s.whole(), n => serialize_i8(*n);
    i16, "a whole number from -32768 to 32767", s => s.whole(), n => serialize_i16(*n);
    i32, "a whole number that fits 32 bits", s => s.whole(), n => serialize_i32(*n);
    i64, "a whole number that fits 64 bits", s => s.whole(), n => serialize_i64(*n);
    u8, "a whole number from 0 to 255", s => s.whole(), n => serialize_u8(*n);
    u16, "a whole number from 0 to 65535", s => s.whole(), n => serialize_u16(*n);
    u32, "a whole number from 0 that fits 32 bits", s => s.whole(), n => serialize_u32(*n);
    u64, "a whole number from 0 that fits 64 bits", s => s.whole(), n => serialize_u64(*n);
    bool, "true or false", s => s.bool(), b => serialize_bool(*b);
}

/// Makes a tensor of scalars, of which each must be an element of the type; `wrong` says of one that is not what it is instead.
pub(crate) fn tensor_of<'a>(
    element: ElementType,
    sizes: Vec<usize>,
    scalars: impl Iterator<Item = Result<Scalar<'a>, Rejection>>,
    wrong: impl Fn(usize, &Scalar<'a>, &'static str) -> Rejection,
) -> Result<RawTensor, Rejection> {
    match element {
        ElementType::F32 => of_type::<f32>(sizes, scalars, wrong),
        ElementType::F16 => of_type::<f16>(sizes, scalars, wrong),
        ElementType::BF16 => of_type::<bf16>(sizes, scalars, wrong),
        ElementType::F64 => of_type::<f64>(sizes, scalars, wrong),
        ElementType::I8 => of_type::<i8>(sizes, scalars, wrong),
        ElementType::I16 => of_type::<i16>(sizes, scalars, wrong),
        ElementType::I32 => of_type::<i32>(sizes, scalars, wrong),
        ElementType::I64 => of_type::<i64>(sizes, scalars, wrong),
        ElementType::U8 => of_type::<u8>(sizes, scalars, wrong),
        ElementType::U16 => of_type::<u16>(sizes, scalars, wrong),
        ElementType::U32 => of_type::<u32>(sizes, scalars, wrong),
        ElementType::U64 => of_type::<u64>(sizes, scalars, wrong),
        ElementType::Bool => of_type::<bool>(sizes, scalars, wrong),
        ElementType::String => of_type::<Vec<u8>>(sizes, scalars, wrong),
    }
}

fn of_type<'a, T: JsonElement>(
    sizes: Vec<usize>,
    scalars: impl Iterator<Item = Result<Scalar<'a>, Rejection>>,
    wrong: impl Fn(usize, &Scalar<'a>, &'static str) -> Rejection,
) -> Result<RawTensor, Rejection> {
    let element = |(index, scalar): (usize, Result<Scalar<'a>, Rejection>)| {
        let scalar = scalar?;
        T::read(&scalar).ok_or_else(|| wrong(index, &scalar, T::WANTED))
    };
    let elements = scalars.enumerate().map(element).collect::<Result<Vec<T>, Rejection>>()?;
    Ok(T::tensor(sizes, elements))
}

/// A text; one that is not UTF-8 cannot be written as JSON, and is an error rather than another text.
impl JsonElement for Vec<u8> {
    const WANTED: &'static str = "a text";

    fn read(scalar: &Scalar<'_>) -> Option<Self> {
        scalar.text().map(|text| text.as_bytes().to_vec())
    }

    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer
            .serialize_str(std::str::from_utf8(self).map_err(|_| S::Error::custom("a text is not UTF-8"))?)
    }

    fn tensor(sizes: Vec<usize>, elements: Vec<Self>) -> RawTensor {
        RawTensor::texts(sizes, elements)
    }
}
