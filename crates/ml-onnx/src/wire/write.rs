//! Writing: the length of a message stands before it, so each is walked twice, and none is built in memory.

use std::io::{self, Write};

use super::Message;
use super::field::Number;

/// Where a message is written to.
pub(crate) trait Sink: Sized {
    /// Takes bytes as they are.
    fn raw(&mut self, bytes: &[u8]);

    fn varint(&mut self, mut number: u64) {
        let mut digits = [0; 10];
        let mut length = 0;
        loop {
            let goes_on = if number > 0x7f { 0x80 } else { 0 };
            digits[length] = (number & 0x7f) as u8 | goes_on;
            length += 1;
            number >>= 7;
            if number == 0 {
                break;
            }
        }
        self.raw(&digits[..length]);
    }

    fn tag(&mut self, number: u32, wire_type: u8) {
        self.varint(u64::from(number) << 3 | u64::from(wire_type));
    }

    fn bytes(&mut self, number: u32, bytes: &[u8]) {
        self.tag(number, 2);
        self.varint(bytes.len() as u64);
        self.raw(bytes);
    }

    fn message(&mut self, number: u32, message: &impl Message) {
        self.tag(number, 2);
        self.varint(encoded_len(message));
        message.put(self);
    }

    fn packed<T: Number>(&mut self, number: u32, numbers: &[T]) {
        let mut length = Counter::default();
        numbers.iter().for_each(|number| number.put_bare(&mut length));
        self.tag(number, 2);
        self.varint(length.0);
        numbers.iter().for_each(|number| number.put_bare(self));
    }
}

/// Counts what would be written.
#[derive(Default)]
pub(crate) struct Counter(u64);

/// Writes to a file, until it fails.
pub(crate) struct Stream<W> {
    to: W,
    failed: io::Result<()>,
}

/// Returns how many bytes a message takes.
pub(crate) fn encoded_len(message: &impl Message) -> u64 {
    let mut counter = Counter::default();
    message.put(&mut counter);
    counter.0
}

impl Sink for Counter {
    fn raw(&mut self, bytes: &[u8]) {
        self.0 += bytes.len() as u64;
    }

    /// Walks the message once: twice at each level would be exponential in the depth.
    fn message(&mut self, number: u32, message: &impl Message) {
        let length = encoded_len(message);
        self.tag(number, 2);
        self.varint(length);
        self.0 += length;
    }
}

impl<W: Write> Stream<W> {
    pub(crate) fn new(to: W) -> Self {
        Self { to, failed: Ok(()) }
    }

    /// Returns the first error that there was.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        self.failed?;
        self.to.flush()?;
        Ok(self.to)
    }
}

impl<W: Write> Sink for Stream<W> {
    fn raw(&mut self, bytes: &[u8]) {
        if self.failed.is_ok() {
            self.failed = self.to.write_all(bytes);
        }
    }
}
