//! Picks the items of each request: the next ones of the file, or, for a given share of the requests, those of a
//! request that is in flight at that moment. Servers that coalesce equal items answer both at the price of one.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::random::Random;

/// Picks items, for all client threads.
pub(super) struct Picker {
    share: f64,
    flight: Mutex<Flight>,
}

struct Flight {
    random: Random,
    /// The number of the next request.
    number: usize,
    /// The first item of each request without an answer, by the request's number.
    firsts: BTreeMap<usize, usize>,
}

/// The items of one request; dropped when its answer came.
pub(super) struct Picked<'a> {
    /// The first of them.
    pub(super) first: usize,
    /// Whether a request with the same items is in flight.
    pub(super) duplicate: bool,
    flight: Option<(&'a Picker, usize)>,
}

impl Picker {
    pub(super) fn new(share: f64, seed: u64) -> Self {
        let flight = Flight { random: Random::new(seed), number: 0, firsts: BTreeMap::new() };
        Self { share, flight: Mutex::new(flight) }
    }

    /// Picks `fresh`, or what the youngest request in flight has: that one is the last to be answered.
    pub(super) fn pick(&self, fresh: impl FnOnce() -> usize) -> Picked<'_> {
        if self.share == 0.0 {
            return Picked { first: fresh(), duplicate: false, flight: None };
        }
        let mut flight = self.flight();
        let repeats = flight.random.uniform() < self.share;
        let youngest = flight.firsts.last_key_value().map(|(_, first)| *first).filter(|_| repeats);
        let first = youngest.unwrap_or_else(fresh);
        let number = flight.number;
        flight.number += 1;
        flight.firsts.insert(number, first);
        Picked { first, duplicate: youngest.is_some(), flight: Some((self, number)) }
    }

    /// A thread that panicked left nothing half done here.
    fn flight(&self) -> MutexGuard<'_, Flight> {
        self.flight.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Picked<'_> {
    fn drop(&mut self) {
        if let Some((picker, number)) = self.flight {
            picker.flight().firsts.remove(&number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duplicate_equals_a_request_in_flight() {
        let picker = Picker::new(1.0, 1);
        let first = picker.pick(|| 7);
        let second = picker.pick(|| 8);
        assert_eq!((first.first, first.duplicate), (7, false), "nothing was in flight");
        assert_eq!((second.first, second.duplicate), (7, true));
        drop((first, second));
        assert_eq!(picker.pick(|| 8).first, 8, "both were answered");
    }

    #[test]
    fn the_share_of_duplicates_is_the_one_asked_for() {
        // The standard error of a share of 10,000 is 0.5 %.
        for share in [0.0, 0.25, 0.5, 1.0] {
            let picker = Picker::new(share, 3);
            let _in_flight = picker.pick(|| 0);
            let duplicates = (1..10_000).filter(|number| picker.pick(|| *number).duplicate).count();
            assert!((duplicates as f64 / 9999.0 - share).abs() < 0.02, "{share}: {duplicates}");
        }
    }
}
