//! The body of a request: its content type, its size and its encoding, checked in one place.

use std::pin::pin;
use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::error::PayloadError;
use actix_web::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use actix_web::rt::time::timeout;
use actix_web::web::{Bytes, BytesMut, Payload};
use futures_util::StreamExt;

use crate::wishes::without_waiting;
use crate::{ApiError, arrow};

/// What a predicting route was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Media {
    Json,
    NdJson,
    Arrow,
}

impl Media {
    /// Refuses what is no single JSON text.
    ///
    /// # Errors
    /// When it is one of the others.
    pub fn must_be_json(self, wanted: &'static str) -> Result<(), ApiError> {
        let found = match self {
            Self::Json => return Ok(()),
            Self::NdJson => "application/x-ndjson",
            Self::Arrow => arrow::MEDIA,
        };
        Err(ApiError::UnsupportedMediaType { found: found.to_owned(), wanted })
    }
}

/// Returns the body's media type; a body without one is taken to be JSON.
///
/// # Errors
/// Any other type is refused, as is a character set other than UTF-8, and a body that is compressed.
pub(crate) fn media(request: &HttpRequest, wanted: &'static str) -> Result<Media, ApiError> {
    if let Some(encoding) = request.headers().get(CONTENT_ENCODING).filter(|encoding| *encoding != "identity")
    {
        return Err(ApiError::UnsupportedEncoding {
            found: String::from_utf8_lossy(encoding.as_bytes()).into_owned(),
        });
    }
    let Some(header) = request.headers().get(CONTENT_TYPE) else { return Ok(Media::Json) };
    if header == "application/json" {
        return Ok(Media::Json); // As nearly everybody writes it.
    }
    let found = String::from_utf8_lossy(header.as_bytes()).into_owned();
    let mut parts = found.split(';').map(|part| part.trim().to_ascii_lowercase());
    let essence = parts.next().unwrap_or_default();
    let utf8 = parts
        .filter_map(|part| part.strip_prefix("charset=").map(|set| set.trim_matches('"').to_owned()))
        .all(|set| matches!(set.as_str(), "utf-8" | "utf8"));
    match essence.as_str() {
        "" | "application/json" if utf8 => Ok(Media::Json),
        "application/x-ndjson" | "application/ndjson" | "application/jsonl" if utf8 => Ok(Media::NdJson),
        arrow::MEDIA => Ok(Media::Arrow),
        _ => Err(ApiError::UnsupportedMediaType { found, wanted }),
    }
}

/// Returns whether the body says that it is an image, of whatever kind: the bytes themselves tell which.
pub(crate) fn is_image(request: &HttpRequest) -> bool {
    let header = request.headers().get(CONTENT_TYPE).map(|header| header.as_bytes());
    header.is_some_and(|media| media.len() > 6 && media[..6].eq_ignore_ascii_case(b"image/"))
}

/// How much of a body is read, and for how long.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BodyLimits {
    pub bytes_max: usize,
    pub timeout: Duration,
}

/// Reads a whole body, which must not be empty.
///
/// # Errors
/// As [`read_to_align`].
pub(crate) async fn read(
    request: &HttpRequest,
    payload: Payload,
    limits: BodyLimits,
    wanted: &'static str,
) -> Result<Bytes, ApiError> {
    let body = read_to_align(request, payload, limits, 0).await?;
    if body.is_empty() { Err(ApiError::EmptyBody { wanted }) } else { Ok(body) }
}

/// Reads a whole body; one that comes in pieces is put together so that what follows its first `before` bytes lies at an
/// address that suits any number.
///
/// # Errors
/// A body that says it is too large is refused before it is read; one that is, as soon as it shows.
pub(crate) async fn read_to_align(
    request: &HttpRequest,
    mut payload: Payload,
    limits: BodyLimits,
    before: usize,
) -> Result<Bytes, ApiError> {
    let too_large = ApiError::BodyTooLarge { limit_bytes: limits.bytes_max };
    let declared = request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    if declared.is_some_and(|bytes: u64| bytes > limits.bytes_max as u64) {
        return Err(too_large);
    }
    let declared = declared.and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(0);
    let reading = async {
        let Some(first) = payload.next().await else { return Ok(Bytes::new()) };
        let first = first.map_err(unreadable)?;
        // Most bodies come in one piece, which is then the body as it is.
        if first.len() == declared {
            return Ok(first);
        }
        // Room for what was declared, but not before it comes: a caller may declare what it never sends.
        let mut body = Aligned::with_capacity(first.len().max(declared.min(DECLARED_ROOM_MAX)), before);
        body.extend(&first);
        while let Some(chunk) = payload.next().await {
            let chunk = chunk.map_err(unreadable)?;
            if body.len() + chunk.len() > limits.bytes_max {
                return Err(too_large);
            }
            body.extend(&chunk);
        }
        if body.len() > limits.bytes_max { Err(too_large) } else { Ok(body.freeze()) }
    };
    let mut reading = pin!(reading);
    if let Some(body) = without_waiting(reading.as_mut()).await {
        return body;
    }
    let body = timeout(limits.timeout, reading).await;
    body.map_err(|_| ApiError::BodyTimeout { limit: limits.timeout })?
}

/// Room that is made for a body because it was declared.
const DECLARED_ROOM_MAX: usize = 8 << 20;

/// No number wants a rounder address.
const ALIGNMENT: usize = 64;

/// Bytes of which those after the first few lie at an address that suits any number.
pub(crate) struct Aligned {
    bytes: BytesMut,
    /// Bytes in front that nobody sent.
    padding: usize,
    before: usize,
}

impl Aligned {
    pub fn with_capacity(capacity: usize, before: usize) -> Self {
        let mut aligned = Self { bytes: BytesMut::with_capacity(capacity + ALIGNMENT), padding: 0, before };
        aligned.padding = aligned.padding_wanted();
        aligned.bytes.resize(aligned.padding, 0);
        aligned
    }

    fn padding_wanted(&self) -> usize {
        let address = self.bytes.as_ptr().addr().wrapping_add(self.before);
        address.wrapping_neg() % ALIGNMENT
    }

    pub fn len(&self) -> usize {
        self.bytes.len() - self.padding
    }

    pub fn extend(&mut self, bytes: &[u8]) {
        // Growing may move the bytes to an address that suits less: then a tensor is copied once more, and is right.
        self.bytes.extend_from_slice(bytes);
    }

    /// Lets `read` fill room for so many bytes.
    ///
    /// # Errors
    /// That of `read`.
    pub fn fill<E>(&mut self, bytes: usize, read: impl FnOnce(&mut [u8]) -> Result<(), E>) -> Result<(), E> {
        let start = self.bytes.len();
        self.bytes.resize(start + bytes, 0);
        read(&mut self.bytes[start..])
    }

    pub fn freeze(self) -> Bytes {
        self.bytes.freeze().slice(self.padding..)
    }
}

pub(crate) fn unreadable(error: PayloadError) -> ApiError {
    ApiError::UnreadableBody { reason: error.to_string() }
}

/// Returns the body as text.
pub(crate) fn text(body: &[u8]) -> Result<&str, ApiError> {
    std::str::from_utf8(body).map_err(|error| ApiError::InvalidUtf8 { byte: error.valid_up_to() })
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn json_and_lines_are_taken_in_utf8_under_their_usual_names() {
        for (header, expected) in [
            ("application/json", Some(Media::Json)),
            ("Application/JSON;charset=UTF-8", Some(Media::Json)),
            ("application/json; charset=\"utf-8\"", Some(Media::Json)),
            ("application/json; charset=utf8", Some(Media::Json)),
            ("application/json; profile=x", Some(Media::Json)),
            ("application/x-ndjson; charset=utf-8", Some(Media::NdJson)),
            ("application/jsonl", Some(Media::NdJson)),
            ("application/json; charset=not-utf-8", None),
            ("application/json; charset=latin1", None),
            ("application/json; charset=", None),
            ("application/jsonp", None),
            ("text/json", None),
        ] {
            let request = TestRequest::default().insert_header((CONTENT_TYPE, header)).to_http_request();
            assert_eq!(media(&request, "").ok(), expected, "{header}");
        }
    }
}
