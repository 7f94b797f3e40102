//! Agreement with the reference implementation: which predictions differ, and by how much the numbers do.

use serde::Serialize;
use serde_json::Value;

use super::difference::{Difference, compare};
use super::prediction::predictions;
use crate::Place;

/// How many examples of each kind are kept: enough to see a pattern, few enough to read.
const EXAMPLES: usize = 5;

/// How the outputs of all items compare with the expected ones.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Agreement {
    /// Items that were compared.
    pub compared: u64,
    /// Items with another prediction than expected.
    pub flipped: u64,
    /// How many of these are ties: the numbers beside the prediction agree within the tolerance, so the
    /// two implementations only round to different sides.
    pub ties: u64,
    /// The first flipped predictions that are no ties.
    pub flips: Vec<Flip>,
    /// Items with a number further off than the tolerance.
    pub beyond_tolerance: u64,
    /// The largest difference of two numbers; `None` when no number was compared.
    pub worst: Option<Worst>,
    /// Places where an output has another shape or another word than expected.
    pub broken: u64,
    /// The first of these.
    pub breaks: Vec<Broken>,
}

/// A prediction that is not the expected one.
#[derive(Debug, Clone, Serialize)]
pub struct Flip {
    /// The item.
    pub place: Place,
    /// The reference's prediction.
    pub expected: String,
    /// The server's prediction.
    pub found: String,
}

/// The largest difference of two numbers.
#[derive(Debug, Clone, Serialize)]
pub struct Worst {
    /// The absolute difference.
    pub difference: f64,
    /// The JSON pointer of the number in the output.
    pub path: String,
    /// The item.
    pub place: Place,
}

/// A place where an output has another shape or another word than expected.
#[derive(Debug, Clone, Serialize)]
pub struct Broken {
    /// The item.
    pub place: Place,
    /// The JSON pointer in the output.
    pub path: String,
    /// What was expected and what was found.
    pub what: String,
}

impl Agreement {
    /// Compares the output of one more item.
    pub(super) fn add(&mut self, place: &Place, expected: &Value, found: &Value, rule: Rule<'_>) {
        self.compared += 1;
        let predictions = predictions(expected, found, rule.field);
        let difference = compare(expected, found, predictions.is_some().then_some(rule.field));
        let close = difference.largest.as_ref().is_none_or(|(gap, _)| *gap <= rule.tolerance);
        self.beyond_tolerance += u64::from(!close);
        if let Some((expected, found)) = predictions
            && expected != found
        {
            // Without a number beside it nothing shows that the prediction was a close one.
            let tie = close && difference.largest.is_some() && difference.broken.is_empty();
            self.add_flip(Flip { place: place.clone(), expected, found }, tie);
        }
        self.add_difference(place, difference);
    }

    fn add_flip(&mut self, flip: Flip, tie: bool) {
        self.flipped += 1;
        self.ties += u64::from(tie);
        if !tie && self.flips.len() < EXAMPLES {
            self.flips.push(flip);
        }
    }

    fn add_difference(&mut self, place: &Place, Difference { largest, broken }: Difference) {
        if let Some((difference, path)) = largest
            && self.worst.as_ref().is_none_or(|worst| difference > worst.difference)
        {
            self.worst = Some(Worst { difference, path, place: place.clone() });
        }
        self.broken += broken.len() as u64;
        for (path, what) in broken.into_iter().take(EXAMPLES - self.breaks.len()) {
            self.breaks.push(Broken { place: place.clone(), path, what });
        }
    }
}

/// How outputs are compared.
#[derive(Clone, Copy)]
pub(super) struct Rule<'a> {
    /// The field that is the prediction.
    pub(super) field: &'a str,
    /// How far two numbers may be apart.
    pub(super) tolerance: f64,
}
