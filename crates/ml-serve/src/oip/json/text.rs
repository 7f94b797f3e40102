//! Texts: taken as they stand, and made anew only where they have escapes.

use std::borrow::Cow;

use super::{JsonError, Scanner};

impl<'a> Scanner<'a> {
    /// Reads a text whose quote is the next byte.
    pub(super) fn text(&mut self) -> Result<Cow<'a, str>, JsonError> {
        self.at += 1;
        let start = self.at;
        let mut escapes = false;
        loop {
            match self.bytes.get(self.at) {
                Some(b'"') => break,
                Some(b'\\') => {
                    escapes = true;
                    self.at += 2;
                }
                Some(0..=0x1f) => return Err(self.syntax("invalid character in string")),
                Some(_) => self.at += 1,
                None => {
                    self.at = self.bytes.len();
                    return Err(self.syntax("missing a closing quotation mark in string"));
                }
            }
        }
        let raw = self.bytes.get(start..self.at).unwrap_or_default();
        let raw = std::str::from_utf8(raw).map_err(|_| self.syntax("invalid encoding in string"))?;
        self.at += 1;
        if escapes { self.unescaped(raw).map(Cow::Owned) } else { Ok(Cow::Borrowed(raw)) }
    }

    fn unescaped(&self, raw: &str) -> Result<String, JsonError> {
        let mut text = String::with_capacity(raw.len());
        let mut rest = raw;
        while let Some((before, after)) = rest.split_once('\\') {
            text.push_str(before);
            let escape =
                after.bytes().next().ok_or_else(|| self.syntax("invalid escape character in string"))?;
            rest = after.get(1..).ok_or_else(|| self.syntax("invalid escape character in string"))?;
            text.push(match escape {
                b'"' | b'\\' | b'/' => char::from(escape),
                b'b' => '\u{8}',
                b'f' => '\u{c}',
                b'n' => '\n',
                b'r' => '\r',
                b't' => '\t',
                b'u' => self.code_point(&mut rest)?,
                _ => return Err(self.syntax("invalid escape character in string")),
            });
        }
        text.push_str(rest);
        Ok(text)
    }

    /// Reads what follows `\u`, a second half included where the first is one of a pair.
    fn code_point(&self, rest: &mut &str) -> Result<char, JsonError> {
        let invalid = || self.syntax("incorrect hex digit or surrogate after \\u escape in string");
        let mut unit = |prefix: &str| {
            let digits = rest.strip_prefix(prefix)?.get(..4)?;
            let unit = digits.bytes().all(|byte| byte.is_ascii_hexdigit()).then_some(digits)?;
            *rest = &rest[prefix.len() + 4..];
            u16::from_str_radix(unit, 16).ok()
        };
        let first = unit("").ok_or_else(invalid)?;
        let units = match first {
            0xd800..=0xdbff => vec![first, unit("\\u").ok_or_else(invalid)?],
            _ => vec![first],
        };
        char::decode_utf16(units).next().and_then(Result::ok).ok_or_else(invalid)
    }
}
