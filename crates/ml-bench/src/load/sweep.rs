//! A sweep: the same load at several rates, or with several numbers of clients, one after the other.

use std::fmt;

use serde::Serialize;

use super::{LoadOptions, LoadReport, Pace, load};
use crate::Error;
use crate::grid::Grid;
use crate::html::Page;

/// What the runs of a sweep found; there is at least one.
#[derive(Debug, Clone, Serialize)]
pub struct SweepReport {
    /// The runs, in the order in which they were made.
    pub runs: Vec<LoadReport>,
}

/// Puts each of the loads on the server, one after the other. All answers of one have come before the next begins.
///
/// # Errors
///
/// As [`load`].
pub fn sweep(options: &LoadOptions, paces: &[Pace]) -> Result<SweepReport, Error> {
    let run = |pace: &Pace| load(&LoadOptions { pace: *pace, ..options.clone() });
    Ok(SweepReport { runs: paces.iter().map(run).collect::<Result<_, _>>()? })
}

impl SweepReport {
    /// Returns whether every run passed.
    pub fn passed(&self) -> bool {
        self.runs.iter().all(LoadReport::passed)
    }

    /// Returns the report as one HTML page with its plots in it.
    pub fn html(&self) -> String {
        let title = self.runs.first().map_or_else(String::new, |run| format!("{} at {}", run.model, run.url));
        super::html::fill(Page::new(&format!("Load: {title}")), &self.runs).finish()
    }

    pub(super) fn grid(runs: &[LoadReport]) -> Grid {
        let mut grid = Grid::new([
            "load",
            "due",
            "answered/s",
            "items/s",
            "goodput/s",
            "p50 ms",
            "p99 ms",
            "refused",
            "failed",
            "not sent",
            "unaccounted",
        ]);
        for run in runs {
            let none = || "-".to_owned();
            let ms = |value: Option<f64>| value.map_or_else(none, |ms| format!("{ms:.1}"));
            let accounts = run.accounts;
            grid.row([
                run.pace(),
                accounts.due.to_string(),
                run.requests_per_s.to_string(),
                run.items_per_s.to_string(),
                run.good_per_s.map_or_else(none, |good| good.to_string()),
                ms(run.latency_ms.map(|latency| latency.p50)),
                ms(run.latency_ms.map(|latency| latency.p99)),
                accounts.refused.to_string(),
                accounts.failed.to_string(),
                accounts.not_sent.to_string(),
                accounts.unaccounted.to_string(),
            ]);
        }
        grid
    }
}

/// One run is shown as itself, several as a table of them.
impl fmt::Display for SweepReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.runs.as_slice() {
            [run] => write!(f, "{run}"),
            runs => {
                for run in runs.iter().filter(|run| run.errors.total() > 0) {
                    let mut errors = crate::table::Table::default();
                    errors.failures(&run.errors);
                    writeln!(f, "{}\n{errors}", run.pace())?;
                }
                write!(f, "{}", Self::grid(runs))
            }
        }
    }
}
