//! Every refusal with its status, code and body, pinned, and `docs/errors.md` written from the same list.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use actix_web::ResponseError;
use actix_web::http::header::RETRY_AFTER;
use ml_core::{Error, Full, Rejection, Stage};
use ml_serve::ApiError;

/// One refusal of each kind.
fn refusals() -> Vec<ApiError> {
    let text = |text: &str| text.to_owned();
    vec![
        ApiError::EmptyBody { wanted: "one item as application/json" },
        ApiError::MalformedJson { reason: text("EOF while parsing an object at line 1 column 9") },
        ApiError::MalformedArrow { reason: text("Ipc error: Unexpected End of Stream") },
        ApiError::InvalidUtf8 { byte: 12 },
        ApiError::UnreadableBody { reason: text("a chunk's size is not a number") },
        ApiError::BodyTimeout { limit: Duration::from_secs(30) },
        ApiError::NotABatch { reason: text("invalid type: map, expected a sequence at line 1 column 0") },
        ApiError::EmptyBatch { limit_items: 1024 },
        ApiError::TooManyItems { items: 2000, limit_items: 1024 },
        ApiError::BodyTooLarge { limit_bytes: 67_108_864 },
        ApiError::ItemTooLarge { bytes: 1_000_000, limit_bytes: 262_144 },
        ApiError::UnsupportedMediaType { found: text("text/plain"), wanted: "one item as application/json" },
        ApiError::UnsupportedEncoding { found: text("gzip") },
        ApiError::InvalidHeader {
            name: "x-request-timeout-ms",
            found: text("soon"),
            wanted: "whole milliseconds, 1 or more",
        },
        ApiError::InvalidItem {
            field: Some(text("text")),
            reason: text("invalid type: integer, expected a string"),
        },
        ApiError::UnknownModel { name: text("iriss"), known: text("iris") },
        ApiError::WrongTask { message: text("the model \"iris\" is not for text embedding") },
        ApiError::UnknownVersion { name: text("iris"), version: text("2") },
        ApiError::Unloaded { name: text("iris") },
        ApiError::NotInRepository { name: text("iris") },
        ApiError::InvalidConfiguration { name: text("iris"), reason: text("max_batch_size is -1") },
        ApiError::LoadFailed { name: text("iris"), reason: text("version 2: the file is empty") },
        ApiError::NotControlled {
            message: text("explicit model load / unload is not allowed if polling is enabled"),
        },
        ApiError::UnknownRegion { name: text("input_data") },
        ApiError::AlreadyThere { message: text("shared memory region 'input_data' already in manager") },
        ApiError::InvalidTensors { message: text("unexpected inference input 'X' for model 'iris'") },
        ApiError::Unsupported { message: text("Client shared memory is disabled.") },
        ApiError::NotFound { path: text("/model") },
        ApiError::MethodNotAllowed { method: text("DELETE"), path: text("/models"), allowed: "GET, HEAD" },
        ApiError::TooManyRequests { limit_requests: 1024 },
        ApiError::TooManySequences { limit_sequences: 1024 },
        ApiError::NotReady { reason: text("the server is shutting down") },
        ApiError::Unwritable { reason: text("key must be a string") },
        Error::Rejected(Rejection::new("age_years", "range").value(-3).limit("0 to 130")).into(),
        overloaded(2300),
        Error::CallTooLarge { bytes: 300_000_000, limit_bytes: 268_435_456 }.into(),
        Error::DeadlineExceeded.into(),
        Error::LookupFailed { source_name: text("prices"), reason: text("connection refused") }.into(),
        Error::ModelFailed { reason: text("the input's shape is wrong") }.into(),
        Error::Panicked { stage: Stage::Clean, reason: text("index out of bounds") }.into(),
        Error::ShuttingDown.into(),
    ]
}

fn overloaded(retry_after_ms: u64) -> ApiError {
    let full = Full::Items { waiting_items: 4090, limit_items: 4096 };
    Error::Overloaded { full, retry_after: Duration::from_millis(retry_after_ms) }.into()
}

#[test]
fn every_code_stands_for_one_refusal() {
    let refused: Vec<&str> = refusals().iter().map(|refusal| refusal.status_and_code().1).collect();
    let known: BTreeSet<&str> = ApiError::CODES.into_iter().chain(Error::CODES).collect();
    assert_eq!(refused.iter().copied().collect::<BTreeSet<_>>(), known);
}

#[test]
fn a_refusal_says_when_to_come_back_where_that_helps() {
    for (refusal, expected) in [
        (overloaded(2300), Some("3")),
        (overloaded(0), Some("1")),
        (ApiError::TooManyRequests { limit_requests: 1 }, Some("1")),
        (Error::DeadlineExceeded.into(), None),
    ] {
        let refusal: ApiError = refusal;
        let response = refusal.error_response();
        let header = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        assert_eq!(header, expected, "{refusal}");
    }
}

#[test]
fn the_documents_list_is_the_codes_list() {
    let mut text = String::from(
        "# Errors\n\nEvery refusal of `/models/…` and of the server's own routes is a JSON body `{\"code\", \"message\", …}` (other\n\
         protocols have their own forms with the same statuses: [protocols.md](protocols.md)). The code is stable and for programs, the message\n\
         names the value and the limit and is for people. `field`, `rule`, `value`, `limit` and `retry_after_s` are there\n\
         where they are known; `retry_after_s` is also the header `retry-after`. In a batch, an item's error stands in its\n\
         place as `{\"error\": {…}}` and the status is 200, unless the whole call was refused.\n\n\
         One status is only counted, never sent: 499, outcome `abandoned`, for a caller that left before its answer.\n\n\
         | status | code | an example |\n|---|---|---|\n",
    );
    for refusal in refusals() {
        let (status, code) = refusal.status_and_code();
        let body = serde_json::to_string(&refusal.body()).expect("plain data");
        text.push_str(&format!("| {} | `{code}` | `{body}` |\n", status.as_u16()));
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/errors.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &text).expect("the document can be written");
    }
    let written = std::fs::read_to_string(&path).expect("the document is there");
    assert_eq!(written, text, "run UPDATE_DOCS=1 cargo test -p ml-serve and read the difference");
}
