//! The keys of one source that are being fetched, each once, and the window in which others are gathered.
//!
//! Work-conserving, like the queue of a model: while a fetch may start it starts at once with whatever waits, and
//! while as many are out as may be, keys gather. Knows neither clock nor lock.

use std::collections::{HashMap, VecDeque};

use super::cache::Id;
use super::waiting::Waiter;

/// Where a key is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// In the cache that replicas share.
    Tier,
    /// At the source itself.
    Source,
}

/// What to ask for now, and where.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Due {
    pub stop: Stop,
    pub ids: Vec<Id>,
}

/// How much may be asked for at once.
#[derive(Debug, Clone, Copy)]
pub(super) struct WindowLimits {
    pub concurrency: usize,
    pub keys_max: usize,
}

/// Every key that is on its way.
pub(super) struct Flights<V> {
    open: HashMap<Id, Flight<V>>,
    tier: Window,
    source: Window,
}

struct Flight<V> {
    waiters: Vec<Waiter<V>>,
    /// Whether the cache wants it, whoever waits.
    refresh: bool,
}

struct Window {
    waiting: VecDeque<Id>,
    out: usize,
    limits: WindowLimits,
}

impl<V> Flights<V> {
    pub fn new(tier: WindowLimits, source: WindowLimits) -> Self {
        Self { open: HashMap::new(), tier: Window::new(tier), source: Window::new(source) }
    }

    /// Lets `waiter` wait for a key that is on its way; gives it back where none is.
    pub fn follow(&mut self, id: &str, waiter: Waiter<V>) -> Result<(), Waiter<V>> {
        match self.open.get_mut(id) {
            Some(flight) => {
                flight.waiters.push(waiter);
                Ok(())
            }
            None => Err(waiter),
        }
    }

    pub fn has(&self, id: &str) -> bool {
        self.open.contains_key(id)
    }

    /// Begins to fetch a key that is not on its way; for the cache where nobody waits.
    pub fn begin(&mut self, id: Id, waiter: Option<Waiter<V>>, stop: Stop) {
        let flight = Flight { refresh: waiter.is_none(), waiters: waiter.into_iter().collect() };
        self.open.insert(id.clone(), flight);
        self.go_to(stop, id);
    }

    /// Sends a key that is on its way to its next stop.
    pub fn go_to(&mut self, stop: Stop, id: Id) {
        self.window(stop).waiting.push_back(id);
    }

    /// Ends a key's way; returns who waits for it.
    pub fn land(&mut self, id: &str) -> Vec<Waiter<V>> {
        self.open.remove(id).map(|flight| flight.waiters).unwrap_or_default()
    }

    /// One that was due has been answered.
    pub fn returned(&mut self, stop: Stop) {
        self.window(stop).out -= 1;
    }

    /// Returns how many keys wait to be asked for.
    pub fn waiting(&self) -> usize {
        self.tier.waiting.len() + self.source.waiting.len()
    }

    /// Takes what can be asked for now.
    pub fn due(&mut self) -> Vec<Due> {
        let mut due = Vec::new();
        for (stop, window) in [(Stop::Tier, &mut self.tier), (Stop::Source, &mut self.source)] {
            while let Some(ids) = window.next(&mut self.open) {
                due.push(Due { stop, ids });
            }
        }
        due
    }

    fn window(&mut self, stop: Stop) -> &mut Window {
        match stop {
            Stop::Tier => &mut self.tier,
            Stop::Source => &mut self.source,
        }
    }
}

impl Window {
    fn new(limits: WindowLimits) -> Self {
        Self { waiting: VecDeque::new(), out: 0, limits }
    }

    /// Takes the keys of one fetch; keys that nobody wants any more are dropped on the way.
    fn next<V>(&mut self, open: &mut HashMap<Id, Flight<V>>) -> Option<Vec<Id>> {
        if self.out >= self.limits.concurrency {
            return None;
        }
        let mut ids = Vec::new();
        while ids.len() < self.limits.keys_max
            && let Some(id) = self.waiting.pop_front()
        {
            if open.get(&id).is_some_and(Flight::is_wanted) {
                ids.push(id);
            } else {
                open.remove(&id);
            }
        }
        if ids.is_empty() {
            return None;
        }
        self.out += 1;
        Some(ids)
    }
}

impl<V> Flight<V> {
    fn is_wanted(&self) -> bool {
        self.refresh || self.waiters.iter().any(Waiter::is_awaited)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lookup::waiting::Slots;

    fn flights(concurrency: usize, keys_max: usize) -> Flights<i32> {
        let limits = WindowLimits { concurrency, keys_max };
        Flights::new(limits, limits)
    }

    fn due(flights: &mut Flights<i32>) -> Vec<Vec<String>> {
        flights.due().iter().map(|due| due.ids.iter().map(ToString::to_string).collect()).collect()
    }

    #[test]
    fn keys_gather_while_as_many_fetches_are_out_as_may_be() {
        let mut flights = flights(2, 3);
        for id in ["a", "b"] {
            flights.begin(id.into(), None, Stop::Source);
            assert_eq!(due(&mut flights), [[id]], "an idle source is asked at once");
        }
        for id in ["c", "d", "e", "f"] {
            flights.begin(id.into(), None, Stop::Source);
            assert!(due(&mut flights).is_empty());
        }
        assert_eq!(flights.waiting(), 4);
        flights.returned(Stop::Source);
        assert_eq!(due(&mut flights), [["c", "d", "e"]], "one fetch takes three keys");
        flights.returned(Stop::Source);
        assert_eq!(due(&mut flights), [["f"]]);
    }

    #[test]
    fn a_key_that_nobody_waits_for_is_not_fetched_unless_the_cache_wants_it() {
        let mut flights = flights(1, 10);
        let (slots, _done) = Slots::new(2);
        let (left, _done) = Slots::new(1);
        flights.begin("left".into(), Some(left.waiter(0)), Stop::Source);
        flights.begin("awaited".into(), Some(slots.waiter(0)), Stop::Source);
        flights.begin("refreshed".into(), None, Stop::Source);
        drop(left);
        assert_eq!(due(&mut flights), [["awaited", "refreshed"]]);
        assert!(!flights.has("left"));
        assert!(flights.follow("awaited", slots.waiter(1)).is_ok());
        assert_eq!(flights.land("awaited").len(), 2);
    }
}
