//! Tables as Arrow has them: an IPC stream in, columns by name to a model's inputs, and one out, with a column for each output and
//! one for errors.
//!
//! The reader is Arrow's own. It is given messages that are there as a whole, so it makes room for nothing that was not sent, and
//! checks lengths, offsets and texts.

mod cells;
mod read;
mod schema;
mod write;

use std::panic::{AssertUnwindSafe, catch_unwind};

use arrow_array::{Array, ArrayRef, RecordBatch, make_array};
use arrow_buffer::Buffer;
use arrow_ipc::reader::StreamDecoder;
use arrow_ipc::root_as_message;
use arrow_schema::{ArrowError, SchemaRef};
use bytes::Bytes;

use crate::ApiError;

pub(crate) use self::read::Reader;
#[cfg(fuzzing)]
pub(crate) use self::read::column;
pub(crate) use self::write::Writer;

/// The media type of an IPC stream.
pub(crate) const MEDIA: &str = "application/vnd.apache.arrow.stream";

/// Rows, and elements of lists, of a byte of the body, at most: a column of truths has eight. More are promised by columns that have
/// no bytes at all.
const ROWS_PER_BYTE_MAX: usize = 8;

/// A table as it was sent.
pub(crate) struct Table {
    pub schema: SchemaRef,
    batches: Vec<RecordBatch>,
}

impl Table {
    /// Reads a whole stream; numbers stay in the body that they came in.
    ///
    /// # Errors
    /// When it is none, ends early, or promises more than it has.
    pub fn read(body: Bytes) -> Result<Self, ApiError> {
        let wrong = |reason: String| ApiError::MalformedArrow { reason };
        let rows_max = body.len().saturating_mul(ROWS_PER_BYTE_MAX);
        // Whatever a broken stream may do to a reader that others wrote, it costs nobody but its sender an answer.
        let table = catch_unwind(AssertUnwindSafe(|| decode(body)))
            .map_err(|_| wrong("it cannot be read".to_owned()))?
            .map_err(|error| wrong(error.to_string()))?;
        let table = table.ok_or_else(|| wrong("it has no schema".to_owned()))?;
        let rows = table.batches.iter().map(RecordBatch::num_rows).fold(0, usize::saturating_add);
        if rows > rows_max {
            return Err(wrong(format!("it has {rows} rows, and no bytes for them")));
        }
        let columns = table.batches.iter().flat_map(RecordBatch::columns);
        let elements = columns.map(most_elements).max().unwrap_or(0);
        if elements > rows_max {
            return Err(wrong(format!("it has lists of {elements} elements, and no bytes for them")));
        }
        Ok(table)
    }

    /// Returns the table in pieces of so many rows at most.
    pub fn pieces(&self, rows_max: usize) -> Vec<RecordBatch> {
        let rows_max = rows_max.max(1);
        let pieces = |batch: &RecordBatch| -> Vec<RecordBatch> {
            let starts = (0..batch.num_rows()).step_by(rows_max);
            starts.map(|start| batch.slice(start, rows_max.min(batch.num_rows() - start))).collect()
        };
        self.batches.iter().flat_map(pieces).collect()
    }
}

/// Returns the length of the longest of a column's arrays: lists of lists have more elements than the table has rows.
fn most_elements(column: &ArrayRef) -> usize {
    let data = column.to_data();
    let children = data.child_data().iter().cloned().map(make_array);
    children.map(|child| most_elements(&child)).fold(column.len(), usize::max)
}

/// Decodes a stream message by message: of one that is not there as a whole the decoder makes room for what it says that it has, up to
/// 64 MiB.
fn decode(body: Bytes) -> Result<Option<Table>, ArrowError> {
    let (mut decoder, mut rest, mut batches) = (StreamDecoder::new(), Buffer::from(body), Vec::new());
    while !rest.is_empty() {
        let bytes = message_bytes(&rest)?;
        let mut message = rest.slice_with_length(0, bytes);
        rest.advance(bytes);
        while let Some(batch) = decoder.decode(&mut message)? {
            batches.push(batch);
        }
    }
    decoder.finish()?;
    Ok(decoder.schema().map(|schema| Table { schema, batches }))
}

/// Returns how many bytes the first message of a stream has: its length, its description and its body. The mark of the end counts as all
/// that is left.
fn message_bytes(stream: &[u8]) -> Result<usize, ArrowError> {
    let early = || ArrowError::IpcError("it ends early".to_owned());
    // Streams of old have no mark before the length.
    let after_mark = stream.strip_prefix(&[0xFF; 4]).unwrap_or(stream);
    let (length, after) = after_mark.split_first_chunk().ok_or_else(early)?;
    let length = u32::from_le_bytes(*length) as usize;
    if length == 0 {
        return Ok(stream.len());
    }
    let (described, after) = after.split_at_checked(length).ok_or_else(early)?;
    let message = root_as_message(described).map_err(|error| ArrowError::ParseError(error.to_string()))?;
    let body = usize::try_from(message.bodyLength()).ok().filter(|body| *body <= after.len());
    Ok(stream.len() - after.len() + body.ok_or_else(early)?)
}

#[cfg(test)]
mod tests;
