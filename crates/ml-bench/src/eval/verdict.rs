//! The verdict of an evaluation: passed, or each reason why not.

use serde::Serialize;

use super::EvalReport;

/// How many times the tolerance the share of ties may be.
///
/// A tie has its score within the tolerance of the border between two predictions, which few items have. More of them
/// are a server that says one thing and means another: with the names of two classes exchanged all numbers agree.
const TIES_PER_TOLERANCE: f64 = 10.0;

/// What the answers must hold to.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// How far a number may be from the expected one.
    pub tolerance: f64,
    /// The least accuracy, where one is asked for.
    pub min_accuracy: Option<f64>,
}

/// Whether an evaluation passed.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Verdict {
    /// Why it did not; empty when it did.
    pub reasons: Vec<String>,
}

impl Verdict {
    /// Returns whether there is no reason against it.
    pub fn passed(&self) -> bool {
        self.reasons.is_empty()
    }

    pub(super) fn of(report: &EvalReport, limits: Limits) -> Self {
        let mut reasons = Vec::new();
        if report.answered < report.items {
            reasons.push(format!(
                "{} of {} items got no output",
                report.items - report.answered,
                report.items
            ));
        }
        agreement_reasons(report, limits.tolerance, &mut reasons);
        if let Some(least) = limits.min_accuracy {
            reasons.extend(accuracy_reason(report, least));
        }
        Self { reasons }
    }
}

fn agreement_reasons(report: &EvalReport, tolerance: f64, reasons: &mut Vec<String>) {
    let Some(agreement) = &report.agreement else { return };
    if agreement.flipped > agreement.ties {
        let wrong = agreement.flipped - agreement.ties;
        reasons.push(format!("{wrong} of {} predictions differ and are no ties", agreement.compared));
    }
    let ties_max = (agreement.compared as f64 * tolerance * TIES_PER_TOLERANCE).max(1.0);
    if agreement.ties as f64 > ties_max {
        let (ties, compared) = (agreement.ties, agreement.compared);
        reasons.push(format!(
            "{ties} of {compared} predictions differ where all numbers agree, too many for ties"
        ));
    }
    if agreement.broken > 0 {
        reasons.push(format!("{} places differ in shape or word", agreement.broken));
    }
    if let Some(worst) = agreement.worst.as_ref().filter(|worst| worst.difference > tolerance) {
        let (place, path) = (&worst.place, &worst.path);
        reasons
            .push(format!("{place} differs by {:.3e} at {path}, tolerance {tolerance:e}", worst.difference));
    }
}

fn accuracy_reason(report: &EvalReport, least: f64) -> Option<String> {
    match &report.accuracy {
        None => Some(format!("no answered item has a label, accuracy {least} was asked for")),
        Some(accuracy) if accuracy.share < least => {
            Some(format!("accuracy {:.4} is under the least of {least}", accuracy.share))
        }
        Some(_) => None,
    }
}
