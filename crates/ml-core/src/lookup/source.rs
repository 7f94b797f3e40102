//! A source with what goes for it: what is remembered, how long it may take, what happens when it fails.

use std::sync::Arc;
use std::time::Duration;

use backon::ExponentialBuilder;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Lookup;
use super::breaker::BreakerOptions;
use super::cache::{FOREVER, LookupCache};
use super::tier::{Tier, TierOptions};
use super::tiered::Typed;

/// Longer than a source in the same network takes, and short of where callers give up by themselves.
const BUDGET: Duration = Duration::from_secs(1);

/// What most services bear from one caller.
const CONCURRENCY: usize = 16;

/// Some seconds' work for a source of one key and 20 ms.
const WAITING_KEYS_MAX: usize = 10_000;

/// A [`Lookup`] and its policy, each setting with a default that is safe.
///
/// ```
/// use std::time::Duration;
/// use ml_core::{LookupCache, LookupError, Otherwise, Source, each};
///
/// let ratings = each(|id: String| async move { Ok::<_, LookupError>(Some(id.len() as f32)) });
/// let source = Source::new(ratings)
///     .cache(LookupCache::lru(10_000).fresh_for(Duration::from_secs(60)))
///     .budget(Duration::from_millis(200))
///     .concurrency(8)
///     .when_failing(Otherwise::Value(2.5));
/// # drop(source);
/// ```
pub struct Source<L: Lookup> {
    pub(super) lookup: L,
    pub(super) cache: Option<LookupCache<L::Value>>,
    pub(super) tier: Option<Typed<L::Value>>,
    pub(super) policy: Policy<L::Value>,
}

/// What goes for the fetches of a source, and for what they do not bring.
pub(super) struct Policy<V> {
    pub budget: Duration,
    pub concurrency: usize,
    pub keys_per_fetch_max: usize,
    pub waiting_keys_max: usize,
    pub retry: RetryOptions,
    pub breaker: BreakerOptions,
    pub hedges: bool,
    pub unknown: Otherwise<Arc<V>>,
    pub failing: Otherwise<Arc<V>>,
}

/// What an item gets that names a fact which is not to be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Otherwise<V> {
    /// The error `lookup_failed`, for this item alone.
    Fail,
    /// No fact: the pipeline sees `None`.
    Nothing,
    /// This value.
    Value(V),
}

/// How often a fetch is sent again, and when. Only errors that say so ([`retryable`](super::LookupError::retryable)) are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryOptions {
    /// How many times it is sent again. Zero: never.
    pub times: usize,
    /// The wait before the first of them; each further one is twice as long, up to `longest_wait`, and as much again
    /// at random.
    pub first_wait: Duration,
    /// The longest wait, without what is added at random.
    pub longest_wait: Duration,
}

impl Default for RetryOptions {
    /// Twice, after some 20 and 40 ms.
    fn default() -> Self {
        Self { times: 2, first_wait: Duration::from_millis(20), longest_wait: Duration::from_secs(1) }
    }
}

impl RetryOptions {
    pub(super) fn waits(self) -> ExponentialBuilder {
        ExponentialBuilder::default()
            .with_min_delay(self.first_wait)
            .with_max_delay(self.longest_wait)
            .with_max_times(self.times)
            .with_jitter()
    }
}

impl<V> Otherwise<V> {
    fn shared(self) -> Otherwise<Arc<V>> {
        match self {
            Self::Fail => Otherwise::Fail,
            Self::Nothing => Otherwise::Nothing,
            Self::Value(value) => Otherwise::Value(Arc::new(value)),
        }
    }
}

impl<L: Lookup> Source<L> {
    /// Asks `lookup` with default settings: nothing is remembered, and an answer may take a second.
    #[must_use]
    pub fn new(lookup: L) -> Self {
        let policy = Policy {
            budget: BUDGET,
            concurrency: CONCURRENCY,
            keys_per_fetch_max: lookup.keys_per_fetch_max().max(1),
            waiting_keys_max: WAITING_KEYS_MAX,
            retry: RetryOptions::default(),
            breaker: BreakerOptions::default(),
            hedges: false,
            unknown: Otherwise::Nothing,
            failing: Otherwise::Fail,
        };
        Self { lookup, cache: None, tier: None, policy }
    }

    /// Remembers answers. By default none.
    #[must_use]
    pub fn cache(mut self, cache: LookupCache<L::Value>) -> Self {
        self.cache = Some(cache);
        self
    }

    /// Asks a store that replicas share before the source, and puts there what the source answers.
    ///
    /// For how long an answer is good there is the cache's freshness, so a tier needs a [`cache`](Self::cache).
    #[must_use]
    pub fn tier(mut self, tier: impl Tier, options: TierOptions) -> Self
    where
        L::Value: Serialize + DeserializeOwned,
    {
        self.tier = Some(Typed::new(tier, options));
        self
    }

    /// Sets how long a fetch may take, its retries included, and how long a call waits for it. A second by default.
    ///
    /// A call whose deadline is sooner waits until the model needs the rest of its time.
    #[must_use]
    pub fn budget(mut self, budget: Duration) -> Self {
        self.policy.budget = budget.min(FOREVER);
        self
    }

    /// Sets how many fetches may be out at once, at least 1. 16 by default.
    #[must_use]
    pub fn concurrency(mut self, fetches: usize) -> Self {
        self.policy.concurrency = fetches.max(1);
        self
    }

    /// Sets how many keys one fetch takes, at least 1. By default what the source says.
    #[must_use]
    pub fn keys_per_fetch_max(mut self, keys: usize) -> Self {
        self.policy.keys_per_fetch_max = keys.max(1);
        self
    }

    /// Sets how many keys may wait for a fetch; a further one cannot be had. 10,000 by default.
    #[must_use]
    pub fn waiting_keys_max(mut self, keys: usize) -> Self {
        self.policy.waiting_keys_max = keys;
        self
    }

    /// Sets how often a fetch is sent again that failed with an error that may be gone in a moment.
    #[must_use]
    pub fn retry(mut self, retry: RetryOptions) -> Self {
        self.policy.retry = retry;
        self
    }

    /// Sets when the source counts as down, and how often it is tried then.
    #[must_use]
    pub fn breaker(mut self, breaker: BreakerOptions) -> Self {
        self.policy.breaker = breaker;
        self
    }

    /// Sends a fetch a second time that takes longer than 95 % of those before; one in ten at most. Off by default.
    ///
    /// For sources where asking twice does no harm, and where a slow answer is bad luck.
    #[must_use]
    pub fn hedged(mut self) -> Self {
        self.policy.hedges = true;
        self
    }

    /// Sets what an item gets whose key the source does not know. [`Otherwise::Nothing`] by default.
    #[must_use]
    pub fn when_unknown(mut self, otherwise: Otherwise<L::Value>) -> Self {
        self.policy.unknown = otherwise.shared();
        self
    }

    /// Sets what an item gets whose fact could not be fetched in time, and is not remembered either. [`Otherwise::Fail`] by default.
    #[must_use]
    pub fn when_failing(mut self, otherwise: Otherwise<L::Value>) -> Self {
        self.policy.failing = otherwise.shared();
        self
    }
}

impl<L: Lookup> From<L> for Source<L> {
    fn from(lookup: L) -> Self {
        Self::new(lookup)
    }
}

#[cfg(test)]
mod tests {
    use backon::BackoffBuilder as _;

    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_as_much_again_at_random() {
        let millis = Duration::from_millis;
        let retry = RetryOptions { times: 4, first_wait: millis(10), longest_wait: millis(40) };
        let runs: Vec<Vec<_>> = (0..100).map(|_| retry.waits().build().collect()).collect();
        for waits in &runs {
            assert_eq!(waits.len(), 4);
            for (wait, least) in waits.iter().zip([10, 20, 40, 40].map(millis)) {
                assert!((least..=least * 2).contains(wait), "{waits:?}");
            }
        }
        assert!(runs.iter().any(|waits| waits != &runs[0]), "they differ from run to run");
    }
}
