//! The report of an evaluation, as JSON and as a table.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::score::{Hits, Score};
use super::{Agreement, EvalOptions, Verdict};
use crate::table::Table;
use crate::{Failures, stats};

/// What an evaluation found.
#[derive(Debug, Clone, Serialize)]
pub struct EvalReport {
    /// The address of the server.
    pub url: String,
    /// The model's name.
    pub model: String,
    /// Items sent.
    pub items: u64,
    /// Items that got an output.
    pub answered: u64,
    /// Why the others did not.
    pub errors: Failures,
    /// The time from the first request to the last answer, in seconds.
    pub wall_s: f64,
    /// Outputs per second.
    pub items_per_s: f64,
    /// How often the server met the label; `None` when no answered item has one.
    pub accuracy: Option<Accuracy>,
    /// How often the reference met the label; `None` when no answered item has a label and an
    /// expected output.
    pub reference_accuracy: Option<Accuracy>,
    /// How the outputs compare with the expected ones; `None` when no answered item has one.
    pub agreement: Option<Agreement>,
    /// Whether all this is good enough.
    pub verdict: Verdict,
}

/// A share of right predictions.
#[derive(Debug, Clone, Serialize)]
pub struct Accuracy {
    /// Right predictions.
    pub right: u64,
    /// All predictions.
    pub count: u64,
    /// `right / count`.
    pub share: f64,
    /// The binomial standard error of the share.
    pub standard_error: f64,
}

impl EvalReport {
    pub(super) fn new(options: &EvalOptions, score: Score<'_>, wall: Duration) -> Self {
        let mut report = Self {
            url: options.server.url.clone(),
            model: options.server.model.clone(),
            items: score.items(),
            answered: score.answered,
            wall_s: wall.as_secs_f64(),
            items_per_s: score.answered as f64 / wall.as_secs_f64(),
            accuracy: Accuracy::of(&score.server),
            reference_accuracy: Accuracy::of(&score.reference),
            agreement: Some(score.agreement).filter(|agreement| agreement.compared > 0),
            errors: score.failures,
            verdict: Verdict::default(),
        };
        report.verdict = Verdict::of(&report, options.limits);
        report
    }
}

impl Accuracy {
    fn of(hits: &Hits) -> Option<Self> {
        let (right, count) = (hits.right, hits.count);
        let share = right as f64 / count as f64;
        (count > 0).then(|| Self { right, count, share, standard_error: stats::binomial_error(right, count) })
    }
}

impl fmt::Display for Accuracy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.4} ± {:.4} ({} of {})", self.share, self.standard_error, self.right, self.count)
    }
}

impl fmt::Display for EvalReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::default();
        table.row("model", &format!("{} at {}", self.model, self.url));
        table.row("items", &self.items);
        table.row("answered", &self.answered);
        table.failures(&self.errors);
        table.row("wall", &format!("{:.3} s", self.wall_s));
        table.row("items/s", &format!("{:.1}", self.items_per_s));
        if let Some(accuracy) = &self.accuracy {
            table.row("accuracy", accuracy);
        }
        if let Some(accuracy) = &self.reference_accuracy {
            table.row("reference", accuracy);
        }
        if let Some(agreement) = &self.agreement {
            agreement_rows(agreement, &mut table);
        }
        table.row("verdict", &if self.verdict.passed() { "passed" } else { "failed" });
        for reason in &self.verdict.reasons {
            table.row("", reason);
        }
        write!(f, "{table}")
    }
}

fn agreement_rows(agreement: &Agreement, table: &mut Table) {
    table.row("compared", &agreement.compared);
    table.row("other predictions", &format!("{} ({} ties)", agreement.flipped, agreement.ties));
    for flip in &agreement.flips {
        table.row("", &format!("{}: expected {}, found {}", flip.place, flip.expected, flip.found));
    }
    if let Some(worst) = &agreement.worst {
        let (difference, path, place) = (worst.difference, &worst.path, &worst.place);
        table.row("largest difference", &format!("{difference:.3e} at \"{path}\" of {place}"));
        table.row("beyond tolerance", &format!("{} items", agreement.beyond_tolerance));
    }
    table.row("other shape or word", &agreement.broken);
    for broken in &agreement.breaks {
        table.row("", &format!("{} at \"{}\": {}", broken.place, broken.path, broken.what));
    }
}
