//! The circuit breaker: a source that keeps failing is left alone, and tried once in a while.
//!
//! Knows no clock: who asks says what time it is.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use prometheus_client::metrics::gauge::Gauge;

use super::clock;

/// When a source counts as down, and how often it is tried then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerOptions {
    /// Fetches that fail in a row, whatever the reason, before the source counts as down; at least 1.
    pub failures: u32,
    /// How long a source that is down is left alone before one fetch tries it again.
    pub probe_interval: Duration,
}

impl Default for BreakerOptions {
    /// 5 failures, a second.
    fn default() -> Self {
        Self { failures: 5, probe_interval: Duration::from_secs(1) }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// All is well, but for so many failures in a row.
    Closed { failures: u32 },
    /// The source is left alone until then.
    Open { probe_at: Instant },
    /// One fetch is trying it.
    HalfOpen,
}

/// Lets fetches through while the source answers them.
pub(super) struct Breaker {
    options: BreakerOptions,
    state: Mutex<State>,
    /// 0 closed, 1 half open, 2 open.
    shown: Gauge,
}

/// The right to fetch once. Dropped without [`succeeded`](Self::succeeded), the fetch has failed.
pub(super) struct Permit<'a> {
    breaker: &'a Breaker,
    probe: bool,
    answered: bool,
}

impl Breaker {
    pub fn new(options: BreakerOptions, shown: Gauge) -> Self {
        shown.set(0);
        Self { options, state: Mutex::new(State::Closed { failures: 0 }), shown }
    }

    /// Says whether a fetch would be let through now.
    pub fn admits(&self, now: Instant) -> bool {
        match *self.state() {
            State::Closed { .. } => true,
            State::Open { probe_at } => now >= probe_at,
            State::HalfOpen => false,
        }
    }

    /// Lets a fetch through, as a probe where the source was down; `None` where it is to be left alone.
    pub fn admit(&self, now: Instant) -> Option<Permit<'_>> {
        let mut state = self.state();
        let probe = match *state {
            State::Closed { .. } => false,
            State::Open { probe_at } if now >= probe_at => true,
            State::Open { .. } | State::HalfOpen => return None,
        };
        if probe {
            self.enter(&mut state, State::HalfOpen);
        }
        Some(Permit { breaker: self, probe, answered: false })
    }

    fn failed(&self, probe: bool, now: Instant) {
        let mut state = self.state();
        let open = State::Open { probe_at: now + self.options.probe_interval };
        match *state {
            State::Closed { failures } if failures + 1 < self.options.failures => {
                *state = State::Closed { failures: failures + 1 };
            }
            State::Closed { .. } => self.enter(&mut state, open),
            State::HalfOpen if probe => self.enter(&mut state, open),
            // A fetch from before the source went down says nothing new.
            State::HalfOpen | State::Open { .. } => {}
        }
    }

    fn enter(&self, state: &mut State, next: State) {
        *state = next;
        self.shown.set(match next {
            State::Closed { .. } => 0,
            State::HalfOpen => 1,
            State::Open { .. } => 2,
        });
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Permit<'_> {
    /// The source answered: it is up, whatever was thought of it.
    pub fn succeeded(mut self) {
        self.answered = true;
        let mut state = self.breaker.state();
        if *state != (State::Closed { failures: 0 }) {
            self.breaker.enter(&mut state, State::Closed { failures: 0 });
        }
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if !self.answered {
            self.breaker.failed(self.probe, clock::now());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(3600);

    fn opened() -> (Breaker, Instant) {
        let breaker =
            Breaker::new(BreakerOptions { failures: 2, probe_interval: INTERVAL }, Gauge::default());
        for _ in 0..2 {
            drop(breaker.admit(Instant::now()));
        }
        (breaker, Instant::now() + INTERVAL)
    }

    #[test]
    fn failures_in_a_row_open_it_and_others_do_not() {
        let breaker = Breaker::new(BreakerOptions { failures: 2, ..Default::default() }, Gauge::default());
        let now = Instant::now();
        for _ in 0..3 {
            drop(breaker.admit(now));
            breaker.admit(now).expect("one failure is none").succeeded();
        }
        assert_eq!(breaker.shown.get(), 0);
        drop((breaker.admit(now), breaker.admit(now)));
        assert!(!breaker.admits(now) && breaker.admit(now).is_none());
        assert_eq!(breaker.shown.get(), 2);
    }

    #[test]
    fn one_probe_an_interval_is_let_through() {
        let (breaker, due) = opened();
        assert!(!breaker.admits(due - INTERVAL / 2));
        let probe = breaker.admit(due).expect("a probe is due");
        assert_eq!(breaker.shown.get(), 1);
        assert!(breaker.admit(due).is_none(), "one at a time");
        drop(probe);
        assert!(!breaker.admits(due - INTERVAL / 2), "it failed, and the next is an interval away");
    }

    #[test]
    fn a_probe_that_succeeds_closes_it() {
        let (breaker, due) = opened();
        breaker.admit(due).expect("a probe is due").succeeded();
        assert!(breaker.admits(Instant::now()));
        drop(breaker.admit(due));
        assert!(breaker.admits(due), "failures count from none again");
    }

    #[test]
    fn a_late_failure_of_an_old_fetch_is_not_the_probes() {
        let breaker =
            Breaker::new(BreakerOptions { failures: 1, probe_interval: Duration::ZERO }, Gauge::default());
        let now = Instant::now();
        let old = breaker.admit(now);
        drop(breaker.admit(now));
        let probe = breaker.admit(Instant::now()).expect("a probe is due");
        drop(old);
        assert!(breaker.admit(Instant::now()).is_none(), "the probe is still out");
        probe.succeeded();
        assert!(breaker.admits(now));
    }
}
