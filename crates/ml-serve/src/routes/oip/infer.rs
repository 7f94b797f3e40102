//! `infer`: tensors in, tensors out.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io::Write;
use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, MessageBody};
use actix_web::http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, ContentType, HeaderName};
use actix_web::web::{Bytes, Data, Payload};
use actix_web::{HttpMessage, HttpRequest, HttpResponse};
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use ml_core::Priority;

use super::body::{self, Encoding};
use super::models::named;
use crate::ApiError;
use crate::oip::binary::{self, Form};
use crate::oip::infer::Usual;
use crate::oip::outputs::{Written, write};
use crate::oip::{self, Refusal};
use crate::state::State;
use crate::wishes::Wishes;

static HEADER: HeaderName = HeaderName::from_static(binary::HEADER);

pub(super) async fn infer(
    request: HttpRequest,
    payload: Payload,
    state: Data<State>,
) -> Result<HttpResponse, Refusal> {
    let found = named(&request).of(&state)?;
    let (model, contract) = found.parts()?;
    let limits = state.limits;
    let wishes = Wishes::read(&request, limits.request_timeout, Priority::Interactive)?;
    let form = Form::read(request.headers().get(&HEADER).map(|value| value.as_bytes()))?;
    let body = body::read(&request, payload, limits.body(), form.json_bytes()).await?;
    let asked = binary::read(contract, form, &body)?;
    drop(body);
    let id = asked.id.clone();
    let usual = Usual { deadline: wishes.deadline, priority: wishes.priority };
    // Boxed: as one, the way of a request would be larger than what the allocator hands out fastest.
    let inferring = Box::pin(oip::infer::infer(&state, (model, contract), asked, usual));
    let (outputs, timings) = inferring.await?;
    let written = write(contract, &id, &outputs)?;
    request.extensions_mut().insert(timings);
    answer(&request, written)
}

fn answer(request: &HttpRequest, written: Written) -> Result<HttpResponse, Refusal> {
    let mut response = HttpResponse::Ok();
    if written.binary {
        response
            .insert_header((HEADER.clone(), written.json.len()))
            .content_type(ContentType::octet_stream());
    } else {
        response.content_type(ContentType::json());
    }
    let encoding = accepted(request);
    if encoding == Encoding::Identity {
        if written.tensors.is_empty() {
            return Ok(response.body(written.json));
        }
        return Ok(response.body(Parts::of(written)));
    }
    let unwritable = |error: std::io::Error| ApiError::Unwritable { reason: error.to_string() };
    let (name, body) = compressed(encoding, &written).map_err(unwritable)?;
    Ok(response.insert_header((CONTENT_ENCODING, name)).body(body))
}

fn compressed(encoding: Encoding, written: &Written) -> std::io::Result<(&'static str, Vec<u8>)> {
    let parts = || std::iter::once(&*written.json).chain(written.tensors.iter().map(|bytes| &**bytes));
    if encoding == Encoding::Deflate {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
        parts().try_for_each(|part| encoder.write_all(part))?;
        return Ok(("deflate", encoder.finish()?));
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    parts().try_for_each(|part| encoder.write_all(part))?;
    Ok(("gzip", encoder.finish()?))
}

/// Returns the encoding that the caller wants. One that lists several says only what its library can undo, as all of
/// them do by themselves: numbers hardly shrink, and to compress them takes longer than to send them.
fn accepted(request: &HttpRequest) -> Encoding {
    let header = request.headers().get(ACCEPT_ENCODING).and_then(|header| header.to_str().ok());
    let listed = header.unwrap_or_default().split(',').filter(|part| {
        let quality = part.split_once("q=").and_then(|(_, quality)| quality.trim().parse().ok());
        quality.unwrap_or(1.0_f32) > 0.0
    });
    let mut wanted = listed
        .map(|part| part.split(';').next().unwrap_or_default().trim())
        .filter(|name| *name != "identity");
    match (wanted.next(), wanted.next()) {
        (Some("gzip"), None) => Encoding::Gzip,
        (Some("deflate"), None) => Encoding::Deflate,
        _ => Encoding::Identity,
    }
}

/// How much of a body is handed on at once: as much as stays in the cache between the copies on its way.
const PIECE_BYTES: usize = 64 << 10;

/// A body of parts that are sent as they are.
struct Parts {
    parts: VecDeque<Bytes>,
    left: u64,
}

impl Parts {
    fn of(written: Written) -> Self {
        let mut parts = VecDeque::from(written.tensors);
        parts.push_front(Bytes::from(written.json));
        let left = parts.iter().map(|part| part.len() as u64).sum();
        Self { parts, left }
    }
}

impl MessageBody for Parts {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.left)
    }

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, Infallible>>> {
        while let Some(part) = self.parts.front_mut() {
            if part.is_empty() {
                self.parts.pop_front();
                continue;
            }
            let piece = part.split_to(part.len().min(PIECE_BYTES));
            return Poll::Ready(Some(Ok(piece)));
        }
        Poll::Ready(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_requests_way_is_small() {
        fn bytes<A, B, C, F>(_: impl Fn(A, B, C) -> F) -> usize {
            size_of::<F>()
        }
        // actix puts it into a box, with what it was made of.
        assert!(bytes(infer) < 900, "{}", bytes(infer));
    }
}
