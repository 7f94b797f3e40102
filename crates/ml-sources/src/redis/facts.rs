//! Facts that somebody else puts into Redis: a feature store.

use ml_core::{FetchedEach, Lookup, LookupError};

use super::Redis;

/// A source whose facts are values of Redis, one key each.
pub struct RedisFacts<F> {
    redis: Redis,
    prefix: Vec<u8>,
    read: F,
}

impl<V, F> RedisFacts<F>
where
    V: Send + Sync + 'static,
    F: Fn(&[u8]) -> Result<V, LookupError> + Send + Sync + 'static,
{
    /// Asks `redis` for `prefix` and the identifier, any bytes, and makes a fact of the value's bytes with `read`.
    ///
    /// A value that cannot be read costs only the items that named it.
    pub fn new(redis: Redis, prefix: impl Into<Vec<u8>>, read: F) -> Self {
        Self { redis, prefix: prefix.into(), read }
    }
}

impl<V, F> Lookup for RedisFacts<F>
where
    V: Send + Sync + 'static,
    F: Fn(&[u8]) -> Result<V, LookupError> + Send + Sync + 'static,
{
    type Value = V;

    async fn fetch_many(&self, ids: &[String]) -> Result<Vec<Option<V>>, LookupError> {
        self.fetch_each(ids).await?.into_iter().collect()
    }

    async fn fetch_each(&self, ids: &[String]) -> FetchedEach<V> {
        let keys: Vec<_> = ids.iter().map(|id| [&self.prefix, id.as_bytes()].concat()).collect();
        let values = self.redis.get_many(&keys).await?;
        Ok(values.into_iter().map(|value| value.map(|bytes| (self.read)(&bytes)).transpose()).collect())
    }
}
