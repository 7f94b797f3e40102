//! Answers are compressed for callers that compress.
//!
//! Libraries offer to take compressed answers whether their users want them or not, and to compress a small answer costs more than
//! to predict it.

use tonic::codegen::http::HeaderMap;

/// Leaves a call that came as it is no other way to be answered.
pub(super) fn in_kind(headers: &mut HeaderMap) {
    let encoding = headers.get("grpc-encoding");
    if encoding.is_none_or(|encoding| encoding == "identity") {
        headers.remove("grpc-accept-encoding");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_compresses_gets_compressed_answers() {
        for (encoding, offered) in [(None, false), (Some("identity"), false), (Some("gzip"), true)] {
            let mut headers = HeaderMap::new();
            headers.insert("grpc-accept-encoding", "identity, gzip".parse().unwrap());
            if let Some(encoding) = encoding {
                headers.insert("grpc-encoding", encoding.parse().unwrap());
            }
            in_kind(&mut headers);
            assert_eq!(headers.contains_key("grpc-accept-encoding"), offered, "{encoding:?}");
        }
    }
}
