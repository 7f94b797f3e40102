//! The tier between the cache of one process and the source: a store of bytes that replicas share.

use std::future::Future;
use std::time::Duration;

use super::{BreakerOptions, LookupError};

/// A store of bytes that replicas share, such as Redis (`ml-sources` has that one).
///
/// It is only ever a cache: what it cannot answer in time is fetched from the source. Keys are bytes, not text.
pub trait Tier: Send + Sync + 'static {
    /// Gets many values at once, one entry for each key, in order; `None` where there is none.
    ///
    /// # Errors
    /// When the store cannot answer. Its keys are then asked of the source.
    fn get_many(
        &self,
        keys: &[Vec<u8>],
    ) -> impl Future<Output = Result<Vec<Option<Vec<u8>>>, LookupError>> + Send;

    /// Puts many values at once, each with the time after which it may be forgotten.
    ///
    /// # Errors
    /// When the store cannot take them.
    fn put_many(&self, entries: &[TierEntry]) -> impl Future<Output = Result<(), LookupError>> + Send;
}

/// A value that a [`Tier`] is to keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TierEntry {
    /// The name of the fact, with the prefix of its source.
    pub key: Vec<u8>,
    /// The fact, as bytes.
    pub value: Vec<u8>,
    /// For how long it is of use.
    pub time_to_live: Duration,
}

/// How one source uses a [`Tier`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TierOptions {
    /// What its keys begin with, so that several sources can share a store. Any bytes.
    pub prefix: Vec<u8>,
    /// The version of the value's type. A value of another version is as good as not there, and is replaced.
    pub schema: u32,
    /// How long the store may take before the source is asked instead.
    pub budget: Duration,
    /// The largest value that is put there, in bytes.
    pub value_bytes_max: usize,
    /// How many keys one request gets at most.
    pub keys_per_request_max: usize,
    /// How many requests may be out at once: so many that get, and so many that put.
    pub concurrency: usize,
    /// When the store counts as down; it is then passed over.
    pub breaker: BreakerOptions,
}

impl TierOptions {
    /// Names the source's part of the store, and the version of its type; 100 ms, 16 MiB, 1,000 keys, 8 requests.
    #[must_use]
    pub fn new(prefix: impl Into<Vec<u8>>, schema: u32) -> Self {
        Self {
            prefix: prefix.into(),
            schema,
            budget: Duration::from_millis(100),
            value_bytes_max: 16 << 20,
            keys_per_request_max: 1000,
            concurrency: 8,
            breaker: BreakerOptions::default(),
        }
    }
}
