//! The numbers of a tensor: an array of them, nested to any depth, of which only their order counts.

use std::sync::Arc;

use ml_core::ElementType;

use super::{DEPTH_MAX, JsonError, Scanner};
use crate::tensors::{Data, as_bytes};

impl Scanner<'_> {
    /// Reads the elements of a tensor, of which the shape promises `count`; `None` for types that JSON does not carry.
    pub fn tensor(&mut self, element: ElementType, count: usize) -> Result<Option<Data>, JsonError> {
        macro_rules! whole {
            ($rust:ty, $read:ident) => {
                self.numbers(count, |scanner| {
                    <$rust>::try_from(scanner.$read()?).map_err(|_| JsonError::Type {
                        found: concat!("number that is no ", stringify!($rust)),
                        wanted: concat!(stringify!($rust)),
                    })
                })?
            };
        }
        Ok(Some(match element {
            ElementType::Bool => self.numbers(count, Scanner::boolean)?,
            ElementType::U8 => whole!(u8, unsigned),
            ElementType::U16 => whole!(u16, unsigned),
            ElementType::U32 => whole!(u32, unsigned),
            ElementType::U64 => self.numbers(count, Scanner::unsigned)?,
            ElementType::I8 => whole!(i8, signed),
            ElementType::I16 => whole!(i16, signed),
            ElementType::I32 => whole!(i32, signed),
            ElementType::I64 => self.numbers(count, Scanner::signed)?,
            // By way of a double, as every client and server of the protocol does it.
            ElementType::F32 => self.numbers(count, |scanner| Ok(scanner.float()? as f32))?,
            ElementType::F64 => self.numbers(count, Scanner::float)?,
            ElementType::String => {
                let texts =
                    self.elements(count, |scanner| Ok(scanner.string()?.into_owned().into_bytes()))?;
                Data::Texts(Arc::from(texts))
            }
            ElementType::F16 | ElementType::BF16 => return Ok(None),
        }))
    }

    fn numbers<T: zerocopy::IntoBytes + zerocopy::Immutable + Send + 'static>(
        &mut self,
        count: usize,
        number: impl FnMut(&mut Self) -> Result<T, JsonError>,
    ) -> Result<Data, JsonError> {
        Ok(Data::Numbers(as_bytes(self.elements(count, number)?)))
    }

    pub(super) fn elements<T>(
        &mut self,
        count: usize,
        mut element: impl FnMut(&mut Self) -> Result<T, JsonError>,
    ) -> Result<Vec<T>, JsonError> {
        if self.peek() != Some(b'[') {
            return Err(self.wrong_type("array"));
        }
        // An element has one byte and a comma at least: a shape alone makes nobody allocate.
        let mut elements = Vec::with_capacity(count.min(self.left() / 2 + 1));
        let mut depth = 0_usize;
        loop {
            if self.peek() == Some(b'[') {
                self.at += 1;
                depth += 1;
                if self.depth + depth > DEPTH_MAX {
                    return Err(JsonError::TooDeep);
                }
                if self.peek() != Some(b']') {
                    continue;
                }
            } else {
                elements.push(element(self)?);
            }
            // A value has ended, or an empty array begun.
            loop {
                match self.peek() {
                    Some(b',') => {
                        self.at += 1;
                        break;
                    }
                    Some(b']') => {
                        self.at += 1;
                        depth -= 1;
                        if depth == 0 {
                            // A document of many inputs, each of which promises more than it has, must not keep room for all.
                            elements.shrink_to_fit();
                            return Ok(elements);
                        }
                    }
                    _ => return Err(self.syntax("missing a comma or a closing bracket")),
                }
            }
        }
    }
}
