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
    /// Connections that are kept open while nothing is asked: as many as the source's `concurrency`, which is also how
    /// many there are at most.
    pub idle_connections_max: usize,
}

impl Default for HttpOptions {
    /// 1 MiB, 64 idle connections.
    fn default() -> Self {
        Self { body_bytes_max: 1 << 20, idle_connections_max: 64 }
    }
}

/// A source whose facts are the answers to `GET {base}{identifier}`.
///
/// 200 is a fact, 404 and 410 mean that there is none. What may be gone in a moment is retried: 408, 429, 500 and above,
/// and whatever goes wrong on the way. An answer must say where it ends, by `content-length` or chunks: one that is cut
/// off is never taken for a whole one.
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
    /// When the feature `tls` is on and the system has no roots to trust.
    pub fn new(base: impl Into<String>, options: HttpOptions, read: F) -> io::Result<Self> {
        Ok(Self { client: Client::new(options)?, base: base.into(), read })
    }
}

impl<V, F> Lookup for HttpFacts<F>
where
    V: Send + Sync + 'static,
    F: Fn(&[u8]) -> Result<V, LookupError> + Send + Sync + 'static,
{
    type Value = V;

    async fn fetch_many(&self, ids: &[String]) -> Result<Vec<Option<V>>, LookupError> {
        let get = async |id: &String| {
            let body = self.client.get(&format!("{}{}", self.base, url::escaped(id))).await?;
            body.map(|bytes| (self.read)(&bytes)).transpose()
        };
        futures_util::future::try_join_all(ids.iter().map(get)).await
    }

    fn keys_per_fetch_max(&self) -> usize {
        1
    }
}
