//! A report for a person: rows of a name and a value, the values under each other.

use std::fmt;

use crate::Failures;

/// The rows of a report.
#[derive(Default)]
pub(crate) struct Table {
    rows: Vec<(String, String)>,
}

impl Table {
    pub(crate) fn row(&mut self, name: impl Into<String>, value: &dyn fmt::Display) {
        self.rows.push((name.into(), value.to_string()));
    }

    /// Adds a row for each kind of failure.
    pub(crate) fn failures(&mut self, failures: &Failures) {
        self.row("errors", &failures.total());
        for (kind, count) in failures.iter() {
            self.row(format!("  {kind}"), &format!("{} (first: {})", count.count, count.example));
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
        for (name, value) in &self.rows {
            writeln!(f, "{name:width$}  {value}")?;
        }
        Ok(())
    }
}
