//! A service that is asked for many facts at once.

use std::collections::HashMap;
use std::io;
use std::marker::PhantomData;

use bytes::Bytes;
use ml_core::{FetchedEach, Lookup, LookupError};
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::HttpOptions;
use super::client::Client;

/// A source whose facts come many at once: `POST {url}` with a JSON array of identifiers.
///
/// The answer, a 200, is a JSON object of the facts by identifier, or an array of them in the order that was asked for.
/// An identifier whose fact is `null`, or that is not in the object, is unknown; a fact that is no `V` costs only the items
/// that named it. Any other status is an error: 408, 429, 500 and above are retried, as is whatever goes wrong on the
/// way, so the service must bear to be asked twice. An answer must say where it ends, by `content-length` or chunks.
///
/// ```no_run
/// use ml_core::Source;
/// use ml_sources::{HttpManyFacts, HttpOptions};
///
/// // ["kettle","unicorn"] is answered by {"kettle":19.5} or by [19.5,null].
/// let prices = HttpManyFacts::<f64>::new("http://127.0.0.1:9000/prices", HttpOptions::default())?;
/// let prices = Source::new(prices).keys_per_fetch_max(200);
/// # drop(prices);
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct HttpManyFacts<V> {
    client: Client,
    url: String,
    facts: PhantomData<fn() -> V>,
}

impl<V: DeserializeOwned + Send + Sync + 'static> HttpManyFacts<V> {
    /// Asks `url` for up to 1,000 facts at once, or what the source's `keys_per_fetch_max` says; all of an answer has to
    /// fit into `body_bytes_max`.
    ///
    /// # Errors
    /// When the feature `tls` is on and the system has no roots to trust.
    pub fn new(url: impl Into<String>, options: HttpOptions) -> io::Result<Self> {
        Ok(Self { client: Client::new(options)?, url: url.into(), facts: PhantomData })
    }
}

impl<V: DeserializeOwned + Send + Sync + 'static> Lookup for HttpManyFacts<V> {
    type Value = V;

    async fn fetch_many(&self, ids: &[String]) -> Result<Vec<Option<V>>, LookupError> {
        self.fetch_each(ids).await?.into_iter().collect()
    }

    async fn fetch_each(&self, ids: &[String]) -> FetchedEach<V> {
        let asked = serde_json::to_vec(ids).map_err(LookupError::new)?;
        let body = self.client.post(&self.url, Bytes::from(asked)).await?;
        // Here that there is nothing says something about the service, and not about the facts.
        let body = body.ok_or_else(|| LookupError::new("the service has nothing under this URL"))?;
        read(&body, ids)
    }
}

/// Finds the fact of each of `ids` in an answer. Each is read by itself, so that a bad one spoils no other.
fn read<V: DeserializeOwned>(body: &[u8], ids: &[String]) -> FetchedEach<V> {
    let fact = |text: &RawValue| serde_json::from_str(text.get()).map_err(LookupError::new);
    match body.iter().find(|byte| !byte.is_ascii_whitespace()) {
        Some(b'{') => {
            let facts: HashMap<String, &RawValue> = serde_json::from_slice(body).map_err(LookupError::new)?;
            Ok(ids.iter().map(|id| facts.get(id).map_or(Ok(None), |text| fact(text))).collect())
        }
        _ => {
            let facts: Vec<&RawValue> = serde_json::from_slice(body).map_err(LookupError::new)?;
            Ok(facts.into_iter().map(fact).collect())
        }
    }
}
