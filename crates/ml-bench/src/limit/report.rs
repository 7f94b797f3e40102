//! The report of the limit.

use std::fmt;
use std::num::NonZeroUsize;

use serde::Serialize;

use super::{AloneReport, Case, Workload};
use crate::grid::Grid;
use crate::html::Page;
use crate::plot::Bars;
use crate::stats::{Estimate, geometric_interval};
use crate::table::Table;

/// What the bare loops found.
#[derive(Debug, Clone, Serialize)]
pub struct LimitReport {
    /// The model's file.
    pub model: String,
    /// What ran it.
    pub runtime: String,
    /// Whether it ran the optimised copy, with operators of ours.
    pub optimised_copy: bool,
    /// Items in one pass.
    pub items: usize,
    /// Passes of each combination.
    pub rounds: usize,
    /// All combinations.
    pub cases: Vec<CaseReport>,
    /// Which of them has the most items per second.
    pub best: Option<CaseReport>,
    /// One item alone, where it was asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub alone: Vec<AloneReport>,
}

/// What one combination reached.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct CaseReport {
    /// The combination.
    #[serde(flatten)]
    pub case: Case,
    /// The geometric mean over the rounds.
    pub items_per_s: Estimate,
    /// The ratio to the best, paired within the rounds.
    pub ratio: Estimate,
}

impl LimitReport {
    pub(super) fn new(
        workload: &Workload,
        runtime: &str,
        items: usize,
        rounds: NonZeroUsize,
        cases: Vec<(Case, Vec<f64>)>,
        alone: Vec<AloneReport>,
    ) -> Self {
        let cases = reports(cases);
        let best = best(&cases);
        Self {
            model: workload.model.display().to_string(),
            runtime: runtime.to_owned(),
            optimised_copy: workload.optimised_copy,
            items,
            rounds: rounds.get(),
            cases,
            best,
            alone,
        }
    }

    /// Returns the report as one HTML page.
    pub fn html(&self) -> String {
        let bars = self.cases.iter().map(|report| (report.case.to_string(), report.items_per_s));
        let page = Page::new(&format!("Limit: {}", self.model))
            .paragraph(&self.summary())
            .grid(&self.grid())
            .bars(&Bars::new("Items per second, with 95 % intervals", bars.collect()));
        let page = if self.alone.is_empty() {
            page
        } else {
            page.heading("One item alone").grid(&self.alone_grid())
        };
        page.finish()
    }

    fn summary(&self) -> String {
        let (runtime, items, rounds) = (&self.runtime, self.items, self.rounds);
        format!("{runtime}, {items} items a pass, {rounds} interleaved rounds, 95 % intervals in brackets")
    }

    fn grid(&self) -> Grid {
        let mut grid = Grid::new(["order", "sessions", "threads", "batch", "items/s", "ratio to the best"]);
        for CaseReport { case, items_per_s, ratio } in &self.cases {
            let (sessions, threads) = (case.width.sessions, case.width.threads);
            grid.row([
                case.order.to_string(),
                sessions.to_string(),
                threads.to_string(),
                case.batch.to_string(),
                items_per_s.to_string(),
                format!("{ratio:.2}"),
            ]);
        }
        grid
    }

    fn alone_grid(&self) -> Grid {
        let mut grid = Grid::new(["threads", "p50 ms", "p99 ms"]);
        for AloneReport { threads, latency_ms } in &self.alone {
            if let Some(latency) = latency_ms {
                grid.row([threads.to_string(), format!("{:.2}", latency.p50), format!("{:.2}", latency.p99)]);
            }
        }
        grid
    }
}

/// Returns the report of each case, with its ratio to the best in the same round.
fn reports(cases: Vec<(Case, Vec<f64>)>) -> Vec<CaseReport> {
    let mean = |speeds: &[f64]| geometric_interval(speeds).map_or(0.0, |estimate| estimate.mean);
    let best = cases.iter().max_by(|(_, one), (_, other)| mean(one).total_cmp(&mean(other)));
    let best = best.map_or_else(Vec::new, |(_, speeds)| speeds.clone());
    let report = |(case, speeds): (Case, Vec<f64>)| {
        let ratios: Vec<f64> = speeds.iter().zip(&best).map(|(speed, best)| speed / best).collect();
        Some(CaseReport {
            case,
            items_per_s: geometric_interval(&speeds)?,
            ratio: geometric_interval(&ratios)?,
        })
    };
    cases.into_iter().filter_map(report).collect()
}

fn best(cases: &[CaseReport]) -> Option<CaseReport> {
    cases.iter().copied().max_by(|one, other| one.items_per_s.mean.total_cmp(&other.items_per_s.mean))
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, batch {}, {}", self.width, self.batch, self.order)
    }
}

impl fmt::Display for LimitReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{}\n\n{}", self.model, self.summary(), self.grid())?;
        if !self.alone.is_empty() {
            write!(f, "\none item alone\n{}", self.alone_grid())?;
        }
        let Some(best) = self.best else { return Ok(()) };
        let mut table = Table::default();
        table.row("best", &format!("{} items/s with {} (sessions × threads)", best.items_per_s, best.case));
        write!(f, "\n{table}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limit::{Order, Width};

    #[test]
    fn the_best_has_the_highest_geometric_mean_and_ratios_are_paired() {
        let one = NonZeroUsize::MIN;
        let case = Case { width: Width { sessions: one, threads: one }, batch: one, order: Order::Sorted };
        // The second round was ten times slower; the arithmetic mean of the first case is higher.
        let reports = reports(vec![(case, vec![110.0, 5.0]), (case, vec![100.0, 10.0])]);
        let [first, second] = &reports[..] else { panic!() };
        assert_eq!(best(&reports), Some(*second));
        assert!((second.ratio.mean - 1.0).abs() < 1e-9 && (first.ratio.mean - 0.55_f64.sqrt()).abs() < 1e-9);
    }
}
