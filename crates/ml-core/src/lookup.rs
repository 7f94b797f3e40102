//! Lookups: external facts that an item needs before it can be cleaned, asked for once however many items need them.
//!
//! A pipeline names keys, a source answers many keys at once. [`Source`] says how: what is remembered, how long an
//! answer may take, and what happens when the other side is not there. A key goes one way: cache, then whoever is
//! fetching it already, then the tier that replicas share, then the source.

mod adapters;
mod ask;
mod background;
mod breaker;
mod cache;
mod clock;
mod encode;
mod facts;
mod fetch;
mod flights;
mod hedge;
mod live;
mod source;
mod sources;
mod stats;
#[cfg(test)]
mod tests;
mod tier;
mod tiered;
mod waiting;

use std::fmt::Display;
use std::future::Future;

pub use self::adapters::{Blocking, Each, blocking, each};
pub use self::breaker::BreakerOptions;
#[doc(hidden)]
pub use self::cache::CacheProbe;
pub use self::cache::LookupCache;
pub use self::facts::Facts;
pub use self::source::{Otherwise, RetryOptions, Source};
pub(crate) use self::sources::{Running, Sources};
pub use self::stats::LookupCounts;
pub(crate) use self::stats::LookupMetrics;
pub use self::tier::{Tier, TierEntry, TierOptions};

/// Names one fact: the source that knows it, and the identifier there.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// The name that the source was given when the engine was built.
    pub source: &'static str,
    /// What to ask that source for.
    pub id: String,
}

impl Key {
    /// Names the fact `id` of `source`.
    pub fn new(source: &'static str, id: impl Display) -> Self {
        Self { source, id: id.to_string() }
    }
}

/// A source of external facts: a feature store, a user service, a price list.
///
/// ```
/// use ml_core::{Lookup, LookupError};
///
/// struct Prices;
///
/// impl Lookup for Prices {
///     type Value = f32;
///
///     async fn fetch_many(&self, ids: &[String]) -> Result<Vec<Option<f32>>, LookupError> {
///         Ok(ids.iter().map(|id| (id == "apple").then_some(0.4)).collect())
///     }
/// }
/// ```
///
/// [`each`] makes one of an async function of one identifier, [`blocking`] of a function that blocks its thread.
pub trait Lookup: Send + Sync + 'static {
    /// What the source knows about one identifier.
    type Value: Send + Sync + 'static;

    /// Fetches the values of many identifiers, which are distinct and never none; `None` where there is none.
    ///
    /// Returns one entry for each identifier, in order. Runs on a thread of the engine's own, inside a tokio runtime
    /// with timers and sockets, whatever runs the caller; it must not block.
    ///
    /// # Errors
    /// A [`LookupError`] fails the items that named one of `ids`, and no others.
    fn fetch_many(
        &self,
        ids: &[String],
    ) -> impl Future<Output = Result<Vec<Option<Self::Value>>, LookupError>> + Send;

    /// Fetches like [`fetch_many`](Self::fetch_many), for sources that can say which identifiers are at fault.
    ///
    /// The engine calls this one. By default all identifiers of a fetch share its error.
    ///
    /// # Errors
    /// A [`LookupError`] where no identifier could be asked for.
    fn fetch_each(&self, ids: &[String]) -> impl Future<Output = FetchedEach<Self::Value>> + Send {
        async { Ok(self.fetch_many(ids).await?.into_iter().map(Ok).collect()) }
    }

    /// Returns how many identifiers one fetch takes at most, at least 1. 1,000 by default.
    fn keys_per_fetch_max(&self) -> usize {
        1000
    }
}

/// What a fetch brings: for each identifier its value, that there is none, or why neither is known.
pub type FetchedEach<V> = Result<Vec<Result<Option<V>, LookupError>>, LookupError>;

/// Says why a source could not answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct LookupError {
    /// What went wrong, for the caller and the log.
    pub reason: String,
    /// Whether the same fetch may succeed when it is sent again, and does no harm then.
    pub retryable: bool,
}

impl LookupError {
    /// Makes an error from anything that can say what went wrong. Such a fetch is not repeated.
    pub fn new(reason: impl Display) -> Self {
        Self { reason: reason.to_string(), retryable: false }
    }

    /// Makes an error that may be gone in a moment: a refused connection, a busy server. Such a fetch is repeated.
    pub fn retryable(reason: impl Display) -> Self {
        Self { reason: reason.to_string(), retryable: true }
    }
}
