//! Lines of a stream that comes in chunks, with at most one unfinished line held.

use std::collections::VecDeque;

use actix_web::web::{Bytes, BytesMut};

use crate::ApiError;

/// A line, or why it cannot be an item.
pub(crate) type Line = Result<Bytes, ApiError>;

/// Cuts chunks into lines; where the chunks begin and end makes no difference.
pub(crate) struct Lines {
    /// A longer line is an error of its own.
    bytes_max: usize,
    unread: BytesMut,
    /// Bytes of `unread` that have no end of a line among them: they are not searched again.
    searched: usize,
    /// Bytes of a line that is too long and is being skipped to its end; 0 when none is.
    skipped: usize,
}

impl Lines {
    pub fn new(bytes_max: usize) -> Self {
        Self { bytes_max, unread: BytesMut::new(), searched: 0, skipped: 0 }
    }

    /// Takes the next bytes, and appends the lines that are complete.
    pub fn push(&mut self, chunk: &[u8], lines: &mut VecDeque<Line>) {
        self.unread.extend_from_slice(chunk);
        while let Some(end) = self.unread[self.searched..].iter().position(|byte| *byte == b'\n') {
            let line = self.unread.split_to(self.searched + end + 1).freeze();
            let line = line.slice(..line.len() - 1);
            self.searched = 0;
            let bytes = std::mem::take(&mut self.skipped) + line.len();
            if bytes > self.bytes_max {
                lines.push_back(Err(ApiError::ItemTooLarge { bytes, limit_bytes: self.bytes_max }));
            } else if !line.trim_ascii().is_empty() {
                lines.push_back(Ok(line));
            }
        }
        self.searched = self.unread.len();
        if self.skipped + self.unread.len() > self.bytes_max {
            self.skipped += self.unread.len();
            self.unread.clear();
            self.searched = 0;
        }
    }

    /// Ends the stream, whose last line may lack its end.
    pub fn end(&mut self, lines: &mut VecDeque<Line>) {
        self.push(b"\n", lines);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the lines of chunks of so many bytes: texts, or the bytes of those that are too long.
    fn cut(stream: &str, chunk_bytes: usize) -> Vec<Result<String, usize>> {
        let (mut cutter, mut lines) = (Lines::new(8), VecDeque::new());
        stream.as_bytes().chunks(chunk_bytes).for_each(|chunk| cutter.push(chunk, &mut lines));
        cutter.end(&mut lines);
        let read = |line: Line| match line {
            Ok(line) => Ok(String::from_utf8_lossy(&line).into_owned()),
            Err(ApiError::ItemTooLarge { bytes, limit_bytes: 8 }) => Err(bytes),
            Err(other) => unreachable!("{other}"),
        };
        lines.into_iter().map(read).collect()
    }

    #[test]
    fn lines_do_not_depend_on_where_chunks_end() {
        let text = |text: &str| Ok(text.to_owned());
        for (stream, expected) in [
            ("", vec![]),
            ("a\n\nb", vec![text("a"), text("b")]),
            ("12345678\r\n", vec![Err(9)]),
            ("12345678\nb\n", vec![text("12345678"), text("b")]),
            ("123456789\n1\n", vec![Err(9), text("1")]),
            // A blank line is left out, but not one that is too long: whether it is blank was never known when it came in pieces.
            ("        \n\t\n", vec![]),
            ("         \n1", vec![Err(9), text("1")]),
            ("1234567890123456789", vec![Err(19)]),
        ] {
            for chunk_bytes in 1..=stream.len().max(1) {
                assert_eq!(cut(stream, chunk_bytes), expected, "{stream:?} in chunks of {chunk_bytes}");
            }
        }
    }
}
