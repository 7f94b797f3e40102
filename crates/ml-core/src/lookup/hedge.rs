//! When a second fetch is sent beside one that takes long: after the p95 of those before, and for one in ten at most.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// So many times are remembered; older ones say little about the source as it is.
const TIMES: usize = 128;

/// Fewer times than this have no p95 worth the name.
const TIMES_MIN: usize = 20;

/// One fetch in so many is hedged at most: when a source slows down as a whole, all its fetches are late, and
/// sending each of them twice is the last thing that it needs.
const FETCHES_PER_HEDGE: u64 = 10;

/// What is known of a source's times.
#[derive(Default)]
pub(super) struct Hedge(Mutex<Known>);

#[derive(Default)]
struct Known {
    times: Vec<Duration>,
    next: usize,
    p95: Option<Duration>,
    fetches: u64,
    hedges: u64,
}

impl Hedge {
    /// Learns how long a fetch took.
    pub fn observe(&self, time: Duration) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.fetches += 1;
        if known.times.len() < TIMES {
            known.times.push(time);
        } else {
            let next = known.next;
            known.times[next] = time;
            known.next = (next + 1) % TIMES;
        }
        // Sorting 128 times takes microseconds, so every eighth fetch pays for it.
        if known.times.len() >= TIMES_MIN && (known.p95.is_none() || known.fetches.is_multiple_of(8)) {
            let mut sorted = known.times.clone();
            sorted.sort_unstable();
            known.p95 = sorted.get(sorted.len() * 95 / 100).copied();
        }
    }

    /// Returns after what time a second fetch may be sent.
    pub fn after(&self) -> Option<Duration> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).p95
    }

    /// Asks for the right to send a second fetch.
    pub fn take(&self) -> bool {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let allowed = (known.hedges + 1) * FETCHES_PER_HEDGE <= known.fetches;
        known.hedges += u64::from(allowed);
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_p95_is_that_of_the_last_times() {
        let hedge = Hedge::default();
        for millis in 1..TIMES_MIN as u64 {
            hedge.observe(Duration::from_millis(millis));
        }
        assert_eq!(hedge.after(), None, "too little is known");
        for millis in 1..=1280 {
            hedge.observe(Duration::from_millis(millis % 100));
        }
        let p95 = hedge.after().expect("enough is known");
        assert!((Duration::from_millis(90)..Duration::from_millis(99)).contains(&p95), "{p95:?}");
    }

    #[test]
    fn one_fetch_in_ten_is_hedged_at_most() {
        let hedge = Hedge::default();
        let mut hedged = 0;
        for _ in 0..100 {
            hedge.observe(Duration::from_millis(1));
            hedged += usize::from(hedge.take());
        }
        assert_eq!(hedged, 10);
    }
}
