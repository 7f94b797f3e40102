//! The body of a request: its content type, its size and its encoding, checked in one place.

use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::error::PayloadError;
use actix_web::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use actix_web::rt::time::timeout;
use actix_web::web::{Bytes, BytesMut, Payload};
use futures_util::StreamExt;

use crate::ApiError;

/// What a predicting route was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Media {
    Json,
    NdJson,
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
        _ => Err(ApiError::UnsupportedMediaType { found, wanted }),
    }
}

/// How much of a body is read, and for how long.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BodyLimits {
    pub bytes_max: usize,
    pub timeout: Duration,
}

/// Reads a whole body.
///
/// # Errors
/// A body that says it is too large is refused before it is read; one that is, as soon as it shows.
pub(crate) async fn read(
    request: &HttpRequest,
    mut payload: Payload,
    limits: BodyLimits,
    wanted: &'static str,
) -> Result<Bytes, ApiError> {
    let too_large = ApiError::BodyTooLarge { limit_bytes: limits.bytes_max };
    let declared = request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    if declared.is_some_and(|bytes: u64| bytes > limits.bytes_max as u64) {
        return Err(too_large);
    }
    let reading = async {
        // Most bodies come in one piece, which is then the body as it is.
        let mut body = Bytes::new();
        while let Some(chunk) = payload.next().await {
            let chunk = chunk.map_err(unreadable)?;
            if body.len() + chunk.len() > limits.bytes_max {
                return Err(too_large);
            }
            body = if body.is_empty() { chunk } else { joined(body, &chunk) };
        }
        Ok(body)
    };
    let body = timeout(limits.timeout, reading).await;
    let body = body.map_err(|_| ApiError::BodyTimeout { limit: limits.timeout })??;
    if body.is_empty() {
        return Err(ApiError::EmptyBody { wanted });
    }
    Ok(body)
}

/// Appends to bytes that nobody else holds, whose room then grows as a vector's does.
fn joined(body: Bytes, chunk: &[u8]) -> Bytes {
    let mut joined = BytesMut::from(body);
    joined.extend_from_slice(chunk);
    joined.freeze()
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
