//! One thread's HTTP client: it posts a body and returns the answer's body or why there is none.

use std::io;
use std::time::Duration;

use actix_web::web::Bytes;
use awc::error::{ConnectError, SendRequestError};
use awc::{Connector, http::Uri};
use serde_json::Value;

use crate::failure::{Failure, FailureKind};
use crate::server::Endpoint;
use crate::target::text_of;

/// The largest answer that is read. A batch of 256 long embeddings has a few MiB.
const MAX_ANSWER_BYTES: usize = 256 << 20;

/// How much of a body that is no JSON error is quoted in a failure.
const MAX_QUOTE_CHARS: usize = 200;

/// Longer than any run: a connection is given up when it breaks, never because of its age.
const FOREVER: Duration = Duration::from_secs(7 * 24 * 3600);

/// A keep-alive HTTP/1.1 client. It is used on the thread that made it.
pub(crate) struct Client {
    http: awc::Client,
    uri: Uri,
    timeout: Duration,
}

impl Client {
    /// Makes a client for one endpoint with as many connections as there are requests in flight.
    pub(crate) fn new(endpoint: &Endpoint) -> Self {
        let connector = Connector::new()
            .limit(0)
            .timeout(endpoint.timeout)
            .conn_keep_alive(FOREVER)
            .conn_lifetime(FOREVER);
        // The timeout is ours, around sending and reading; a redirect is an answer, not followed.
        let mut http = awc::Client::builder().connector(connector).disable_timeout().disable_redirects();
        for header in &endpoint.headers {
            http = http.add_default_header(header);
        }
        Self { http: http.finish(), uri: endpoint.uri.clone(), timeout: endpoint.timeout }
    }

    /// Posts a body and returns the body of the answer.
    pub(crate) async fn post(&self, body: Vec<u8>) -> Result<Bytes, Failure> {
        let late = |_| Failure::new(FailureKind::Timeout, format!("no answer in {:?}", self.timeout));
        actix_web::rt::time::timeout(self.timeout, self.exchange(body)).await.map_err(late)?
    }

    async fn exchange(&self, body: Vec<u8>) -> Result<Bytes, Failure> {
        let mut answer =
            self.http.post(self.uri.clone()).send_body(body).await.map_err(|error| unsent(&error))?;
        let status = answer.status();
        let body = answer.body().limit(MAX_ANSWER_BYTES).await;
        let body = body.map_err(|error| Failure::new(FailureKind::Connection, error.to_string()))?;
        if status.is_success() { Ok(body) } else { Err(refused(status.as_u16(), &body)) }
    }
}

fn unsent(error: &SendRequestError) -> Failure {
    let kind = match error {
        SendRequestError::Timeout | SendRequestError::Connect(ConnectError::Timeout) => FailureKind::Timeout,
        SendRequestError::Connect(ConnectError::Io(io)) if io.kind() == io::ErrorKind::TimedOut => {
            FailureKind::Timeout
        }
        _ => FailureKind::Connection,
    };
    Failure::new(kind, error.to_string())
}

fn refused(status: u16, body: &[u8]) -> Failure {
    let json: Value = serde_json::from_slice(body).unwrap_or_default();
    let quote = || String::from_utf8_lossy(body).chars().take(MAX_QUOTE_CHARS).collect();
    let detail = text_of(&json, "message").unwrap_or_else(quote);
    Failure::new(FailureKind::Status { status, code: text_of(&json, "code") }, detail)
}
