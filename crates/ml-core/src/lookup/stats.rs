//! What the sources of a process count: one family for each number, labelled by model and source.

use std::fmt;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::exponential_buckets;
use prometheus_client::registry::{Registry, Unit};

use crate::{Counter, Histogram};

/// What became of the keys of one call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LookupCounts {
    /// Keys that were remembered.
    pub hits: usize,
    /// Keys that were remembered from too long ago, and served all the same.
    pub stale: usize,
    /// Keys that the call waited for, and got.
    pub fetched: usize,
    /// Keys that could not be had in time.
    pub failed: usize,
}

impl LookupCounts {
    pub(crate) fn add(&mut self, other: Self) {
        self.hits += other.hits;
        self.stale += other.stale;
        self.fetched += other.fetched;
        self.failed += other.failed;
    }
}

impl fmt::Display for LookupCounts {
    /// Writes what there is any of, as in `hits=3 fetched=1`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { hits, stale, fetched, failed } = *self;
        let all = [("hits", hits), ("stale", stale), ("fetched", fetched), ("failed", failed)];
        let mut gap = "";
        for (name, count) in all.into_iter().filter(|(_, count)| *count > 0) {
            write!(f, "{gap}{name}={count}")?;
            gap = " ";
        }
        Ok(())
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SourceLabel {
    model: String,
    source: &'static str,
}

type Counters = Family<SourceLabel, Counter>;
type Gauges = Family<SourceLabel, Gauge>;

/// The families of all sources of a process. Clones share their numbers.
#[derive(Clone)]
pub(crate) struct LookupMetrics {
    hits: Counters,
    misses: Counters,
    coalesced: Counters,
    stale_served: Counters,
    defaults: Counters,
    evictions: Counters,
    refused: Counters,
    fetches: Counters,
    fetches_failed: Counters,
    retries: Counters,
    hedges: Counters,
    tier_hits: Counters,
    tier_misses: Counters,
    tier_errors: Counters,
    load: Family<SourceLabel, Histogram, fn() -> Histogram>,
    breaker: Gauges,
    tier_breaker: Gauges,
    waiting: Gauges,
}

impl Default for LookupMetrics {
    fn default() -> Self {
        let [hits, misses, coalesced, stale_served, defaults, evictions, refused] = Default::default();
        let [fetches, fetches_failed, retries, hedges, tier_hits, tier_misses, tier_errors] =
            Default::default();
        let [breaker, tier_breaker, waiting] = Default::default();
        // 100 µs to 52 s, by two.
        let load = Family::<_, _, fn() -> _>::new_with_constructor(|| {
            Histogram::new(exponential_buckets(1e-4, 2.0, 20))
        });
        Self {
            hits,
            misses,
            coalesced,
            stale_served,
            defaults,
            evictions,
            refused,
            fetches,
            fetches_failed,
            retries,
            hedges,
            tier_hits,
            tier_misses,
            tier_errors,
            load,
            breaker,
            tier_breaker,
            waiting,
        }
    }
}

impl LookupMetrics {
    /// Makes the families part of `registry`.
    pub fn register(&self, registry: &mut Registry) {
        for (name, help, family) in [
            ("hits", "Keys answered from the cache, fresh", &self.hits),
            ("misses", "Keys that were not in the cache, or too old", &self.misses),
            ("coalesced", "Keys that waited for a fetch that was out already", &self.coalesced),
            ("stale_served", "Keys answered from the cache after their time", &self.stale_served),
            ("defaults", "Keys answered by the default", &self.defaults),
            ("evictions", "Facts forgotten for want of room or because they were old", &self.evictions),
            ("refused", "Keys not asked for: too many waited, or the source is down", &self.refused),
            ("fetches", "Fetches sent to the source, hedges and retries included", &self.fetches),
            ("fetches_failed", "Fetches that ended with an error, after their retries", &self.fetches_failed),
            ("retries", "Fetches sent again after an error", &self.retries),
            ("hedges", "Fetches sent a second time because the first took long", &self.hedges),
            ("tier_hits", "Keys answered by the shared tier", &self.tier_hits),
            ("tier_misses", "Keys that the shared tier did not have, fresh and readable", &self.tier_misses),
            ("tier_errors", "Requests to the shared tier that failed", &self.tier_errors),
        ] {
            registry.register(format!("lookup_{name}"), help, family.clone());
        }
        for (name, help, family) in [
            ("breaker_state", "The source: 0 up, 1 being tried, 2 down", &self.breaker),
            ("tier_breaker_state", "The shared tier: 0 up, 1 being tried, 2 down", &self.tier_breaker),
            ("waiting_keys", "Keys that wait to be asked for", &self.waiting),
        ] {
            registry.register(format!("lookup_{name}"), help, family.clone());
        }
        let help = "Time of a fetch from its start to its end, retries included";
        registry.register_with_unit("lookup_load", help, Unit::Seconds, self.load.clone());
    }

    /// Returns the numbers of one source, so that counting needs no look-up.
    pub(super) fn of_source(&self, model: &str, source: &'static str) -> Stats {
        let label = SourceLabel { model: model.to_owned(), source };
        let counter = |family: &Counters| family.get_or_create(&label).clone();
        let gauge = |family: &Gauges| family.get_or_create(&label).clone();
        Stats {
            hits: counter(&self.hits),
            misses: counter(&self.misses),
            coalesced: counter(&self.coalesced),
            stale_served: counter(&self.stale_served),
            defaults: counter(&self.defaults),
            evictions: counter(&self.evictions),
            refused: counter(&self.refused),
            fetches: counter(&self.fetches),
            fetches_failed: counter(&self.fetches_failed),
            retries: counter(&self.retries),
            hedges: counter(&self.hedges),
            tier_hits: counter(&self.tier_hits),
            tier_misses: counter(&self.tier_misses),
            tier_errors: counter(&self.tier_errors),
            load: self.load.get_or_create(&label).clone(),
            breaker: gauge(&self.breaker),
            tier_breaker: gauge(&self.tier_breaker),
            waiting: gauge(&self.waiting),
        }
    }
}

/// The numbers of one source.
#[derive(Clone)]
pub(super) struct Stats {
    pub hits: Counter,
    pub misses: Counter,
    pub coalesced: Counter,
    pub stale_served: Counter,
    pub defaults: Counter,
    pub evictions: Counter,
    pub refused: Counter,
    pub fetches: Counter,
    pub fetches_failed: Counter,
    pub retries: Counter,
    pub hedges: Counter,
    pub tier_hits: Counter,
    pub tier_misses: Counter,
    pub tier_errors: Counter,
    pub load: Histogram,
    pub breaker: Gauge,
    pub tier_breaker: Gauge,
    pub waiting: Gauge,
}

#[cfg(test)]
pub(super) fn uncounted() -> Stats {
    LookupMetrics::default().of_source("", "")
}
