//! How fields of each type are read and written.

use bytes::Bytes;

use super::{Budget, RawField, Sink, Value, WireError, varint};

/// A field of a message, however often it may occur.
pub(crate) trait Field {
    /// Takes one occurrence.
    fn read(&mut self, field: RawField, message: &'static str, budget: &mut Budget) -> Result<(), WireError>;

    /// Writes all occurrences.
    fn put<S: Sink>(&self, number: u32, sink: &mut S);
}

/// One occurrence of a field.
pub(crate) trait Item: Sized {
    fn read(field: RawField, message: &'static str, budget: &mut Budget) -> Result<Self, WireError>;

    fn put<S: Sink>(&self, number: u32, sink: &mut S);

    /// Reads what may also stand as many values in one field; `None` for what may not.
    fn read_packed(_bytes: &[u8], _into: &mut Vec<Self>) -> Option<Result<(), WireError>> {
        None
    }
}

/// Numbers that are written as one field, without a tag for each.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Packed<T>(pub Vec<T>);

/// Fields that are kept as they were.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unknown(Vec<(u32, Bytes)>);

impl Unknown {
    pub(crate) fn keep(&mut self, field: RawField) {
        self.0.push((field.number, field.raw));
    }

    /// Returns them in the order of their numbers, those of one number in their own.
    pub(crate) fn sorted(&self) -> SortedUnknown<'_> {
        let mut fields: Vec<_> = self.0.iter().collect();
        fields.sort_by_key(|(number, _)| *number);
        SortedUnknown { fields, next: 0 }
    }

    /// Returns the bytes of each kept field of this number, its tag included.
    pub fn fields(&self, number: u32) -> impl Iterator<Item = &Bytes> {
        self.0.iter().filter(move |(known, _)| *known == number).map(|(_, raw)| raw)
    }
}

pub(crate) struct SortedUnknown<'a> {
    fields: Vec<&'a (u32, Bytes)>,
    next: usize,
}

impl SortedUnknown<'_> {
    /// Writes those with lower numbers that were not written yet.
    pub(crate) fn put_below<S: Sink>(&mut self, number: u32, sink: &mut S) {
        while let Some((known, raw)) = self.fields.get(self.next)
            && *known < number
        {
            sink.raw(raw);
            self.next += 1;
        }
    }
}

impl<T: Item> Field for Vec<T> {
    fn read(&mut self, field: RawField, message: &'static str, budget: &mut Budget) -> Result<(), WireError> {
        if let Value::Bytes(bytes) = &field.value {
            let before = self.len();
            if let Some(read) = T::read_packed(bytes, self) {
                read?;
                return budget.spend(self.len() - before);
            }
        }
        self.push(T::read(field, message, budget)?);
        Ok(())
    }

    fn put<S: Sink>(&self, number: u32, sink: &mut S) {
        self.iter().for_each(|item| item.put(number, sink));
    }
}

impl<T: Item> Field for Option<T> {
    fn read(&mut self, field: RawField, message: &'static str, budget: &mut Budget) -> Result<(), WireError> {
        *self = Some(T::read(field, message, budget)?);
        Ok(())
    }

    fn put<S: Sink>(&self, number: u32, sink: &mut S) {
        if let Some(item) = self {
            item.put(number, sink);
        }
    }
}

impl<T: Number> Field for Packed<T> {
    fn read(&mut self, field: RawField, message: &'static str, budget: &mut Budget) -> Result<(), WireError> {
        // Numbers of a tensor are not counted: each takes at least a byte of the file, and 8 of memory at most.
        match &field.value {
            Value::Bytes(bytes) => T::unpack(bytes, &mut self.0),
            _ => {
                self.0.push(T::read(field, message, budget)?);
                Ok(())
            }
        }
    }

    fn put<S: Sink>(&self, number: u32, sink: &mut S) {
        if !self.0.is_empty() {
            sink.packed(number, &self.0);
        }
    }
}

/// A number of any kind.
pub(crate) trait Number: Item {
    fn put_bare<S: Sink>(&self, sink: &mut S);
    fn unpack(bytes: &[u8], into: &mut Vec<Self>) -> Result<(), WireError>;
}

impl Item for String {
    fn read(field: RawField, message: &'static str, budget: &mut Budget) -> Result<Self, WireError> {
        let number = field.number;
        let bytes = <Bytes as Item>::read(field, message, budget)?;
        let text = std::str::from_utf8(&bytes);
        text.map(str::to_owned).map_err(|_| WireError::Text { message, field: number })
    }

    fn put<S: Sink>(&self, number: u32, sink: &mut S) {
        sink.bytes(number, self.as_bytes());
    }
}

impl Item for Bytes {
    fn read(field: RawField, message: &'static str, _: &mut Budget) -> Result<Self, WireError> {
        match field.value {
            Value::Bytes(bytes) => Ok(bytes),
            other => Err(other.mistyped(message, field.number)),
        }
    }

    fn put<S: Sink>(&self, number: u32, sink: &mut S) {
        sink.bytes(number, self);
    }
}

impl<T: Item> Item for Box<T> {
    fn read(field: RawField, message: &'static str, budget: &mut Budget) -> Result<Self, WireError> {
        T::read(field, message, budget).map(Self::new)
    }

    fn put<S: Sink>(&self, number: u32, sink: &mut S) {
        T::put(self, number, sink);
    }
}

/// A text that is not written when it is empty.
impl Field for String {
    fn read(&mut self, field: RawField, message: &'static str, budget: &mut Budget) -> Result<(), WireError> {
        *self = Item::read(field, message, budget)?;
        Ok(())
    }

    fn put<S: Sink>(&self, number: u32, sink: &mut S) {
        if !self.is_empty() {
            Item::put(self, number, sink);
        }
    }
}

macro_rules! varints {
    ($($type:ty),*) => {$(
        impl Item for $type {
            fn read(field: RawField, message: &'static str, _: &mut Budget) -> Result<Self, WireError> {
                match field.value {
                    // Protocol Buffers keep the low bits of what is too large.
                    Value::Varint(number) => Ok(number as Self),
                    other => Err(other.mistyped(message, field.number)),
                }
            }

            fn put<S: Sink>(&self, number: u32, sink: &mut S) {
                sink.tag(number, 0);
                self.put_bare(sink);
            }

            fn read_packed(bytes: &[u8], into: &mut Vec<Self>) -> Option<Result<(), WireError>> {
                Some(Self::unpack(bytes, into))
            }
        }

        impl Number for $type {
            fn put_bare<S: Sink>(&self, sink: &mut S) {
                // A negative number has all 64 bits, as the format wants.
                sink.varint(*self as i64 as u64);
            }

            fn unpack(mut bytes: &[u8], into: &mut Vec<Self>) -> Result<(), WireError> {
                let all = bytes.len();
                while !bytes.is_empty() {
                    let (number, length) = varint(bytes).ok_or(WireError::Varint(all - bytes.len()))?;
                    into.push(number as Self);
                    bytes = &bytes[length..];
                }
                Ok(())
            }
        }
    )*};
}

varints!(i32, i64, u64);

macro_rules! fixed {
    ($($type:ty, $variant:ident, $wire:literal;)*) => {$(
        impl Item for $type {
            fn read(field: RawField, message: &'static str, _: &mut Budget) -> Result<Self, WireError> {
                match field.value {
                    Value::$variant(bytes) => Ok(Self::from_le_bytes(bytes)),
                    other => Err(other.mistyped(message, field.number)),
                }
            }

            fn put<S: Sink>(&self, number: u32, sink: &mut S) {
                sink.tag(number, $wire);
                self.put_bare(sink);
            }

            fn read_packed(bytes: &[u8], into: &mut Vec<Self>) -> Option<Result<(), WireError>> {
                Some(Self::unpack(bytes, into))
            }
        }

        impl Number for $type {
            fn put_bare<S: Sink>(&self, sink: &mut S) {
                sink.raw(&self.to_le_bytes());
            }

            fn unpack(bytes: &[u8], into: &mut Vec<Self>) -> Result<(), WireError> {
                let (numbers, rest) = bytes.as_chunks();
                if !rest.is_empty() {
                    return Err(WireError::Varint(bytes.len() - rest.len()));
                }
                into.extend(numbers.iter().map(|bytes| Self::from_le_bytes(*bytes)));
                Ok(())
            }
        }
    )*};
}

fixed!(f32, Fixed32, 5; f64, Fixed64, 1;);
