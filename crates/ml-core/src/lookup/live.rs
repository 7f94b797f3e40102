//! A source at work: fetches run in the background, so a caller that leaves takes none with it.
//!
//! No lock is held while anything is awaited. What a call asks, and waits for, is in `ask.rs`.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use futures_util::FutureExt;
use tokio::runtime::Handle;

use crate::engine::panic_message;

use super::cache::{Age, Cache, Entry, Id};
use super::clock;
use super::fetch::{Fetcher, down};
use super::flights::{Due, Flights, Stop, WindowLimits};
use super::source::{Policy, Source};
use super::stats::Stats;
use super::tiered::Tiered;
use super::waiting::Outcome;
use super::{Lookup, LookupError};

/// A source at work.
pub(super) struct Live<L: Lookup> {
    pub(super) policy: Policy<L::Value>,
    pub(super) cache: Option<Cache<L::Value>>,
    pub(super) tier: Option<Tiered<L::Value>>,
    pub(super) fetcher: Fetcher<L>,
    flights: Mutex<Flights<L::Value>>,
    pub(super) stats: Stats,
    pub(super) handle: Handle,
}

impl<L: Lookup> Live<L> {
    pub fn new(source: Source<L>, stats: Stats, handle: Handle) -> Self {
        let policy = source.policy;
        let window =
            WindowLimits { concurrency: policy.concurrency, keys_max: policy.keys_per_fetch_max.max(1) };
        // What a tier holds is good for as long as the cache says: without one, for no time at all.
        let tier = source.tier.filter(|_| source.cache.is_some());
        let tier_window = tier.as_ref().map_or(window, |tier| WindowLimits {
            concurrency: tier.options.concurrency.max(1),
            keys_max: tier.options.keys_per_request_max.max(1),
        });
        Self {
            cache: source.cache.map(|cache| cache.build(stats.evictions.clone())),
            tier: tier.map(|tier| Tiered::new(tier, &stats)),
            fetcher: Fetcher::new(source.lookup, &policy, &stats),
            flights: Mutex::new(Flights::new(tier_window, window)),
            policy,
            stats,
            handle,
        }
    }

    pub(super) fn flights(&self) -> MutexGuard<'_, Flights<L::Value>> {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts what can start, after the lock is given back.
    pub(super) fn send_due(self: &Arc<Self>, mut flights: MutexGuard<'_, Flights<L::Value>>) {
        let due = flights.due();
        self.stats.waiting.set(i64::try_from(flights.waiting()).unwrap_or(i64::MAX));
        drop(flights);
        for due in due {
            drop(self.handle.spawn(Arc::clone(self).run(due)));
        }
    }

    /// Asks, and lands. What a user's code does in between (a value that panics where it is written or weighed) must not
    /// keep a key on its way for ever.
    async fn run(self: Arc<Self>, due: Due) {
        let asked = async {
            match due.stop {
                Stop::Tier => self.ask_tier(&due.ids).await,
                Stop::Source => self.ask_source(&due.ids).await,
            }
        };
        let answer = AssertUnwindSafe(asked).catch_unwind().await.unwrap_or_else(|panic| {
            let error = LookupError::new(format!("a lookup panicked: {}", panic_message(&*panic)));
            Answer {
                landed: due.ids.iter().map(|id| (id.clone(), Err(error.clone()))).collect(),
                onward: Vec::new(),
            }
        });
        let facts = match (&self.tier, due.stop) {
            (Some(_), Stop::Source) => answer.facts(),
            _ => Vec::new(),
        };
        self.land(due.stop, answer);
        // After the callers have their answers: the tier is for the others.
        if let Some(tier) = self.tier.as_ref().filter(|_| !facts.is_empty()) {
            tier.put_many(&facts).await;
        }
    }

    async fn ask_tier(&self, ids: &[Id]) -> Answer<L::Value> {
        let known = match &self.tier {
            Some(tier) => tier.get_many(ids).await,
            None => ids.iter().map(|_| None).collect(),
        };
        let now = clock::now();
        let mut answer = Answer { landed: Vec::new(), onward: Vec::new() };
        for (id, entry) in ids.iter().zip(known) {
            match entry.and_then(|entry| self.fresh(entry, now)) {
                Some(entry) => answer.landed.push((id.clone(), Ok(entry))),
                None => answer.onward.push(id.clone()),
            }
        }
        self.remember(&answer);
        if !self.fetcher.breaker.admits(now) {
            self.stats.refused.inc_by(answer.onward.len() as u64);
            answer.landed.extend(answer.onward.drain(..).map(|id| (id, Err(down()))));
        }
        answer
    }

    /// Takes a fact of the tier: one that is about to end is no better than the one that is being replaced, and where a
    /// clock is wrong it is fresh for no longer than if it were fetched now.
    fn fresh(&self, entry: Entry<L::Value>, now: Instant) -> Option<Entry<L::Value>> {
        let freshness = &self.cache.as_ref()?.freshness;
        let fresh_until = entry.fresh_until.min(now + freshness.fresh_for);
        (freshness.age(fresh_until, now) == Age::Fresh).then_some(Entry { fresh_until, ..entry })
    }

    async fn ask_source(&self, ids: &[Id]) -> Answer<L::Value> {
        let names: Vec<String> = ids.iter().map(ToString::to_string).collect();
        let fetched = self.fetcher.fetch(&names, &self.policy).await;
        let now = clock::now();
        let entries: Vec<_> = match fetched {
            Ok(values) => values.into_iter().map(|value| Ok(self.entry(value?, now))).collect(),
            Err(error) => vec![Err(error); ids.len()],
        };
        let answer = Answer { landed: ids.iter().cloned().zip(entries).collect(), onward: Vec::new() };
        self.remember(&answer);
        answer
    }

    /// Remembers what came before it leaves the flights, so that a caller finds each key in one of the two.
    fn remember(&self, answer: &Answer<L::Value>) {
        let Some(cache) = &self.cache else { return };
        for (id, entry) in answer.facts() {
            cache.insert(id, entry);
        }
    }

    fn entry(&self, value: Option<L::Value>, now: Instant) -> Entry<L::Value> {
        let span = self.cache.as_ref().map(|cache| cache.freshness.span(value.is_some()));
        Entry { value: value.map(Arc::new), fresh_until: now + span.unwrap_or_default() }
    }

    /// Answers whoever waits for keys that were answered, and sends the others to the source.
    fn land(self: &Arc<Self>, stop: Stop, answer: Answer<L::Value>) {
        let mut flights = self.flights();
        let answered: Vec<_> =
            answer.landed.into_iter().map(|(id, entry)| (flights.land(&id), entry)).collect();
        flights.returned(stop);
        for id in answer.onward {
            flights.go_to(Stop::Source, id);
        }
        self.send_due(flights);
        for (waiters, entry) in answered {
            let outcome: Outcome<L::Value> = entry.map(|entry| entry.value);
            waiters.into_iter().for_each(|waiter| waiter.answer(outcome.clone()));
        }
    }
}

/// What became of the keys that were asked for together.
struct Answer<V> {
    landed: Vec<(Id, Result<Entry<V>, LookupError>)>,
    /// Those that are to be asked for at the source.
    onward: Vec<Id>,
}

impl<V> Answer<V> {
    fn facts(&self) -> Vec<(Id, Entry<V>)> {
        let good =
            |(id, entry): &(Id, Result<Entry<V>, LookupError>)| Some((id.clone(), entry.clone().ok()?));
        self.landed.iter().filter_map(good).collect()
    }
}
