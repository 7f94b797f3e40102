//! A source's use of the shared tier: typed values, a time budget, a breaker, and no error ever.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use futures_util::FutureExt;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::LookupError;
use super::breaker::Breaker;
use super::cache::{Entry, Id};
use super::clock;
use super::encode::{Shared, decode, encode};
use super::stats::Stats;
use super::tier::{Tier, TierEntry, TierOptions};

type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, LookupError>> + Send + 'a>>;

/// A [`Tier`] whose type is forgotten.
trait AnyTier: Send + Sync {
    fn get<'a>(&'a self, keys: &'a [Vec<u8>]) -> BoxFuture<'a, Vec<Option<Vec<u8>>>>;
    fn put<'a>(&'a self, entries: &'a [TierEntry]) -> BoxFuture<'a, ()>;
}

impl<T: Tier> AnyTier for T {
    fn get<'a>(&'a self, keys: &'a [Vec<u8>]) -> BoxFuture<'a, Vec<Option<Vec<u8>>>> {
        Box::pin(self.get_many(keys))
    }

    fn put<'a>(&'a self, entries: &'a [TierEntry]) -> BoxFuture<'a, ()> {
        Box::pin(self.put_many(entries))
    }
}

type Encode<V> = fn(&Shared<Option<&V>>, u32) -> Option<Vec<u8>>;
type Decode<V> = fn(&[u8], u32) -> Option<Shared<Option<V>>>;

/// A tier, and how values of one type are written there.
pub(super) struct Typed<V> {
    tier: Arc<dyn AnyTier>,
    pub options: TierOptions,
    encode: Encode<V>,
    decode: Decode<V>,
}

impl<V: Serialize + DeserializeOwned> Typed<V> {
    pub fn new(tier: impl Tier, options: TierOptions) -> Self {
        Self { tier: Arc::new(tier), options, encode: encode::<V>, decode: decode::<V> }
    }
}

/// The tier in use by one source.
pub(super) struct Tiered<V> {
    typed: Typed<V>,
    breaker: Breaker,
    /// What is being put; what is being got is bounded where keys wait.
    puts: Semaphore,
    stats: Stats,
}

impl<V> Tiered<V> {
    pub fn new(typed: Typed<V>, stats: &Stats) -> Self {
        let breaker = Breaker::new(typed.options.breaker, stats.tier_breaker.clone());
        let puts = Semaphore::new(typed.options.concurrency.clamp(1, Semaphore::MAX_PERMITS));
        Self { typed, breaker, puts, stats: stats.clone() }
    }

    /// Says whether the tier is worth asking now.
    pub fn is_up(&self, now: Instant) -> bool {
        self.breaker.admits(now)
    }

    /// Returns what the tier knows of each of `ids`; of none where it does not answer.
    pub async fn get_many(&self, ids: &[Id]) -> Vec<Option<Entry<V>>> {
        let keys: Vec<_> = ids.iter().map(|id| self.key(id)).collect();
        let got = self.read_through(&keys).await.unwrap_or_else(|| vec![None; ids.len()]);
        let entries: Vec<_> = got.into_iter().map(|bytes| self.read(&bytes?)).collect();
        let hits = entries.iter().filter(|entry| entry.is_some()).count();
        self.stats.tier_hits.inc_by(hits as u64);
        self.stats.tier_misses.inc_by((entries.len() - hits) as u64);
        entries
    }

    /// Puts what was fetched, as far as the tier takes it.
    pub async fn put_many(&self, facts: &[(Id, Entry<V>)]) {
        // The breaker goes by what is read: a store that still takes what it can no longer give is of no use.
        if !self.is_up(clock::now()) {
            return;
        }
        // A slow store must not gather what it is to be given: what is not put is fetched by another replica.
        let Ok(Ok(_turn)) = timeout(self.typed.options.budget, self.puts.acquire()).await else {
            self.stats.tier_errors.inc();
            return;
        };
        let entries: Vec<_> = facts.iter().filter_map(|(id, entry)| self.write(id, entry)).collect();
        if !entries.is_empty() {
            self.guarded(self.typed.tier.put(&entries)).await;
        }
    }

    async fn read_through(&self, keys: &[Vec<u8>]) -> Option<Vec<Option<Vec<u8>>>> {
        let permit = self.breaker.admit(clock::now())?;
        let got = self.guarded(self.typed.tier.get(keys)).await?;
        // An answer of the wrong length is a broken one: whose values these are, nobody knows.
        if got.len() != keys.len() {
            self.stats.tier_errors.inc();
            return None;
        }
        permit.succeeded();
        Some(got)
    }

    fn key(&self, id: &str) -> Vec<u8> {
        [&self.typed.options.prefix, id.as_bytes()].concat()
    }

    fn read(&self, bytes: &[u8]) -> Option<Entry<V>> {
        let shared = (self.typed.decode)(bytes, self.typed.options.schema)?;
        let left = shared.fresh_until.duration_since(SystemTime::now()).ok()?;
        let fresh_until = clock::now().checked_add(left)?;
        Some(Entry { value: shared.value.map(Arc::new), fresh_until })
    }

    fn write(&self, id: &str, entry: &Entry<V>) -> Option<TierEntry> {
        let time_to_live = entry.fresh_until.saturating_duration_since(clock::now());
        if time_to_live < TIME_TO_LIVE_MIN {
            return None;
        }
        let fresh_until = SystemTime::now().checked_add(time_to_live)?;
        let shared = Shared { value: entry.value.as_deref(), fresh_until };
        let value = (self.typed.encode)(&shared, self.typed.options.schema)?;
        let fits = value.len() <= self.typed.options.value_bytes_max;
        fits.then(|| TierEntry { key: self.key(id), value, time_to_live })
    }

    /// Awaits the tier within its budget; whatever goes wrong is counted, and is nothing.
    async fn guarded<T>(&self, request: BoxFuture<'_, T>) -> Option<T> {
        let within = timeout(self.typed.options.budget, request);
        match AssertUnwindSafe(within).catch_unwind().await {
            Ok(Ok(Ok(answer))) => return Some(answer),
            Ok(Ok(Err(error))) => tracing::debug!(%error, "the shared tier failed"),
            Ok(Err(_)) => tracing::debug!("the shared tier did not answer within its budget"),
            Err(_) => tracing::error!("the shared tier panicked"),
        }
        self.stats.tier_errors.inc();
        None
    }
}

/// What would be gone before it is there need not be put.
const TIME_TO_LIVE_MIN: Duration = Duration::from_millis(1);
