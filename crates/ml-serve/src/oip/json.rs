//! A reader of JSON that hands tensors over without making values of them: one pass, no copies but the numbers.
//!
//! It takes what RFC 8259 allows, and beyond it the `NaN`, `Infinity` and `-Infinity` that Triton and Python write. Depth is
//! bounded, and what is skipped is skipped without recursion, so that no document can exhaust the stack.

mod array;
mod number;
mod text;

use std::borrow::Cow;

/// The deepest that arrays and objects may nest.
pub(crate) const DEPTH_MAX: usize = 100;

/// Why a document cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum JsonError {
    #[error("{reason} at {at}")]
    Syntax { reason: &'static str, at: usize },
    #[error("JSON nesting depth exceeds maximum allowed limit ({DEPTH_MAX})")]
    TooDeep,
    /// A value of another type than was asked for.
    #[error("attempt to access JSON {found} as {wanted}")]
    Type { found: &'static str, wanted: &'static str },
}

/// A place in a document.
#[derive(Debug, Clone)]
pub(crate) struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
    depth: usize,
}

impl<'a> Scanner<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, depth: 0 }
    }

    /// How many bytes are left, which bounds how many values can be.
    pub fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// Reads an object, field by field; `field` must read or skip each value.
    pub fn object<E: From<JsonError>>(
        &mut self,
        mut field: impl FnMut(&mut Self, &str) -> Result<(), E>,
    ) -> Result<(), E> {
        self.open(b'{', "object")?;
        let mut first = true;
        while self.another(b'}', &mut first)? {
            self.peek();
            let name = self.string()?;
            if self.peek() != Some(b':') {
                return Err(self.syntax("missing a colon after a name of object member").into());
            }
            self.at += 1;
            field(self, &name)?;
        }
        Ok(())
    }

    /// Reads an array; `element` must read or skip each value.
    pub fn array<E: From<JsonError>>(
        &mut self,
        mut element: impl FnMut(&mut Self) -> Result<(), E>,
    ) -> Result<(), E> {
        self.open(b'[', "array")?;
        let mut first = true;
        while self.another(b']', &mut first)? {
            element(self)?;
        }
        Ok(())
    }

    fn open(&mut self, bracket: u8, wanted: &'static str) -> Result<(), JsonError> {
        if self.peek() != Some(bracket) {
            return Err(self.wrong_type(wanted));
        }
        self.at += 1;
        self.depth += 1;
        if self.depth > DEPTH_MAX { Err(JsonError::TooDeep) } else { Ok(()) }
    }

    /// Goes to the next member, or past the closing bracket.
    fn another(&mut self, closing: u8, first: &mut bool) -> Result<bool, JsonError> {
        let is_first = std::mem::replace(first, false);
        match self.peek() {
            Some(byte) if byte == closing => {
                self.at += 1;
                self.depth -= 1;
                Ok(false)
            }
            Some(b',') if !is_first => {
                self.at += 1;
                // No comma stands before a closing bracket.
                match self.peek() {
                    Some(byte) if byte == closing => Err(self.syntax("invalid value")),
                    _ => Ok(true),
                }
            }
            Some(_) if is_first => Ok(true),
            _ => Err(self.syntax("missing a comma or a closing bracket")),
        }
    }

    /// Reads a text.
    pub fn string(&mut self) -> Result<Cow<'a, str>, JsonError> {
        if self.peek() != Some(b'"') {
            return Err(self.wrong_type("string"));
        }
        self.text()
    }

    pub fn boolean(&mut self) -> Result<bool, JsonError> {
        match self.peek() {
            Some(b't') => self.word(b"true").map(|()| true),
            Some(b'f') => self.word(b"false").map(|()| false),
            _ => Err(self.wrong_type("boolean")),
        }
    }

    fn word(&mut self, word: &'static [u8]) -> Result<(), JsonError> {
        if !self.bytes[self.at..].starts_with(word) {
            return Err(self.syntax("invalid value"));
        }
        self.at += word.len();
        Ok(())
    }

    /// Skips a value of any type.
    pub fn skip(&mut self) -> Result<(), JsonError> {
        let outside = self.depth;
        let mut brackets: Vec<u8> = Vec::new();
        loop {
            match self.peek() {
                Some(open @ (b'[' | b'{')) => {
                    self.open(open, "value")?;
                    brackets.push(if open == b'[' { b']' } else { b'}' });
                    let mut first = true;
                    if self.enter(&brackets, &mut first)? {
                        continue;
                    }
                    brackets.pop();
                }
                Some(_) => self.scalar()?,
                None => return Err(self.syntax("the document ends early")),
            }
            // A value has ended: go to the next one around it.
            loop {
                if self.depth == outside {
                    return Ok(());
                }
                if self.enter(&brackets, &mut false)? {
                    break;
                }
                brackets.pop();
            }
        }
    }

    /// Goes to the next value inside the innermost bracket, past the name of an object's member.
    fn enter(&mut self, brackets: &[u8], first: &mut bool) -> Result<bool, JsonError> {
        let closing = brackets.last().copied().unwrap_or(b']');
        if !self.another(closing, first)? {
            return Ok(false);
        }
        if closing == b'}' {
            self.string()?;
            if self.peek() != Some(b':') {
                return Err(self.syntax("missing a colon after a name of object member"));
            }
            self.at += 1;
        }
        Ok(true)
    }

    fn scalar(&mut self) -> Result<(), JsonError> {
        match self.peek() {
            Some(b'"') => self.text().map(drop),
            Some(b't' | b'f') => self.boolean().map(drop),
            Some(b'n') => self.word(b"null"),
            _ => self.float().map(drop),
        }
    }

    /// Ends the document.
    pub fn end(&mut self) -> Result<(), JsonError> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.syntax("the document root must not be followed by other values")),
        }
    }

    /// Returns the next byte that is no white space, and goes to it.
    pub fn peek(&mut self) -> Option<u8> {
        loop {
            let byte = *self.bytes.get(self.at)?;
            if byte > b' ' || !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                return Some(byte);
            }
            self.at += 1;
        }
    }

    fn syntax(&self, reason: &'static str) -> JsonError {
        JsonError::Syntax { reason, at: self.at }
    }

    /// Says what stands where something else was asked for.
    fn wrong_type(&mut self, wanted: &'static str) -> JsonError {
        let found = match self.peek() {
            Some(b'"') => "string",
            Some(b'{') => "object",
            Some(b'[') => "array",
            Some(b't' | b'f') => "boolean",
            Some(b'n') => "null",
            Some(b'-' | b'0'..=b'9' | b'N' | b'I') => "number",
            Some(_) => return self.syntax("invalid value"),
            None if self.at == 0 || self.bytes.is_empty() => return self.syntax("the document is empty"),
            None => return self.syntax("the document ends early"),
        };
        JsonError::Type { found, wanted }
    }
}

#[cfg(test)]
mod tests;
