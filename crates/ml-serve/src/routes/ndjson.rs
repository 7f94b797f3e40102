//! NDJSON in and out, streamed: one item a line, one result a line, in order, for batches larger than memory.
//!
//! Lines are gathered into windows. While one is being predicted the next is read, and results leave as soon as
//! their window is done. The queue's room sets the pace: a stream waits for it instead of being refused.

pub(crate) mod lines;

use std::collections::VecDeque;
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::rt::time::timeout;
use actix_web::web::{Bytes, Payload};
use futures_util::stream::{self, Stream, StreamExt};

use self::lines::{Line, Lines};
use super::batch::Written;
use crate::ApiError;
use crate::body;
use crate::served::{ItemResult, Served};
use crate::state::{Held, Limits};
use crate::wishes::Wishes;

/// Items of a window: enough to fill the runners' batches, few enough that results leave early.
pub(super) const WINDOW_ITEMS: usize = 256;

/// Windows that are predicted while the next one is read.
pub(super) const WINDOWS_AHEAD: usize = 2;

/// Answers a stream of lines.
pub(super) fn predict_stream(model: Held, payload: Payload, limits: Limits, wishes: Wishes) -> HttpResponse {
    let (limit, cutter) = (limits.request_timeout, Lines::new(limits.item_bytes_max));
    let reader = Reader { payload, limit, cutter, ended: false };
    let answered = windows(reader)
        .map(move |window| {
            let model = model.clone();
            async move { Ok::<_, actix_web::Error>(answer(&*model.served, window, wishes).await) }
        })
        .buffered(WINDOWS_AHEAD);
    HttpResponse::Ok().content_type("application/x-ndjson").streaming(answered)
}

async fn answer(served: &dyn Served, window: Vec<Line>, wishes: Wishes) -> Bytes {
    let items = window.iter().map(|line| match line {
        Ok(line) => body::text(line),
        Err(error) => Err(error.clone()),
    });
    let reply = served.call(items.collect(), wishes.options_of_part()).await;
    let mut text = Vec::with_capacity(64 * reply.results.len());
    for result in &reply.results {
        write_line(&mut text, result);
    }
    text.into()
}

fn write_line(text: &mut Vec<u8>, result: &ItemResult) {
    let length = text.len();
    if let Err(error) = serde_json::to_writer(&mut *text, &Written::from(result)) {
        text.truncate(length);
        let unwritable = Err(ApiError::Unwritable { reason: error.to_string() });
        // An error body is plain strings, which can always be written.
        drop(serde_json::to_writer(&mut *text, &Written::from(&unwritable)));
    }
    text.push(b'\n');
}

/// Gathers lines into windows; a window is closed early rather than made to wait for bytes that are not there.
fn windows(reader: Reader) -> impl Stream<Item = Vec<Line>> {
    stream::unfold((reader, VecDeque::new()), |(mut reader, mut lines)| async move {
        while lines.is_empty() && !reader.ended {
            reader.read(&mut lines).await;
        }
        let window: Vec<Line> = lines.drain(..lines.len().min(WINDOW_ITEMS)).collect();
        (!window.is_empty()).then_some((window, (reader, lines)))
    })
}

/// Reads a payload as lines.
struct Reader {
    payload: Payload,
    limit: Duration,
    cutter: Lines,
    ended: bool,
}

impl Reader {
    /// Reads once, and appends the lines that are complete.
    async fn read(&mut self, lines: &mut VecDeque<Line>) {
        let limit = self.limit;
        match timeout(limit, self.payload.next()).await {
            Ok(Some(Ok(chunk))) => return self.cutter.push(&chunk, lines),
            Ok(None) => self.cutter.end(lines),
            // The answer has begun with 200, so what ends it early is said in its last line.
            Ok(Some(Err(error))) => lines.push_back(Err(body::unreadable(error))),
            Err(_) => lines.push_back(Err(ApiError::BodyTimeout { limit })),
        }
        self.ended = true;
    }
}
