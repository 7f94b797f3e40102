//! Successive halving: the better half goes on, with twice the time.

use std::cmp::Ordering;
use std::num::NonZeroUsize;
use std::time::Duration;

use super::{Candidate, Measured};

/// Measures candidates until one is left, and returns what was measured in each rung; the last one's first is best.
///
/// In each rung all are measured twice, there and back: what slows the machine down meanwhile falls on all alike.
/// `measure` gets the number of clients to begin with: from the second rung on, half of what was best before.
pub(super) fn run<E>(
    candidates: Vec<Candidate>,
    mut duration: Duration,
    mut measure: impl FnMut(Candidate, NonZeroUsize, Duration) -> Result<Measured, E>,
) -> Result<Vec<Vec<Measured>>, E> {
    let mut rungs: Vec<Vec<Measured>> = Vec::new();
    let mut left: Vec<(Candidate, NonZeroUsize)> =
        candidates.into_iter().map(|candidate| (candidate, NonZeroUsize::MIN)).collect();
    loop {
        let mut take = |(candidate, from): &(Candidate, NonZeroUsize)| measure(*candidate, *from, duration);
        let there = left.iter().map(&mut take).collect::<Result<Vec<_>, E>>()?;
        let back = left.iter().rev().map(&mut take).collect::<Result<Vec<_>, E>>()?;
        let mut rung: Vec<Measured> =
            there.iter().zip(back.iter().rev()).map(|(one, other)| both(one, other)).collect();
        rung.sort_by(better_first);
        let half = rung.len().div_ceil(2);
        left =
            rung.iter().take(half).map(|measured| (measured.candidate, half_of(measured.clients))).collect();
        let done = rung.len() <= 2;
        rungs.push(rung);
        if done {
            return Ok(rungs);
        }
        duration *= 2;
    }
}

/// Returns what both measurements of a candidate say together: it meets the goal when it did each time.
fn both(one: &Measured, other: &Measured) -> Measured {
    let faster = if one.items_per_s >= other.items_per_s { one } else { other };
    Measured {
        items_per_s: (one.items_per_s * other.items_per_s).sqrt(),
        p99_ms: one.p99_ms.max(other.p99_ms),
        within_goal: one.within_goal && other.within_goal,
        ..*faster
    }
}

/// Those within the goal come first, the fastest of them before all; of those beyond it, the nearest.
fn better_first(one: &Measured, other: &Measured) -> Ordering {
    let by_speed = || other.items_per_s.total_cmp(&one.items_per_s);
    let by_latency = || one.p99_ms.total_cmp(&other.p99_ms);
    let by_merit = || if one.within_goal { by_speed() } else { by_latency() };
    other.within_goal.cmp(&one.within_goal).then_with(by_merit)
}

fn half_of(clients: usize) -> NonZeroUsize {
    NonZeroUsize::new(clients / 2).unwrap_or(NonZeroUsize::MIN)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    fn candidate(budget: usize) -> Candidate {
        Candidate { runners: 1, intra_op_threads: 1, wide_threads: 1, batch_items_max: budget }
    }

    fn measured(budget: usize, items_per_s: f64, p99_ms: f64) -> Measured {
        let within_goal = p99_ms <= 100.0;
        Measured { candidate: candidate(budget), clients: 8, items_per_s, p99_ms, within_goal, seconds: 1.0 }
    }

    #[test]
    fn the_goal_comes_before_speed() {
        let mut rung = [
            measured(1, 900.0, 150.0),
            measured(2, 100.0, 50.0),
            measured(3, 999.0, 120.0),
            measured(4, 300.0, 100.0),
        ];
        rung.sort_by(better_first);
        assert_eq!(rung.map(|measured| measured.candidate.batch_items_max), [4, 2, 3, 1]);
    }

    #[test]
    fn a_candidate_is_judged_by_both_measurements() {
        let found = both(&measured(1, 400.0, 80.0), &measured(1, 100.0, 120.0));
        assert_eq!((found.items_per_s, found.p99_ms, found.within_goal), (200.0, 120.0, false));
    }

    #[test]
    fn the_better_half_goes_on_with_twice_the_time() {
        let mut runs = Vec::new();
        let candidates = (1..=5).map(candidate).collect();
        let rungs = run(candidates, Duration::from_secs(1), |candidate, from, duration| {
            let budget = candidate.batch_items_max;
            runs.push((budget, from.get(), duration.as_secs()));
            Ok::<_, Infallible>(measured(budget, budget as f64, 10.0))
        });
        let rungs = rungs.unwrap_or_default();
        let there_and_back = |budgets: &[usize], from, seconds| {
            let there = budgets.iter().chain(budgets.iter().rev());
            there.map(|budget| (*budget, from, seconds)).collect::<Vec<_>>()
        };
        let expected = [
            there_and_back(&[1, 2, 3, 4, 5], 1, 1),
            there_and_back(&[5, 4, 3], 4, 2),
            there_and_back(&[5, 4], 4, 4),
        ]
        .concat();
        assert_eq!(runs, expected);
        assert_eq!(rungs.last().unwrap()[0].candidate, candidate(5));
    }
}
