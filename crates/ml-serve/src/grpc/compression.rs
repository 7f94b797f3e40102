//! Answers are compressed for callers that compress.
//!
//! Libraries offer to take compressed answers whether their users want them or not, and to compress a small answer costs more than
//! to predict it.

use tonic::Request;

/// Leaves a call that came as it is no other way to be answered.
pub(super) fn in_kind(mut call: Request<()>) -> Request<()> {
    let encoding = call.metadata().get("grpc-encoding");
    if encoding.is_none_or(|encoding| encoding == "identity") {
        call.metadata_mut().remove("grpc-accept-encoding");
    }
    call
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_compresses_gets_compressed_answers() {
        for (encoding, offered) in [(None, false), (Some("identity"), false), (Some("gzip"), true)] {
            let mut call = Request::new(());
            call.metadata_mut().insert("grpc-accept-encoding", "identity, gzip".parse().unwrap());
            if let Some(encoding) = encoding {
                call.metadata_mut().insert("grpc-encoding", encoding.parse().unwrap());
            }
            let left = in_kind(call);
            assert_eq!(left.metadata().contains_key("grpc-accept-encoding"), offered, "{encoding:?}");
        }
    }
}
