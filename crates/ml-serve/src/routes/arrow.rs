//! A table in, a table out: an IPC stream of Arrow at `predict_batch`, answered piece by piece.

use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::web::Bytes;
use arrow_ipc::writer::StreamEncoder;
use arrow_schema::ArrowError;
use futures_util::stream::{self, Stream, StreamExt};

use super::ndjson::{WINDOW_ITEMS, WINDOWS_AHEAD};
use crate::ApiError;
use crate::arrow::{MEDIA, Reader, Table, Writer};
use crate::state::Held;
use crate::wishes::Wishes;

/// Answers a table.
///
/// # Errors
/// When the model is none of tensors, the body no table, or the table's columns are not the model's.
pub(super) fn predict_table(model: Held, body: Bytes, wishes: Wishes) -> Result<HttpResponse, ApiError> {
    let Some(tensors) = model.served.tensors() else {
        let wanted = "items in JSON: tables are for models of tensors and tabular ones";
        return Err(ApiError::UnsupportedMediaType { found: MEDIA.to_owned(), wanted });
    };
    let table = Table::read(body)?;
    Reader::new(tensors, &table.schema)?;
    let writer = Arc::new(Writer::new(tensors)?);
    let unwritable = |error: ArrowError| ApiError::Unwritable { reason: error.to_string() };
    let encoder = StreamEncoder::try_new(writer.schema()).map_err(unwritable)?;
    let schema = table.schema.clone();
    let answered = stream::iter(table.pieces(WINDOW_ITEMS))
        .map(move |piece| {
            let (model, writer, schema) = (model.clone(), Arc::clone(&writer), schema.clone());
            async move {
                let tensors = model
                    .served
                    .tensors()
                    .ok_or_else(|| ArrowError::ComputeError("no tensors".to_owned()))?;
                // Checked before: these are the columns of the same table.
                let reader = Reader::new(tensors, &schema)
                    .map_err(|error| ArrowError::SchemaError(error.to_string()))?;
                writer.batch(tensors.call_tensors(reader.items(&piece), wishes.options_of_part()).await)
            }
        })
        .buffered(WINDOWS_AHEAD);
    Ok(HttpResponse::Ok().content_type(MEDIA).streaming(encoded(Box::pin(answered), encoder)))
}

/// Writes the pieces, and the end of the stream behind them.
fn encoded(
    pieces: impl Stream<Item = Result<arrow_array::RecordBatch, ArrowError>> + Unpin,
    encoder: StreamEncoder,
) -> impl Stream<Item = Result<Bytes, ArrowError>> {
    stream::unfold((pieces, Some(encoder)), |(mut pieces, mut encoder)| async move {
        let writing = encoder.as_mut()?;
        let written = match pieces.next().await {
            Some(piece) => piece.and_then(|piece| writing.encode(&piece)),
            None => encoder.take().map_or_else(|| Ok(Vec::new()), StreamEncoder::finish),
        };
        // The answer has begun with 200: that it ends without the mark of its end tells the caller that it is broken.
        let encoder = encoder.filter(|_| written.is_ok());
        Some((written.map(joined), (pieces, encoder)))
    })
}

fn joined(buffers: Vec<arrow_buffer::Buffer>) -> Bytes {
    buffers.iter().map(|buffer| buffer.as_slice()).collect::<Vec<_>>().concat().into()
}
