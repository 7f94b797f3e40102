//! The door to hyper: one request, and a body of which it is certain that nothing is missing.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Request};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};

use hyper_util::client::legacy::Client as Pool;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use ml_core::LookupError;

use super::HttpOptions;

#[cfg(not(feature = "tls"))]
type Connector = HttpConnector;
#[cfg(feature = "tls")]
type Connector = hyper_rustls::HttpsConnector<HttpConnector>;

/// Short of when servers and what is between close a connection that is idle.
const IDLE: Duration = Duration::from_secs(30);

/// Sends requests. How long one may take is the lookup's budget: when that is over, its future is dropped.
pub(super) struct Client {
    pool: Pool<Connector, Full<Bytes>>,
    body_bytes_max: usize,
}

impl Client {
    pub fn new(options: HttpOptions) -> io::Result<Self> {
        let pool = Pool::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(options.idle_connections_max)
            .build(connector()?);
        Ok(Self { pool, body_bytes_max: options.body_bytes_max })
    }

    /// Gets the body of a URL, or `None` where there is nothing of this name.
    pub async fn get(&self, url: &str) -> Result<Option<Bytes>, LookupError> {
        self.send(Request::get(url).body(Full::default()).map_err(LookupError::new)?).await
    }

    /// Posts JSON to a URL; returns the answer's body, or `None` where there is nothing of this name.
    pub async fn post(&self, url: &str, json: Bytes) -> Result<Option<Bytes>, LookupError> {
        let request = Request::post(url).header(CONTENT_TYPE, "application/json").body(Full::new(json));
        self.send(request.map_err(LookupError::new)?).await
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> Result<Option<Bytes>, LookupError> {
        let response = self.pool.request(request).await;
        let response = response.map_err(|error| LookupError::retryable(whole(&error)))?;
        match response.status().as_u16() {
            200 => {}
            404 | 410 => return Ok(None),
            408 | 429 | 500.. => return Err(LookupError::retryable(response.status())),
            _ => return Err(LookupError::new(response.status())),
        }
        // A body that ends with its connection may end anywhere, and half an answer would be remembered as a fact.
        if !says_where_it_ends(response.headers()) {
            return Err(LookupError::new("the answer does not say where it ends"));
        }
        if length(response.headers()).is_some_and(|bytes| bytes > self.body_bytes_max) {
            return Err(self.too_large());
        }
        match Limited::new(response.into_body(), self.body_bytes_max).collect().await {
            Ok(body) => Ok(Some(body.to_bytes())),
            Err(error) if error.is::<LengthLimitError>() => Err(self.too_large()),
            Err(error) => Err(LookupError::retryable(whole(&*error))),
        }
    }

    fn too_large(&self) -> LookupError {
        LookupError::new(format!("the answer has more than {} bytes", self.body_bytes_max))
    }
}

fn says_where_it_ends(headers: &HeaderMap) -> bool {
    let chunks = |value: &HeaderValue| value.as_bytes().to_ascii_lowercase().ends_with(b"chunked");
    length(headers).is_some() || headers.get("transfer-encoding").is_some_and(chunks)
}

fn length(headers: &HeaderMap) -> Option<usize> {
    headers.get("content-length")?.to_str().ok()?.parse().ok()
}

#[cfg(not(feature = "tls"))]
#[allow(clippy::unnecessary_wraps, reason = "with TLS it can fail")]
fn connector() -> io::Result<Connector> {
    Ok(tcp())
}

#[cfg(feature = "tls")]
fn connector() -> io::Result<Connector> {
    crate::tls::choose_provider();
    let builder = hyper_rustls::HttpsConnectorBuilder::new().with_native_roots()?;
    Ok(builder.https_or_http().enable_http1().wrap_connector(tcp()))
}

fn tcp() -> HttpConnector {
    let mut tcp = HttpConnector::new();
    tcp.set_nodelay(true);
    // So that `https` gets as far as TLS.
    tcp.enforce_http(!cfg!(feature = "tls"));
    tcp
}

/// Says what went wrong together with its causes: hyper's own words are only where, not what.
fn whole(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
