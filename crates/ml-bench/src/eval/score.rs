//! The running score of an evaluation: answers, failures, accuracy and agreement, batch by batch.

use serde_json::Value;

use super::agreement::{Agreement, Rule};
use super::prediction::prediction;
use crate::{Failure, Failures, Line};

/// What the answers so far add up to.
pub(super) struct Score<'a> {
    rule: Rule<'a>,
    pub(super) answered: u64,
    pub(super) failures: Failures,
    pub(super) server: Hits,
    pub(super) reference: Hits,
    pub(super) agreement: Agreement,
}

/// Predictions that met the truth, of those that could.
#[derive(Default)]
pub(super) struct Hits {
    pub(super) right: u64,
    pub(super) count: u64,
}

impl<'a> Score<'a> {
    pub(super) fn new(field: &'a str, tolerance: f64) -> Self {
        Self {
            rule: Rule { field, tolerance },
            answered: 0,
            failures: Failures::default(),
            server: Hits::default(),
            reference: Hits::default(),
            agreement: Agreement::default(),
        }
    }

    /// Returns how many items were sent.
    pub(super) fn items(&self) -> u64 {
        self.answered + self.failures.total()
    }

    /// Adds what was answered to a batch. A failure of the call is a failure of each of its items.
    pub(super) fn add_batch(
        &mut self,
        lines: &[Line],
        answers: Result<Vec<Result<Value, Failure>>, Failure>,
    ) {
        match answers {
            Err(failure) => self.failures.add(failure, lines.len() as u64),
            Ok(answers) => lines.iter().zip(answers).for_each(|(line, answer)| self.add(line, answer)),
        }
    }

    fn add(&mut self, line: &Line, answer: Result<Value, Failure>) {
        match answer {
            Ok(output) => self.add_output(line, &output),
            Err(failure) => {
                let detail = format!("{}: {}", line.place, failure.detail);
                self.failures.add(Failure { kind: failure.kind, detail }, 1);
            }
        }
    }

    /// The reference is scored on answered items only, so that both accuracies are of the same items.
    fn add_output(&mut self, line: &Line, output: &Value) {
        self.answered += 1;
        if let (Some(label), Some(expected)) = (&line.label, &line.expected) {
            self.reference.add(prediction(expected, self.rule.field).as_ref() == Some(label));
        }
        if let Some(label) = &line.label {
            self.server.add(prediction(output, self.rule.field).as_ref() == Some(label));
        }
        if let Some(expected) = &line.expected {
            self.agreement.add(&line.place, expected, output, self.rule);
        }
    }
}

impl Hits {
    fn add(&mut self, right: bool) {
        self.count += 1;
        self.right += u64::from(right);
    }
}
