//! The tally of a run: which requests count, with which latency, and what the server did in each slice.

use std::time::Duration;

use hdrhistogram::Histogram;

use super::{Goal, Window};
use crate::stats::{Estimate, SLICES, interval};
use crate::{Error, Failure, FailureKind, Failures};

/// The longest latency that is told apart from longer ones.
const MAX_LATENCY: Duration = Duration::from_secs(3600);

/// Three significant digits: a quantile is off by at most 0.1 %.
const DIGITS: u8 = 3;

/// What came of the requests of a run.
///
/// Requests are counted by the instant at which they were due, so that the slowest are not lost at the end of
/// the run; throughput by the instant at which an answer came, so that a backlog does not count as done.
#[derive(Debug)]
pub struct Tally {
    window: Window,
    goal: Option<Goal>,
    /// Requests that were due in the counted time, by when something came of them.
    pub requests: u64,
    /// Requests that were due in the counted time, by when they were sent.
    pub sent: u64,
    /// How many of the sent ones equalled one in flight.
    pub duplicates: u64,
    /// How many of these were answered.
    pub answered: u64,
    /// How many got an answer with another status than 2xx.
    pub refused: u64,
    /// How many got no answer that could be understood.
    pub failed: u64,
    /// How many were not even sent.
    pub not_sent: u64,
    /// The items in the answers.
    pub items: u64,
    /// Why requests were not answered, and items of answered batches got no output.
    pub failures: Failures,
    /// From due to answered, in µs, of answered requests.
    pub latency: Histogram<u64>,
    /// From due to sent, in µs: high when the client, not the server, is the bottleneck.
    pub lateness: Histogram<u64>,
    slices: [Served; SLICES],
}

/// The instants of a request, from the start of the run.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// When it should have been sent.
    pub due: Duration,
    /// When it was sent.
    pub sent: Duration,
    /// When its answer had come.
    pub done: Duration,
}

/// A request that was answered.
#[derive(Debug, Clone, Default)]
pub struct Answered {
    /// Items that got an output.
    pub items: u64,
    /// Why the others did not.
    pub failures: Failures,
}

/// What the server did in one slice of the counted time.
#[derive(Debug, Clone, Copy, Default)]
struct Served {
    requests: u64,
    items: u64,
    /// Requests that were due in this slice and answered within the goal.
    good: u64,
}

impl Tally {
    /// Returns an empty tally.
    ///
    /// # Errors
    ///
    /// When a histogram cannot be made.
    pub fn new(window: Window, goal: Option<Goal>) -> Result<Self, Error> {
        let histogram = || Histogram::new_with_bounds(1, micros(MAX_LATENCY), DIGITS);
        Ok(Self {
            window,
            goal,
            requests: 0,
            sent: 0,
            duplicates: 0,
            answered: 0,
            refused: 0,
            failed: 0,
            not_sent: 0,
            items: 0,
            failures: Failures::default(),
            latency: histogram()?,
            lateness: histogram()?,
            slices: [Served::default(); SLICES],
        })
    }

    /// Counts a request that is being sent, apart from what comes of it, so that a lost one is noticed.
    pub fn send(&mut self, due: Duration, duplicate: bool) {
        if self.window.counts(due) {
            self.sent += 1;
            self.duplicates += u64::from(duplicate);
        }
    }

    /// Counts what came of one request.
    pub fn record(&mut self, times: Times, outcome: Result<Answered, Failure>) {
        if let (Ok(answered), Some(slice)) = (&outcome, self.window.slice(times.done)) {
            self.slices[slice].requests += 1;
            self.slices[slice].items += answered.items;
        }
        let Some(slice) = self.window.slice(times.due) else { return };
        self.requests += 1;
        self.lateness.saturating_record(micros(times.sent.saturating_sub(times.due)));
        match outcome {
            Ok(answered) => {
                self.answered += 1;
                self.items += answered.items;
                self.failures.merge(answered.failures);
                let latency = times.done.saturating_sub(times.due);
                self.latency.saturating_record(micros(latency));
                self.slices[slice].good += u64::from(self.goal.is_some_and(|goal| latency <= goal.0));
            }
            Err(failure) => self.fail(failure),
        }
    }

    /// Counts a request without an answer. Its kind alone would not do: an item of an answered batch can fail too.
    fn fail(&mut self, failure: Failure) {
        match failure.kind {
            FailureKind::Status { .. } => self.refused += 1,
            FailureKind::NotSent => self.not_sent += 1,
            FailureKind::Item { .. }
            | FailureKind::Answer
            | FailureKind::Connection
            | FailureKind::Timeout => {
                self.failed += 1;
            }
        }
        self.failures.add(failure, 1);
    }

    /// Counts all of another thread's tally here too.
    pub fn merge(&mut self, other: Self) {
        self.requests += other.requests;
        self.sent += other.sent;
        self.duplicates += other.duplicates;
        self.answered += other.answered;
        self.refused += other.refused;
        self.failed += other.failed;
        self.not_sent += other.not_sent;
        self.items += other.items;
        self.failures.merge(other.failures);
        // Both have the same bounds, so adding cannot fail.
        let _ = self.latency.add(&other.latency);
        let _ = self.lateness.add(&other.lateness);
        for (mine, theirs) in self.slices.iter_mut().zip(other.slices) {
            mine.requests += theirs.requests;
            mine.items += theirs.items;
            mine.good += theirs.good;
        }
    }

    /// Returns the answered requests per second.
    pub fn requests_per_s(&self) -> Estimate {
        self.per_s(|served| served.requests)
    }

    /// Returns the items per second.
    pub fn items_per_s(&self) -> Estimate {
        self.per_s(|served| served.items)
    }

    /// Returns the goodput: requests per second that were answered within the goal; `None` without a goal.
    pub fn good_per_s(&self) -> Option<Estimate> {
        self.goal.map(|_| self.per_s(|served| served.good))
    }

    fn per_s(&self, count: impl Fn(&Served) -> u64) -> Estimate {
        let rates = self.slices.each_ref().map(|served| count(served) as f64 / self.window.slice_s());
        // There are always slices; the estimate of none is never seen.
        let estimate = interval(&rates).unwrap_or(Estimate { mean: 0.0, low: 0.0, high: 0.0 });
        Estimate { low: estimate.low.max(0.0), ..estimate }
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    fn tally() -> Tally {
        Tally::new(Window { warm_up: ms(1000), duration: ms(10_000) }, Some(Goal(ms(100)))).unwrap()
    }

    fn answered(items: u64) -> Result<Answered, Failure> {
        Ok(Answered { items, failures: Failures::default() })
    }

    #[test]
    fn latency_runs_from_the_due_instant() {
        let mut tally = tally();
        // The server stalled for 5 s: the request was sent 4.9 s late and then answered within 100 ms.
        tally.record(Times { due: ms(2000), sent: ms(6900), done: ms(7000) }, answered(1));
        assert_eq!(tally.latency.max() / 10_000, 500);
        assert_eq!(tally.lateness.max() / 10_000, 490);
    }

    #[test]
    fn requests_count_by_due_and_throughput_by_answer() {
        let cases = [
            // due, done, requests, slice in which it counts as done
            (500, 900, 0, None),
            (900, 1100, 0, Some(0)),
            (1000, 1500, 1, Some(0)),
            (1000, 9500, 1, Some(8)),
            (10_999, 12_000, 1, None),
            (11_000, 12_000, 0, None),
        ];
        for (due, done, requests, slice) in cases {
            let mut tally = tally();
            tally.record(Times { due: ms(due), sent: ms(due), done: ms(done) }, answered(3));
            let served: Vec<_> = tally.slices.iter().map(|served| (served.requests, served.items)).collect();
            let expected: Vec<_> =
                (0..SLICES).map(|at| if Some(at) == slice { (1, 3) } else { (0, 0) }).collect();
            assert_eq!((tally.requests, tally.latency.len()), (requests, requests), "{due} to {done}");
            assert_eq!(served, expected, "{due} to {done}");
        }
    }

    #[test]
    fn goodput_is_what_was_answered_within_the_goal_of_its_due_instant() {
        let mut tally = tally();
        // Due, sent, done: in time; a hair too late; in time for whoever does not count the wait to be sent.
        for (due, sent, done) in [(1000, 1000, 1100), (2000, 2000, 2101), (3000, 3050, 3120)] {
            tally.record(Times { due: ms(due), sent: ms(sent), done: ms(done) }, answered(1));
        }
        let good = tally.good_per_s().unwrap();
        assert_eq!((good.mean, good.low), (0.1, 0.0), "no rate is below 0");
    }

    #[test]
    fn what_is_sent_is_counted_apart_from_what_comes_of_it() {
        let mut tally = tally();
        for (due, duplicate) in [(500, true), (1000, false), (2000, true), (11_000, true)] {
            tally.send(ms(due), duplicate);
        }
        assert_eq!((tally.sent, tally.duplicates, tally.requests), (2, 1, 0));
    }

    #[test]
    fn a_failure_is_a_request_without_latency() {
        let mut tally = tally();
        let failure = Failure::new(FailureKind::NotSent, "");
        tally.record(Times { due: ms(2000), sent: ms(2000), done: ms(2000) }, Err(failure));
        assert_eq!((tally.requests, tally.answered, tally.latency.len()), (1, 0, 0));
        assert_eq!(tally.failures.of(&FailureKind::NotSent), 1);
        assert_eq!(tally.requests_per_s().mean, 0.0);
    }

    #[test]
    fn tallies_of_two_threads_add_up() {
        let (mut one, mut two) = (tally(), tally());
        for due in 0..500 {
            one.record(
                Times { due: ms(1000 + due), sent: ms(1000 + due), done: ms(1001 + 2 * due) },
                answered(1),
            );
            two.record(
                Times { due: ms(1000 + due), sent: ms(1000 + due), done: ms(1501 + 2 * due) },
                answered(1),
            );
        }
        one.merge(two);
        // Latencies of 1 to 1000 ms, each once.
        for (quantile, expected) in [(0.5, 500.0), (0.9, 900.0), (0.99, 990.0), (0.999, 999.0), (1.0, 1000.0)]
        {
            let found = one.latency.value_at_quantile(quantile) as f64 / 1000.0;
            assert!((found / expected - 1.0).abs() < 0.001, "{quantile}: {found}");
        }
        assert_eq!((one.requests, one.answered, one.items), (1000, 1000, 1000));
        assert_eq!(one.requests_per_s().mean, 100.0);
    }
}
