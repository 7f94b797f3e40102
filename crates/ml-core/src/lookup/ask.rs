//! What a call asks of a source: the cache first, then a fetch that is out already, then a new one.
//!
//! What is remembered is answered on the caller's thread, without a task, a channel or a clock.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Instant;

use futures_util::future::select;
use tokio::sync::oneshot;

use super::background::until;
use super::cache::Age;
use super::facts::{Fact, Found};
use super::fetch::{down, over_budget};
use super::flights::{Flights, Stop};
use super::live::Live;
use super::source::Otherwise;
use super::stats::LookupCounts;
use super::waiting::Slots;
use super::{Lookup, LookupError};

/// When a call asks, and until when it waits at most: what comes later is of no use to it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    pub now: Instant,
    pub deadline: Option<Instant>,
}

impl Moment {
    fn is_over(&self) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= self.now)
    }
}

/// What a source answers at once, and what it will.
pub(super) struct Asked {
    /// One for each identifier, in order; those that are pending are `TooLate` until they come.
    pub found: Vec<Found>,
    pub counts: LookupCounts,
    pub pending: Option<Pending>,
}

/// The answers that have to be waited for, each with its place.
pub(super) type Pending = Pin<Box<dyn Future<Output = (Vec<(usize, Found)>, LookupCounts)> + Send>>;

/// A source whose types are forgotten, so that an engine can hold several.
pub(super) trait Answers: Send + Sync {
    fn ask(self: Arc<Self>, ids: &[&str], moment: Moment) -> Asked;
}

/// A key that has to be waited for.
struct Open<V> {
    place: usize,
    /// What the cache has for the worst case: a value, or that there was none.
    old: Option<Option<Arc<V>>>,
}

impl<L: Lookup> Answers for Live<L> {
    fn ask(self: Arc<Self>, ids: &[&str], moment: Moment) -> Asked {
        let mut counts = LookupCounts::default();
        let mut found = Vec::with_capacity(ids.len());
        let (mut open, mut refresh) = (Vec::new(), Vec::new());
        for (place, id) in ids.iter().enumerate() {
            let known = self.cache.as_ref().and_then(|cache| cache.get(id, moment.now));
            found.push(match known {
                Some((value, Age::Fresh)) => {
                    counts.hits += 1;
                    self.fact(value)
                }
                Some((value, age @ (Age::Aging | Age::Stale))) => {
                    refresh.push(*id);
                    *if age == Age::Stale { &mut counts.stale } else { &mut counts.hits } += 1;
                    self.fact(value)
                }
                old => {
                    open.push(Open { place, old: old.map(|(value, _)| value) });
                    Found::TooLate
                }
            });
        }
        if self.cache.is_some() {
            self.stats.hits.inc_by(counts.hits as u64);
            self.stats.stale_served.inc_by(counts.stale as u64);
            self.stats.misses.inc_by(open.len() as u64);
        }
        if !refresh.is_empty() {
            self.refresh(&refresh, moment.now);
        }
        if moment.is_over() {
            for Open { place, old } in open.drain(..) {
                found[place] = self.without(old, Found::TooLate, &mut counts);
            }
        }
        if open.is_empty() {
            return Asked { found, counts, pending: None };
        }
        let (slots, done) = self.join(ids, &open, moment.now);
        Asked { found, counts, pending: Some(Box::pin(self.wait(slots, done, open, moment))) }
    }
}

impl<L: Lookup> Live<L> {
    /// Joins the keys that are on their way, and sends the others there.
    fn join(
        self: &Arc<Self>,
        ids: &[&str],
        open: &[Open<L::Value>],
        now: Instant,
    ) -> (Arc<Slots<L::Value>>, oneshot::Receiver<()>) {
        let (slots, done) = Slots::new(open.len());
        let stop = self.first_stop(now);
        let mut settled = Vec::new();
        let mut flights = self.flights();
        for (slot, key) in open.iter().enumerate() {
            let id = ids[key.place];
            let Err(waiter) = flights.follow(id, slots.waiter(slot)) else {
                self.stats.coalesced.inc();
                continue;
            };
            // A fetch of this key may have landed since the cache was asked.
            let landed = self.cache.as_ref().and_then(|cache| cache.get(id, now));
            if let Some((value, Age::Fresh | Age::Aging)) = landed {
                settled.push((waiter, Ok(value)));
                continue;
            }
            match self.admitted(&flights, &stop) {
                Ok(stop) => flights.begin(id.into(), Some(waiter), stop),
                Err(refusal) => settled.push((waiter, Err(refusal))),
            }
        }
        self.send_due(flights);
        for (waiter, outcome) in settled {
            waiter.answer(outcome);
        }
        (slots, done)
    }

    /// Fetches keys for the cache, unless they are on their way or cannot be had anyway.
    fn refresh(self: &Arc<Self>, ids: &[&str], now: Instant) {
        let Ok(stop) = self.first_stop(now) else { return };
        let mut flights = self.flights();
        for id in ids {
            if !flights.has(id) && flights.waiting() < self.policy.waiting_keys_max {
                flights.begin((*id).into(), None, stop);
            }
        }
        self.send_due(flights);
    }

    /// Says where a key is asked for first, or why nowhere.
    fn first_stop(&self, now: Instant) -> Result<Stop, LookupError> {
        if self.tier.as_ref().is_some_and(|tier| tier.is_up(now)) {
            return Ok(Stop::Tier);
        }
        if self.fetcher.breaker.admits(now) { Ok(Stop::Source) } else { Err(down()) }
    }

    fn admitted(
        &self,
        flights: &Flights<L::Value>,
        stop: &Result<Stop, LookupError>,
    ) -> Result<Stop, LookupError> {
        let (waiting, limit) = (flights.waiting(), self.policy.waiting_keys_max);
        let stop = match stop {
            Ok(_) if waiting >= limit => {
                Err(LookupError::new(format!("{waiting} keys are waiting, the source takes {limit}")))
            }
            stop => stop.clone(),
        };
        if stop.is_err() {
            self.stats.refused.inc();
        }
        stop
    }

    /// Waits until all keys are answered or the time is up.
    async fn wait(
        self: Arc<Self>,
        slots: Arc<Slots<L::Value>>,
        done: oneshot::Receiver<()>,
        open: Vec<Open<L::Value>>,
        moment: Moment,
    ) -> (Vec<(usize, Found)>, LookupCounts) {
        let patience = moment.now + self.policy.budget;
        let deadline = moment.deadline.filter(|deadline| *deadline < patience);
        let time_is_up = pin!(until(&self.handle, deadline.unwrap_or(patience)));
        select(done, time_is_up).await;
        let mut outcomes = slots.take().into_iter();
        let mut counts = LookupCounts::default();
        let mut settle = |open: Open<L::Value>| {
            let found = match outcomes.next().flatten() {
                Some(Ok(value)) => {
                    counts.fetched += 1;
                    self.fact(value)
                }
                Some(Err(error)) => self.without(open.old, Found::Failed(error), &mut counts),
                None if deadline.is_some() => self.without(open.old, Found::TooLate, &mut counts),
                None => self.without(open.old, Found::Failed(over_budget(&self.policy)), &mut counts),
            };
            (open.place, found)
        };
        let found = open.into_iter().map(&mut settle).collect();
        (found, counts)
    }

    /// What an item gets whose key the source has answered.
    fn fact(&self, value: Option<Arc<L::Value>>) -> Found {
        match value {
            Some(value) => Found::Fact(value as Fact),
            None => self.otherwise(&self.policy.unknown, || {
                Found::Failed(LookupError::new("the source does not know this key"))
            }),
        }
    }

    /// What an item gets whose key the source has not answered: the old fact, the default, or `failure`.
    fn without(
        &self,
        old: Option<Option<Arc<L::Value>>>,
        failure: Found,
        counts: &mut LookupCounts,
    ) -> Found {
        match old {
            Some(value) => {
                counts.stale += 1;
                self.stats.stale_served.inc();
                self.fact(value)
            }
            None => {
                counts.failed += 1;
                self.otherwise(&self.policy.failing, || failure)
            }
        }
    }

    fn otherwise(&self, otherwise: &Otherwise<Arc<L::Value>>, failure: impl FnOnce() -> Found) -> Found {
        match otherwise {
            Otherwise::Fail => failure(),
            Otherwise::Nothing => Found::Unknown,
            Otherwise::Value(value) => {
                self.stats.defaults.inc();
                Found::Fact(Arc::clone(value) as Fact)
            }
        }
    }
}
