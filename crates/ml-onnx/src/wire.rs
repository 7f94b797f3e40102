//! The wire format of Protocol Buffers, read without copying and without trust.
//!
//! A file is mapped, and what is read of it are slices of the mapping: weights of gigabytes cost no memory until they
//! are looked at. A decoder that drops unknown fields would lose what a newer ONNX has added, so that every message
//! keeps them (see `docs/decisions/0011-onnx-files.md`).

mod field;
mod write;

use bytes::Bytes;

pub(crate) use field::{Field, Item};
pub use field::{Packed, Unknown};
pub(crate) use write::{Sink, Stream, encoded_len};

/// Messages inside messages; `onnx`' own libraries stop at the same depth.
pub const DEPTH_MAX: usize = 100;

/// Messages, texts and numbers of repeated fields in one file. A hostile file of 2-byte messages can so cost some
/// gigabytes at most; the largest real graphs have some hundred thousand.
pub const ELEMENTS_MAX: usize = 16_000_000;

/// Why bytes are not a message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// A field says that it goes on after the end of its message.
    #[error("field {field} ends {missing_bytes} bytes after its message")]
    Truncated {
        /// The field's number.
        field: u32,
        /// How much is missing.
        missing_bytes: u64,
    },
    /// A number has more digits than 64 bits hold, or ends with the file.
    #[error("a number at byte {0} of a message is cut off or too long")]
    Varint(usize),
    /// A field has another wire type than ONNX gives it, or one that ONNX does not use.
    #[error("field {field} of {message} has the wire type {found}")]
    WireType {
        /// The message.
        message: &'static str,
        /// The field's number.
        field: u32,
        /// What was found.
        found: u8,
    },
    /// A text is not UTF-8.
    #[error("field {field} of {message} is not UTF-8")]
    Text {
        /// The message.
        message: &'static str,
        /// The field's number.
        field: u32,
    },
    /// Messages are nested too deeply.
    #[error("messages are nested deeper than {DEPTH_MAX}")]
    TooDeep,
    /// There are too many messages, texts and numbers.
    #[error("there are more than {ELEMENTS_MAX} elements")]
    TooMany,
}

/// A field's value as it stands on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    Varint(u64),
    Fixed64([u8; 8]),
    Fixed32([u8; 4]),
    Bytes(Bytes),
}

/// A field: its number, its value, and the bytes of both.
pub(crate) struct RawField {
    pub(crate) number: u32,
    pub(crate) value: Value,
    pub(crate) raw: Bytes,
}

/// What may still be read of a file.
#[derive(Debug)]
pub(crate) struct Budget {
    depth: usize,
    elements: usize,
}

/// A message: fields that are known, and those that are kept.
pub(crate) trait Message: Default {
    const NAME: &'static str;

    /// Takes one field.
    fn merge(&mut self, field: RawField, budget: &mut Budget) -> Result<(), WireError>;

    /// Writes all fields in the order of their numbers, as `protoc`'s code does.
    fn put<S: Sink>(&self, sink: &mut S);
}

/// Reads a whole message.
pub(crate) fn decode<M: Message>(bytes: Bytes) -> Result<M, WireError> {
    nested(bytes, &mut Budget { depth: DEPTH_MAX, elements: ELEMENTS_MAX })
}

fn nested<M: Message>(bytes: Bytes, budget: &mut Budget) -> Result<M, WireError> {
    budget.depth = budget.depth.checked_sub(1).ok_or(WireError::TooDeep)?;
    let mut message = M::default();
    let mut fields = Fields { bytes, at: 0 };
    while let Some(field) = fields.next(M::NAME)? {
        budget.spend(1)?;
        message.merge(field, budget)?;
    }
    budget.depth += 1;
    Ok(message)
}

impl Budget {
    fn spend(&mut self, elements: usize) -> Result<(), WireError> {
        self.elements = self.elements.checked_sub(elements).ok_or(WireError::TooMany)?;
        Ok(())
    }
}

impl Value {
    fn mistyped(&self, message: &'static str, field: u32) -> WireError {
        let found = match self {
            Self::Varint(_) => 0,
            Self::Fixed64(_) => 1,
            Self::Bytes(_) => 2,
            Self::Fixed32(_) => 5,
        };
        WireError::WireType { message, field, found }
    }
}

/// The fields of a message, one after the other.
struct Fields {
    bytes: Bytes,
    at: usize,
}

impl Fields {
    fn next(&mut self, message: &'static str) -> Result<Option<RawField>, WireError> {
        if self.at == self.bytes.len() {
            return Ok(None);
        }
        let start = self.at;
        let tag = self.varint()?;
        let number = u32::try_from(tag >> 3).map_err(|_| WireError::Varint(start))?;
        let value = match tag & 7 {
            0 => Value::Varint(self.varint()?),
            1 => Value::Fixed64(self.array(number)?),
            2 => {
                let length = self.varint()?;
                Value::Bytes(self.take(number, length)?)
            }
            5 => Value::Fixed32(self.array(number)?),
            found => return Err(WireError::WireType { message, field: number, found: found as u8 }),
        };
        Ok(Some(RawField { number, value, raw: self.bytes.slice(start..self.at) }))
    }

    fn varint(&mut self) -> Result<u64, WireError> {
        let (number, length) = varint(&self.bytes[self.at..]).ok_or(WireError::Varint(self.at))?;
        self.at += length;
        Ok(number)
    }

    fn take(&mut self, field: u32, length: u64) -> Result<Bytes, WireError> {
        let left = (self.bytes.len() - self.at) as u64;
        if length > left {
            return Err(WireError::Truncated { field, missing_bytes: length - left });
        }
        // It fits, since what is left is counted in usize.
        let end = self.at + length as usize;
        let bytes = self.bytes.slice(self.at..end);
        self.at = end;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self, field: u32) -> Result<[u8; N], WireError> {
        let mut array = [0; N];
        array.copy_from_slice(&self.take(field, N as u64)?);
        Ok(array)
    }
}

/// Reads a number of 7 bits a byte; returns it with its length.
fn varint(bytes: &[u8]) -> Option<(u64, usize)> {
    let mut number = 0;
    for (at, byte) in bytes.iter().take(10).enumerate() {
        let digits = u64::from(byte & 0x7f);
        if at == 9 && digits > 1 {
            return None;
        }
        number |= digits << (7 * at);
        if byte & 0x80 == 0 {
            return Some((number, at + 1));
        }
    }
    None
}

/// Declares a message: its known fields in the order of their numbers. All others are kept as they are.
macro_rules! message {
    (
        $(#[$about:meta])* $name:ident = $proto:literal {
            $($(#[$doc:meta])* $field:ident: $type:ty = $number:literal,)*
        }
    ) => {
        $(#[$about])*
        #[derive(Debug, Clone, Default, PartialEq)]
        pub struct $name {
            $($(#[$doc])* pub $field: $type,)*
            /// Fields that this crate does not know, or does not need: they are written back as they were.
            pub unknown: $crate::wire::Unknown,
        }

        impl $crate::wire::Message for $name {
            const NAME: &'static str = $proto;

            fn merge(
                &mut self,
                field: $crate::wire::RawField,
                budget: &mut $crate::wire::Budget,
            ) -> Result<(), $crate::wire::WireError> {
                match field.number {
                    $($number => $crate::wire::Field::read(&mut self.$field, field, Self::NAME, budget),)*
                    _ => {
                        self.unknown.keep(field);
                        Ok(())
                    }
                }
            }

            fn put<S: $crate::wire::Sink>(&self, sink: &mut S) {
                let mut unknown = self.unknown.sorted();
                $(
                    unknown.put_below($number, sink);
                    $crate::wire::Field::put(&self.$field, $number, sink);
                )*
                unknown.put_below(u32::MAX, sink);
            }
        }

        impl $crate::wire::Item for $name {
            fn read(
                field: $crate::wire::RawField,
                message: &'static str,
                budget: &mut $crate::wire::Budget,
            ) -> Result<Self, $crate::wire::WireError> {
                $crate::wire::read_message(field, message, budget)
            }

            fn put<S: $crate::wire::Sink>(&self, number: u32, sink: &mut S) {
                sink.message(number, self);
            }
        }
    };
}
pub(crate) use message;

/// Reads a message that is a field of another.
pub(crate) fn read_message<M: Message>(
    field: RawField,
    message: &'static str,
    budget: &mut Budget,
) -> Result<M, WireError> {
    match field.value {
        Value::Bytes(bytes) => nested(bytes, budget),
        other => Err(other.mistyped(message, field.number)),
    }
}
