//! The facts that a source's answers are remembered by: two policies behind one builder.

mod freshness;
mod lru;
mod tiny_lfu;

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::Counter;

pub(super) use self::freshness::{Age, FOREVER, Freshness};
use self::lru::Lru;
use self::tiny_lfu::TinyLfu;
use super::clock;

/// An identifier, shared by all that hold it.
pub(super) type Id = Arc<str>;

/// What is remembered of one identifier: its value, or that there is none.
pub(super) struct Entry<V> {
    pub value: Option<Arc<V>>,
    pub fresh_until: Instant,
}

impl<V> Clone for Entry<V> {
    fn clone(&self) -> Self {
        Self { value: self.value.clone(), fresh_until: self.fresh_until }
    }
}

/// A value, or that there is none, and how old that is. Less than an entry: hits are counted in nanoseconds.
pub(super) type Known<V> = (Option<Arc<V>>, Age);

/// How facts are remembered: how many, for how long, and what old ones are still good for.
///
/// A fact is *fresh* for a while. Towards the end of that it can be fetched again ahead of time; after it, it can still
/// be served while it is fetched again, and for longer where it cannot be fetched.
///
/// ```
/// use std::time::Duration;
/// use ml_core::LookupCache;
///
/// let few: LookupCache<f32> = LookupCache::lru(1_000).fresh_for(Duration::from_secs(30));
/// let many = LookupCache::tiny_lfu(64 << 20, |text: &String| text.len())
///     .refresh_ahead(Duration::from_secs(5))
///     .stale_while_refreshing(Duration::from_secs(10))
///     .stale_on_failure(Duration::from_secs(3600));
/// # drop((few, many));
/// ```
pub struct LookupCache<V> {
    policy: Policy<V>,
    freshness: Freshness,
    idle_for: Option<Duration>,
}

type Weigh<V> = Arc<dyn Fn(&V) -> usize + Send + Sync>;

enum Policy<V> {
    Lru { facts_max: usize },
    TinyLfu { bytes_max: usize, value_bytes: Weigh<V> },
}

impl<V: Send + Sync + 'static> LookupCache<V> {
    /// Remembers the `facts_max` facts that were used last, exactly: for small hot sets, and where what is forgotten
    /// must be reproducible. One lock guards the order.
    #[must_use]
    pub fn lru(facts_max: usize) -> Self {
        Self::new(Policy::Lru { facts_max })
    }

    /// Remembers the facts that are used most, in `bytes_max` with what keeping them costs: for large sets.
    ///
    /// `value_bytes` tells what a value occupies beyond `size_of` it: what it points to.
    #[must_use]
    pub fn tiny_lfu(bytes_max: usize, value_bytes: impl Fn(&V) -> usize + Send + Sync + 'static) -> Self {
        Self::new(Policy::TinyLfu { bytes_max, value_bytes: Arc::new(value_bytes) })
    }

    fn new(policy: Policy<V>) -> Self {
        Self { policy, freshness: Freshness::default(), idle_for: None }
    }

    /// Sets how long a fact is fresh. A minute by default.
    #[must_use]
    pub fn fresh_for(mut self, time: Duration) -> Self {
        self.freshness.fresh_for = time.min(FOREVER);
        self
    }

    /// Sets how long it is remembered that the source knows nothing; zero remembers no such thing. 5 s by default.
    #[must_use]
    pub fn unknown_for(mut self, time: Duration) -> Self {
        self.freshness.unknown_for = time.min(FOREVER);
        self
    }

    /// Forgets facts that nobody used for this long. By default none is forgotten for that.
    #[must_use]
    pub fn idle_for(mut self, time: Duration) -> Self {
        self.idle_for = Some(time.min(FOREVER));
        self
    }

    /// Fetches a fact that is used again so shortly before its freshness ends, while it is served. Off by default.
    #[must_use]
    pub fn refresh_ahead(mut self, time: Duration) -> Self {
        self.freshness.refresh_ahead = time.min(FOREVER);
        self
    }

    /// Serves a fact for so long after its freshness ended, while it is fetched again. Off by default.
    #[must_use]
    pub fn stale_while_refreshing(mut self, time: Duration) -> Self {
        self.freshness.stale_while_refreshing = time.min(FOREVER);
        self
    }

    /// Serves a fact for so long after its freshness ended, where it could not be fetched again. Off by default.
    #[must_use]
    pub fn stale_on_failure(mut self, time: Duration) -> Self {
        self.freshness.stale_on_failure = time.min(FOREVER);
        self
    }

    /// Sets by which part of its time, 0 to 1, a fact's freshness is cut at random, so that facts fetched together do
    /// not all end together. 0.1 by default.
    #[must_use]
    pub fn jitter(mut self, part: f64) -> Self {
        self.freshness.jitter = part.clamp(0.0, 1.0);
        self
    }

    pub(super) fn build(self, evictions: Counter) -> Cache<V> {
        let keep_for = self.freshness.keep_for();
        let store = match self.policy {
            Policy::Lru { facts_max } => Store::Lru(Lru::new(facts_max, self.idle_for, evictions)),
            Policy::TinyLfu { bytes_max, value_bytes } => {
                let limits = tiny_lfu::Limits { bytes_max, keep_for, idle_for: self.idle_for };
                Store::TinyLfu(TinyLfu::new(limits, value_bytes, evictions))
            }
        };
        Cache { store, freshness: self.freshness }
    }
}

/// A cache without a source, so that what a hit costs can be measured. Not for use: see [`Source`](super::Source).
#[doc(hidden)]
pub struct CacheProbe<V>(Cache<V>);

impl<V: Send + Sync + 'static> CacheProbe<V> {
    pub fn new(cache: LookupCache<V>) -> Self {
        Self(cache.build(Counter::default()))
    }

    pub fn insert(&self, id: &str, value: V) {
        let fresh_until = clock::now() + self.0.freshness.span(true);
        self.0.insert(id.into(), Entry { value: Some(Arc::new(value)), fresh_until });
    }

    /// Returns the fact as a call does, which reads the clock once for all its keys.
    pub fn get(&self, id: &str, now: Instant) -> Option<Arc<V>> {
        let (value, age) = self.0.get(id, now)?;
        if age == Age::Fresh { value } else { None }
    }
}

/// The facts that one source of an engine remembers.
pub(super) struct Cache<V> {
    store: Store<V>,
    pub freshness: Freshness,
}

enum Store<V> {
    Lru(Lru<V>),
    TinyLfu(TinyLfu<V>),
}

impl<V: Send + Sync + 'static> Cache<V> {
    /// Returns what is remembered of `id`, and how old it is: never `Gone`.
    pub fn get(&self, id: &str, now: Instant) -> Option<Known<V>> {
        match &self.store {
            Store::Lru(lru) => lru.get(id, now, &self.freshness),
            Store::TinyLfu(tiny_lfu) => {
                let entry = tiny_lfu.get(id)?;
                let age = self.freshness.age(entry.fresh_until, now);
                (age != Age::Gone).then_some((entry.value, age))
            }
        }
    }

    pub fn insert(&self, id: Id, entry: Entry<V>) {
        if entry.value.is_none() && self.freshness.unknown_for.is_zero() {
            return;
        }
        match &self.store {
            Store::Lru(lru) => lru.insert(id, entry),
            Store::TinyLfu(tiny_lfu) => tiny_lfu.insert(id, entry),
        }
    }
}
