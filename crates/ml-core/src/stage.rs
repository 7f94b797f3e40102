//! The stages of an item's path: one word each, used for methods, spans, metrics and headers alike.

use std::fmt;
use std::time::Duration;

use crate::LookupCounts;

/// A stage between the caller's item and the caller's answer, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Checks the item.
    Validate,
    /// Fetches the external facts that the item names.
    Lookup,
    /// Makes features from the item.
    Clean,
    /// Waits for a runner.
    Queue,
    /// Runs the model.
    Predict,
    /// Makes the output from the prediction.
    Format,
}

impl Stage {
    /// All stages, in the order of the path.
    pub const ALL: [Self; 6] =
        [Self::Validate, Self::Lookup, Self::Clean, Self::Queue, Self::Predict, Self::Format];

    /// Returns the stage's word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Validate => "validate",
            Self::Lookup => "lookup",
            Self::Clean => "clean",
            Self::Queue => "queue",
            Self::Predict => "predict",
            Self::Format => "format",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How long one call spent in each stage.
///
/// Queue and predict are those of the call's slowest item, since the items of a call wait side by side.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Timings {
    stages: [Duration; Stage::ALL.len()],
    lookups: LookupCounts,
}

impl Timings {
    /// Returns the time spent in `stage`.
    pub fn get(&self, stage: Stage) -> Duration {
        self.stages[stage as usize]
    }

    /// Returns every stage with its time, in the order of the path.
    pub fn iter(&self) -> impl Iterator<Item = (Stage, Duration)> + '_ {
        Stage::ALL.into_iter().map(|stage| (stage, self.get(stage)))
    }

    /// Returns what became of the keys that the call's items named.
    pub fn lookups(&self) -> LookupCounts {
        self.lookups
    }

    pub(crate) fn looked_up(&mut self, counts: LookupCounts) {
        self.lookups.add(counts);
    }

    /// Whether every fact that the call asked for came from its source, and in time.
    pub(crate) fn facts_are_good(&self) -> bool {
        self.lookups.stale == 0 && self.lookups.failed == 0
    }

    pub(crate) fn set(&mut self, stage: Stage, time: Duration) {
        self.stages[stage as usize] = time;
    }

    pub(crate) fn raise(&mut self, stage: Stage, time: Duration) {
        self.set(stage, self.get(stage).max(time));
    }
}
