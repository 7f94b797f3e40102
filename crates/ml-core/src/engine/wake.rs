//! Whether a sleeping runner is woken for work that came, and when. It is told the time, and has no lock.
//!
//! A model of microseconds is slower when its work is spread: waking a thread, and switching to it, then costs more than
//! the work. So quick work is left to a runner that will look at the queue soon anyway; and when there is none, one is woken
//! only after whoever else is ready on the caller's thread has added theirs.

use std::time::{Duration, Instant};

/// What it takes to wake a sleeping thread and have it run, on an ordinary machine.
#[cfg(not(feature = "shuttle"))]
pub(super) const WAKE: Duration = Duration::from_micros(50);

/// Under the model checker no runner is ever late: what it tries must not depend on a clock.
#[cfg(feature = "shuttle")]
pub(super) const WAKE: Duration = Duration::from_secs(3600);

/// What to do about work that came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wake {
    /// Nothing: a runner will look soon.
    No,
    /// Wake one.
    Now,
    /// Wake one when the caller's thread has nothing else to add.
    AfterOthers,
}

/// Where the runners are.
#[derive(Debug, Default)]
pub(super) struct Roster {
    busy: usize,
    /// When the runner that took a batch last is expected back; `None` where nothing is known.
    back: Option<Instant>,
    /// When one was woken that has not looked at the queue since.
    called: Option<Instant>,
}

impl Roster {
    /// Returns how many runners have a batch.
    pub fn busy(&self) -> usize {
        self.busy
    }

    /// Decides for all that waits, which is `work` for one runner; `None` where that is not known.
    ///
    /// Nobody is woken when another one could not start before a runner that is on its way would be through with it.
    pub fn wake(&self, work: Option<Duration>, now: Instant) -> Wake {
        let Some(work) = work else { return Wake::Now };
        // A runner that is late is waited for no longer than another would take to be woken.
        let in_time = |look: Option<Instant>| look.filter(|look| *look + WAKE > now);
        let back = in_time(self.back.filter(|_| self.busy > 0));
        match [back, in_time(self.called)].into_iter().flatten().min() {
            Some(look) if look.saturating_duration_since(now) + work <= WAKE => Wake::No,
            None if work <= WAKE => Wake::AfterOthers,
            _ => Wake::Now,
        }
    }

    /// Notes that a runner was woken.
    pub fn called(&mut self, now: Instant) {
        self.called = Some(now);
    }

    /// Notes that a runner looks at the queue.
    pub fn looks(&mut self) {
        self.called = None;
    }

    /// Notes that a runner left with a batch.
    pub fn leaves(&mut self, back: Option<Instant>) {
        self.busy += 1;
        self.back = back;
    }

    /// Notes that a runner has finished its batch.
    pub fn returns(&mut self) {
        self.busy -= 1;
    }
}

#[cfg(all(test, not(feature = "shuttle")))]
mod tests {
    use super::*;

    const fn micros(micros: u64) -> Duration {
        Duration::from_micros(micros)
    }

    #[test]
    fn a_runner_is_woken_only_when_none_comes_soon_enough_by_itself() {
        let start = Instant::now();
        let now = start + micros(1000);
        let at = |micros_after: i64| Some(start + micros(u64::try_from(1000 + micros_after).unwrap_or(0)));
        let idle = || Roster::default();
        let busy = |back| Roster { busy: 1, back, called: None };
        let called = |called| Roster { busy: 0, back: at(0), called };
        for (name, roster, work, expected) in [
            ("nothing is known of the model", idle(), None, Wake::Now),
            ("all sleep, and the work is long", idle(), Some(micros(900)), Wake::Now),
            ("all sleep, and the work is quick", idle(), Some(micros(5)), Wake::AfterOthers),
            ("one is back soon, and the work is quick", busy(at(20)), Some(micros(5)), Wake::No),
            ("one is back soon, but the work is long", busy(at(20)), Some(micros(40)), Wake::Now),
            ("one is back late", busy(at(60)), Some(micros(5)), Wake::Now),
            ("one should be back by now", busy(at(-40)), Some(micros(5)), Wake::No),
            ("one should have been back long ago", busy(at(-60)), Some(micros(5)), Wake::AfterOthers),
            ("one is expected at no known time", busy(None), Some(micros(5)), Wake::AfterOthers),
            ("one was woken", called(at(-10)), Some(micros(5)), Wake::No),
            ("one was woken, but the work is long", called(at(-10)), Some(micros(60)), Wake::Now),
            ("one was woken, and does not come", called(at(-60)), Some(micros(5)), Wake::AfterOthers),
        ] {
            assert_eq!(roster.wake(work, now), expected, "{name}");
        }
    }

    #[test]
    fn a_runner_that_looks_is_no_longer_waited_for() {
        let now = Instant::now();
        let mut roster = Roster::default();
        roster.called(now);
        assert_eq!(roster.wake(Some(micros(5)), now), Wake::No);
        roster.looks();
        assert_eq!(roster.wake(Some(micros(5)), now), Wake::AfterOthers);
        roster.leaves(Some(now));
        assert_eq!((roster.busy(), roster.wake(Some(micros(5)), now)), (1, Wake::No));
        roster.returns();
        assert_eq!((roster.busy(), roster.wake(Some(micros(5)), now)), (0, Wake::AfterOthers));
    }
}
