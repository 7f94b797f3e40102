//! The report of tuning.

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

use super::{Measured, TuneOptions};
use crate::Error;
use crate::grid::Grid;

/// What tuning found.
#[derive(Debug, Clone, Serialize)]
pub struct TuneReport {
    /// CPUs that this process may use, and with it the server.
    pub cpus: usize,
    /// The 99th percentile of latency that answers may have.
    pub goal_p99_ms: f64,
    /// The command that starts the server.
    pub serve: String,
    /// The model's name.
    pub model: String,
    /// The data file.
    pub data: PathBuf,
    /// Items in one request.
    pub batch: usize,
    /// The best settings.
    pub best: Measured,
    /// All that was measured, rung by rung, the best first.
    pub rungs: Vec<Vec<Measured>>,
    /// Where the configuration was written.
    pub out: PathBuf,
}

impl TuneReport {
    pub(super) fn new(options: &TuneOptions, cpus: usize, rungs: Vec<Vec<Measured>>) -> Result<Self, Error> {
        let best = rungs.last().and_then(|rung| rung.first()).copied().ok_or(Error::NoCases)?;
        Ok(Self {
            cpus,
            goal_p99_ms: options.goal.as_secs_f64() * 1000.0,
            serve: options.serve.clone(),
            model: options.model.clone(),
            data: options.data.clone(),
            batch: options.batch.get(),
            best,
            rungs,
            out: options.out.clone(),
        })
    }

    /// Returns whether the best settings meet the goal.
    pub fn passed(&self) -> bool {
        self.best.within_goal
    }
}

impl fmt::Display for TuneReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut grid = Grid::new([
            "settings (runners × threads)",
            "seconds",
            "clients",
            "items/s",
            "p99 ms",
            "within the goal",
        ]);
        for measured in self.rungs.iter().flatten() {
            grid.row([
                measured.candidate.to_string(),
                measured.seconds.to_string(),
                measured.clients.to_string(),
                format!("{:.1}", measured.items_per_s),
                format!("{:.1}", measured.p99_ms),
                if measured.within_goal { "yes" } else { "no" }.to_owned(),
            ]);
        }
        let Self { best, cpus, goal_p99_ms, .. } = self;
        writeln!(f, "{cpus} CPUs, p99 within {goal_p99_ms} ms\n\n{grid}")?;
        writeln!(f, "best: {}, written to {}", best.candidate, self.out.display())?;
        if best.within_goal { Ok(()) } else { writeln!(f, "no settings met the goal; these came nearest") }
    }
}
