//! Redis: a few connections that all requests share, made when they are first needed and made again when they are lost.

mod facts;
mod tier;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ml_core::LookupError;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client, FromRedisValue, Pipeline, RedisError, RedisResult};
use tokio::sync::OnceCell;

pub use self::facts::RedisFacts;
pub use self::tier::RedisTier;

/// How to talk to a Redis server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RedisOptions {
    /// Connections, at least 1. Requests share them and do not wait for each other, but a large answer holds up those
    /// behind it.
    pub connections: usize,
    /// How long a connection may take to be made.
    pub connect_timeout: Duration,
    /// How long an answer may take, before the connection counts as lost.
    pub response_timeout: Duration,
}

impl Default for RedisOptions {
    /// 4 connections, 1 s, 1 s.
    fn default() -> Self {
        let second = Duration::from_secs(1);
        Self { connections: 4, connect_timeout: second, response_timeout: second }
    }
}

/// A Redis server. Clones share its connections.
#[derive(Clone)]
pub struct Redis(Arc<Inner>);

struct Inner {
    client: Client,
    options: RedisOptions,
    connections: OnceCell<Vec<ConnectionManager>>,
    next: AtomicUsize,
}

impl Redis {
    /// Names a server by its URL, as in `redis://host:6379/0`; nothing is connected yet.
    ///
    /// # Errors
    /// When the URL is none of a Redis server.
    pub fn open(url: &str, options: RedisOptions) -> Result<Self, LookupError> {
        #[cfg(feature = "tls")]
        crate::tls::choose_provider();
        let client = Client::open(url).map_err(LookupError::new)?;
        let connections = OnceCell::new();
        Ok(Self(Arc::new(Inner { client, options, connections, next: AtomicUsize::new(0) })))
    }

    /// Gets the values of many keys, `None` where there is none.
    async fn get_many(&self, keys: &[Vec<u8>]) -> Result<Vec<Option<Vec<u8>>>, LookupError> {
        let mut get = Pipeline::new();
        get.cmd("MGET").arg(keys);
        let (values,): (Vec<Option<Vec<u8>>>,) = self.ask(&get).await?;
        if values.len() == keys.len() {
            return Ok(values);
        }
        Err(LookupError::new(format!("{} values for {} keys", values.len(), keys.len())))
    }

    /// Sends requests that may be sent twice, and does so where the connection was lost: the next one may be good.
    async fn ask<T: FromRedisValue>(&self, requests: &Pipeline) -> Result<T, LookupError> {
        let mut connection = self.connection().await.map_err(lookup_error)?;
        let answer = requests.query_async(&mut connection).await;
        let answer = match answer {
            Err(error) if is_lost(&error) => requests.query_async(&mut connection).await,
            answer => answer,
        };
        answer.map_err(lookup_error)
    }

    async fn connection(&self) -> RedisResult<ConnectionManager> {
        let Inner { client, options, connections, next } = &*self.0;
        let connect = async || {
            let config = ConnectionManagerConfig::new()
                .set_connection_timeout(Some(options.connect_timeout))
                .set_response_timeout(Some(options.response_timeout))
                // Whoever asks has a budget and a breaker: waiting here would only hide that the server is down.
                .set_number_of_retries(0);
            let connect = |_| client.get_connection_manager_lazy(config.clone());
            (0..options.connections.max(1)).map(connect).collect::<RedisResult<Vec<_>>>()
        };
        let connections = connections.get_or_try_init(connect).await?;
        let index = next.fetch_add(1, Ordering::Relaxed) % connections.len();
        Ok(connections[index].clone())
    }
}

fn is_lost(error: &RedisError) -> bool {
    error.is_unrecoverable_error() && !error.is_timeout()
}

/// What a connection's trouble is may be gone in a moment; what the server says about a request is not.
fn lookup_error(error: RedisError) -> LookupError {
    if error.is_io_error() || error.is_unrecoverable_error() {
        LookupError::retryable(error)
    } else {
        LookupError::new(error)
    }
}
