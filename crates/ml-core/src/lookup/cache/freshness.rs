//! How long a fact is good for what. Knows no clock: who asks says what time it is.

use std::time::{Duration, Instant};

/// As long as makes no difference: sums of times stay within what a clock can say, and within what moka takes.
pub(in crate::lookup) const FOREVER: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// The times of a cache's facts.
#[derive(Debug, Clone, Copy)]
pub(in crate::lookup) struct Freshness {
    pub fresh_for: Duration,
    pub unknown_for: Duration,
    pub refresh_ahead: Duration,
    pub stale_while_refreshing: Duration,
    pub stale_on_failure: Duration,
    pub jitter: f64,
}

/// What a fact is still good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::lookup) enum Age {
    /// To be served.
    Fresh,
    /// To be served, and fetched again before its time is up.
    Aging,
    /// To be served while it is fetched again.
    Stale,
    /// To be served only if it cannot be fetched.
    Old,
    /// To be forgotten.
    Gone,
}

impl Default for Freshness {
    fn default() -> Self {
        Self {
            fresh_for: Duration::from_secs(60),
            unknown_for: Duration::from_secs(5),
            refresh_ahead: Duration::ZERO,
            stale_while_refreshing: Duration::ZERO,
            stale_on_failure: Duration::ZERO,
            jitter: 0.1,
        }
    }
}

impl Freshness {
    /// Returns for how long a fact that has just been fetched is fresh.
    pub fn span(&self, known: bool) -> Duration {
        let span = if known { self.fresh_for } else { self.unknown_for };
        span.mul_f64(1.0 - self.jitter * fastrand::f64())
    }

    /// Returns what a fact is good for at `now`.
    pub fn age(&self, fresh_until: Instant, now: Instant) -> Age {
        if now < fresh_until {
            // The time that is left is worked out only where it matters: hits are counted in nanoseconds.
            let ages = !self.refresh_ahead.is_zero() && fresh_until - now <= self.refresh_ahead;
            return if ages { Age::Aging } else { Age::Fresh };
        }
        let over = now - fresh_until;
        if over < self.stale_while_refreshing {
            Age::Stale
        } else if over < self.stale_on_failure {
            Age::Old
        } else {
            Age::Gone
        }
    }

    /// Returns how long a fact can be good for anything.
    pub fn keep_for(&self) -> Duration {
        let stale = self.stale_while_refreshing.max(self.stale_on_failure);
        self.fresh_for.max(self.unknown_for) + stale
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fact_ages_in_this_order() {
        let s = Duration::from_secs;
        let freshness = Freshness {
            fresh_for: s(60),
            refresh_ahead: s(10),
            stale_while_refreshing: s(20),
            stale_on_failure: s(100),
            jitter: 0.0,
            ..Freshness::default()
        };
        let now = Instant::now();
        let fresh_until = now + freshness.span(true);
        for (second, age) in [
            (0, Age::Fresh),
            (49, Age::Fresh),
            (50, Age::Aging),
            (59, Age::Aging),
            (60, Age::Stale),
            (79, Age::Stale),
            (80, Age::Old),
            (159, Age::Old),
            (160, Age::Gone),
        ] {
            assert_eq!(freshness.age(fresh_until, now + s(second)), age, "after {second} s");
        }
        assert_eq!(freshness.keep_for(), s(160));
    }

    #[test]
    fn jitter_cuts_at_most_its_part() {
        let freshness = Freshness { jitter: 0.5, ..Freshness::default() };
        let spans: Vec<_> = (0..100).map(|_| freshness.span(true).as_secs_f64()).collect();
        assert!(spans.iter().all(|span| (30.0..=60.0).contains(span)), "{spans:?}");
        assert!(spans.iter().any(|span| span != &spans[0]));
        assert!(freshness.span(false) <= Duration::from_secs(5));
    }
}
