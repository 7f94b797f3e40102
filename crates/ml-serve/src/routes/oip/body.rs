//! The body of an inference request: read to where tensors lie well, and decompressed.

use std::io::Read;

use actix_web::HttpRequest;
use actix_web::http::header::CONTENT_ENCODING;
use actix_web::web::{Bytes, Payload};
use flate2::read::{MultiGzDecoder, ZlibDecoder};

use crate::ApiError;
use crate::body::{self, BodyLimits};

/// How a body is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    Identity,
    Gzip,
    /// With the wrapper of zlib, as HTTP means it.
    Deflate,
}

impl Encoding {
    /// Reads the request's header.
    ///
    /// # Errors
    /// Any other encoding.
    pub fn of(request: &HttpRequest) -> Result<Self, ApiError> {
        let Some(header) = request.headers().get(CONTENT_ENCODING) else { return Ok(Self::Identity) };
        match header.as_bytes().trim_ascii().to_ascii_lowercase().as_slice() {
            b"" | b"identity" => Ok(Self::Identity),
            b"gzip" | b"x-gzip" => Ok(Self::Gzip),
            b"deflate" => Ok(Self::Deflate),
            other => Err(ApiError::InvalidTensors {
                message: format!(
                    "Unsupported Content-Encoding '{}'; send gzip, deflate or identity",
                    cut(other)
                ),
            }),
        }
    }
}

fn cut(text: &[u8]) -> String {
    String::from_utf8_lossy(text).chars().take(40).collect()
}

/// Reads a body whose tensors begin after `json_bytes`.
///
/// # Errors
/// A body that is too large, compressed or not, does not come in time, or is not what it says that it is.
pub(super) async fn read(
    request: &HttpRequest,
    payload: Payload,
    limits: BodyLimits,
    json_bytes: usize,
) -> Result<Bytes, ApiError> {
    let encoding = Encoding::of(request)?;
    let body = body::read_to_align(request, payload, limits, json_bytes).await?;
    decoded(encoding, body, limits.bytes_max, json_bytes)
}

/// Undoes a compression; no more is made than a body may be.
///
/// # Errors
/// What is not compressed as it says, or would be too large.
pub(crate) fn decoded(
    encoding: Encoding,
    body: Bytes,
    bytes_max: usize,
    json_bytes: usize,
) -> Result<Bytes, ApiError> {
    match encoding {
        Encoding::Identity => Ok(body),
        Encoding::Gzip => inflated(MultiGzDecoder::new(&*body), bytes_max, json_bytes),
        Encoding::Deflate => inflated(ZlibDecoder::new(&*body), bytes_max, json_bytes),
    }
}

fn inflated(decoder: impl Read, bytes_max: usize, json_bytes: usize) -> Result<Bytes, ApiError> {
    let mut body = body::Aligned::with_capacity(0, json_bytes);
    let mut decoder = decoder.take(bytes_max as u64 + 1);
    let mut piece = vec![0_u8; 64 << 10];
    loop {
        match decoder.read(&mut piece) {
            Ok(0) => return Ok(body.freeze()),
            Ok(bytes) => body.extend(&piece[..bytes]),
            Err(error) => {
                let message = format!("unable to decompress the request: {error}");
                return Err(ApiError::InvalidTensors { message });
            }
        }
        if body.len() > bytes_max {
            return Err(ApiError::BodyTooLarge { limit_bytes: bytes_max });
        }
    }
}
