//! Facts of an HTTP service, one request each.

mod client;
mod url;

use std::io;

use ml_core::{Lookup, LookupError};

use self::client::Client;

/// How to talk to an HTTP service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HttpOptions {
    /// The largest answer that is read, in bytes.
    pub body_bytes_max: usize,
    /// Connections that are kept open at most, at least 1: as many as the source's `concurrency`.
    pub connections_max: usize,
}

impl Default for HttpOptions {
    /// 1 MiB, 64 connections.
    fn default() -> Self {
        Self { body_bytes_max: 1 << 20, connections_max: 64 }
    }
}

/// A source whose facts are the answers to `GET {base}{identifier}`.
///
/// 200 is a fact, 404 and 410 mean that there is none. What may be gone in a moment is retried: 408, 429, 500 and above,
/// and whatever goes wrong on the way.
pub struct HttpFacts<F> {
    client: Client,
    base: String,
    read: F,
}

impl<V, F> HttpFacts<F>
where
    V: Send + Sync + 'static,
    F: Fn(&[u8]) -> Result<V, LookupError> + Send + Sync + 'static,
{
    /// Asks for the URLs that begin with `base`, as in `http://host/prices/`, and end with the identifier, in which
    /// whatever has a meaning in URLs is escaped; makes a fact of an answer's body with `read`.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn new(base: impl Into<String>, options: HttpOptions, read: F) -> io::Result<Self> {
        Ok(Self { client: Client::start(options)?, base: base.into(), read })
    }
}

impl<V, F> Lookup for HttpFacts<F>
where
    V: Send + Sync + 'static,
    F: Fn(&[u8]) -> Result<V, LookupError> + Send + Sync + 'static,
{
    type Value = V;

    async fn fetch_many(&self, ids: &[String]) -> Result<Vec<Option<V>>, LookupError> {
        let urls = ids.iter().map(|id| format!("{}{}", self.base, url::escaped(id)));
        let bodies = futures_util::future::try_join_all(urls.map(|url| self.client.get(url))).await?;
        bodies.into_iter().map(|body| body.map(|bytes| (self.read)(&bytes)).transpose()).collect()
    }

    fn keys_per_fetch_max(&self) -> usize {
        1
    }
}
