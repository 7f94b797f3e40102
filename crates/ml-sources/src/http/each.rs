//! A service that is asked for one fact at a time, by a URL of its own.

use std::io;

use ml_core::{Lookup, LookupError};

use super::HttpOptions;
use super::client::Client;
use super::url;

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
