//! What the cases found, as a table and as JSON.

use std::fmt;

use serde::Serialize;

use crate::stats::median;
use crate::table::Table;

/// All cases that ran.
#[derive(Debug, Clone, Serialize)]
pub struct LookupsReport {
    /// How often the short ones ran.
    pub rounds: usize,
    /// One row a case.
    pub rows: Vec<Row>,
}

/// One case.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Row {
    /// Its name.
    pub case: &'static str,
    /// What was to be reached.
    pub goal: String,
    /// Whether it was; `None` where the case could not be run here.
    pub reached: Option<bool>,
    /// What was measured: ours first, then the rivals.
    pub figures: Vec<Figure>,
}

/// A number and its spread.
#[derive(Debug, Clone, Serialize)]
pub struct Figure {
    /// What it is.
    pub name: String,
    /// Its unit.
    pub unit: &'static str,
    /// The middle of the samples.
    pub median: f64,
    /// The least of them.
    pub least: f64,
    /// The largest of them.
    pub most: f64,
    /// How many there are.
    pub samples: usize,
}

impl Figure {
    pub(super) fn new(name: impl Into<String>, unit: &'static str, samples: &[f64]) -> Self {
        let least = samples.iter().copied().fold(f64::INFINITY, f64::min);
        let most = samples.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let middle = median(samples).unwrap_or(f64::NAN);
        Self { name: name.into(), unit, median: middle, least, most, samples: samples.len() }
    }

    pub(super) fn one(name: impl Into<String>, unit: &'static str, sample: f64) -> Self {
        Self::new(name, unit, &[sample])
    }
}

impl LookupsReport {
    /// Returns whether every case that ran reached its goal.
    pub fn passed(&self) -> bool {
        self.rows.iter().all(|row| row.reached != Some(false))
    }
}

impl fmt::Display for LookupsReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for row in &self.rows {
            let reached = match row.reached {
                Some(true) => "reached",
                Some(false) => "MISSED",
                None => "not run",
            };
            writeln!(f, "{}: {reached}", row.case)?;
            let mut table = Table::default();
            table.row("  goal", &row.goal);
            for figure in &row.figures {
                table.row(format!("  {}", figure.name), figure);
            }
            writeln!(f, "{table}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { unit, median, least, most, samples, .. } = self;
        // Three digits are as many as a shared machine is worth.
        let digits = if *median >= 100.0 || median.fract() == 0.0 { 0 } else { 3 };
        write!(f, "{median:.digits$} {unit}")?;
        if *samples > 1 {
            write!(f, " ({least:.digits$} to {most:.digits$}, {samples} samples)")?;
        }
        Ok(())
    }
}
