//! The report of a comparison.

use std::num::NonZeroUsize;

use serde::Serialize;

use super::Figures;
use super::file::Plan;
use super::rounds::Turn;
use crate::stats::{Estimate, geometric_interval, interval, median};

/// What the comparison found.
#[derive(Debug, Clone, Serialize)]
pub struct CompareReport {
    /// The title of the plan.
    pub title: String,
    /// Turns of each target under each scenario.
    pub rounds: usize,
    /// What was found under each.
    pub scenarios: Vec<ScenarioReport>,
}

/// What was found under one scenario.
#[derive(Debug, Clone, Serialize)]
pub struct ScenarioReport {
    /// The scenario.
    pub name: String,
    /// The targets that took part; ratios are to the first of them.
    pub targets: Vec<TargetReport>,
}

/// What one target reached.
#[derive(Debug, Clone, Serialize)]
pub struct TargetReport {
    /// The target.
    pub name: String,
    /// The geometric mean over the rounds; the plain one where a round had no answer.
    pub items_per_s: Estimate,
    /// The median of the rounds.
    pub items_per_s_median: f64,
    /// The median of the rounds' medians.
    pub p50_ms: Option<f64>,
    /// The median of the rounds' 99th percentiles.
    pub p99_ms: Option<f64>,
    /// The median of the rounds' goodput.
    pub good_per_s: Option<f64>,
    /// Requests and items without an output, in all rounds.
    pub errors: u64,
    /// The most memory in any round.
    pub memory_bytes: Option<u64>,
    /// The median of the times from the start to the first answer.
    pub first_answer_s: Option<f64>,
    /// The ratios to the first target; the first has none.
    pub ratios: Option<Ratios>,
    /// What each round found.
    pub turns: Vec<Figures>,
}

/// Paired ratios: the figure of this target over that of the first in the same round.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Ratios {
    /// Of the items per second: above 1 is better.
    pub items_per_s: Option<Estimate>,
    /// Of the median latencies: below 1 is better.
    pub p50: Option<Estimate>,
    /// Of the 99th percentiles: below 1 is better.
    pub p99: Option<Estimate>,
}

impl CompareReport {
    pub(super) fn new(plan: &Plan, rounds: NonZeroUsize, turns: &[Turn]) -> Self {
        let scenario = |(at, scenario): (usize, &super::Scenario)| {
            let of = |target: usize| {
                let its = turns.iter().filter(|turn| (turn.scenario, turn.target) == (at, target));
                its.map(|turn| turn.figures.clone()).collect::<Vec<_>>()
            };
            let names = plan.targets.iter().map(|target| target.name.clone());
            let figures: Vec<(String, Vec<Figures>)> =
                names.enumerate().map(|(target, name)| (name, of(target))).collect();
            ScenarioReport { name: scenario.name.clone(), targets: targets(figures) }
        };
        let scenarios = plan.scenarios.iter().enumerate().map(scenario).collect();
        Self { title: plan.title.clone(), rounds: rounds.get(), scenarios }
    }

    /// Returns whether every target answered something in every turn.
    pub fn passed(&self) -> bool {
        let turns =
            self.scenarios.iter().flat_map(|scenario| &scenario.targets).flat_map(|target| &target.turns);
        turns.into_iter().all(|turn| turn.items_per_s > 0.0)
    }
}

/// Returns the reports of the targets that had a turn, each against the first.
fn targets(figures: Vec<(String, Vec<Figures>)>) -> Vec<TargetReport> {
    let mut reports: Vec<TargetReport> = Vec::new();
    for (name, turns) in figures {
        let ratios = reports.first().map(|first| Ratios::new(&turns, &first.turns));
        reports.extend(TargetReport::new(name, turns, ratios));
    }
    reports
}

impl TargetReport {
    /// Returns the report; `None` without turns.
    fn new(name: String, turns: Vec<Figures>, ratios: Option<Ratios>) -> Option<Self> {
        let all = |figure: fn(&Figures) -> Option<f64>| turns.iter().filter_map(figure).collect::<Vec<f64>>();
        let speeds = all(|turn| Some(turn.items_per_s));
        Some(Self {
            name,
            items_per_s: geometric_interval(&speeds).or_else(|| interval(&speeds))?,
            items_per_s_median: median(&speeds)?,
            p50_ms: median(&all(|turn| turn.p50_ms)),
            p99_ms: median(&all(|turn| turn.p99_ms)),
            good_per_s: median(&all(|turn| turn.good_per_s)),
            errors: turns.iter().map(|turn| turn.errors).sum(),
            memory_bytes: turns.iter().filter_map(|turn| turn.memory_bytes).max(),
            first_answer_s: median(&all(|turn| turn.first_answer_s)),
            ratios,
            turns,
        })
    }
}

impl Ratios {
    fn new(turns: &[Figures], first: &[Figures]) -> Self {
        let of = |figure: fn(&Figures) -> Option<f64>| {
            let pairs = turns.iter().zip(first);
            let ratios = pairs.map(|(turn, first)| Some(figure(turn)? / figure(first)?));
            geometric_interval(&ratios.collect::<Option<Vec<f64>>>()?)
        };
        Self {
            items_per_s: of(|turn| Some(turn.items_per_s)),
            p50: of(|turn| turn.p50_ms),
            p99: of(|turn| turn.p99_ms),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn(items_per_s: f64, p50_ms: f64) -> Figures {
        Figures {
            items_per_s,
            p50_ms: Some(p50_ms),
            p99_ms: None,
            good_per_s: None,
            errors: 1,
            memory_bytes: Some(items_per_s as u64),
            first_answer_s: None,
        }
    }

    #[test]
    fn ratios_are_of_the_same_round() {
        // The machine was half as fast in the second round; the ratio was 2 in both.
        let first = vec![turn(100.0, 10.0), turn(50.0, 20.0)];
        let second = vec![turn(200.0, 5.0), turn(100.0, 10.0)];
        let figures =
            vec![("a".to_owned(), first), ("none".to_owned(), Vec::new()), ("b".to_owned(), second)];
        let [a, b] = &targets(figures)[..] else { panic!() };
        assert_eq!((a.ratios, a.items_per_s_median, a.errors, a.memory_bytes), (None, 75.0, 2, Some(100)));
        let ratios = b.ratios.unwrap();
        let close = |estimate: Option<Estimate>, expected: f64| {
            let Estimate { mean, low, high } = estimate.unwrap();
            assert!([mean, low, high].iter().all(|end| (end - expected).abs() < 1e-9), "{mean} {low} {high}");
        };
        close(ratios.items_per_s, 2.0);
        close(ratios.p50, 0.5);
        assert_eq!(ratios.p99, None);
    }
}
