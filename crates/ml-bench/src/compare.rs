//! The comparison: several targets under the same loads, in interleaved rounds.
//!
//! A machine drifts: its clock, its neighbours, its memory. Measured one target after the other, the drift looks
//! like a difference between them. So every round measures every target once, in another order each time, and
//! targets are compared by the ratios within the rounds.

mod figures;
mod file;
mod order;
mod report;
mod rounds;
mod target;
mod turn;
mod view;

use std::num::NonZeroUsize;
use std::path::PathBuf;

use crate::Error;

pub use figures::Figures;
pub use file::{LimitTarget, Plan, PlanTarget, Scenario};
pub use report::{CompareReport, Ratios, TargetReport};

/// What to compare, and how often.
#[derive(Debug, Clone)]
pub struct CompareOptions {
    /// The file that lists targets and scenarios.
    pub file: PathBuf,
    /// How often each target is measured under each scenario.
    pub rounds: NonZeroUsize,
    /// The names of the targets to measure; all when empty.
    pub targets: Vec<String>,
    /// The names of the scenarios to measure under; all when empty.
    pub scenarios: Vec<String>,
}

/// Measures all targets under all scenarios in interleaved rounds.
///
/// # Errors
///
/// When the file, the data or a model cannot be used, or a server does not start. Requests that fail are no error:
/// they are counted.
pub fn compare(options: &CompareOptions) -> Result<CompareReport, Error> {
    let plan = Plan::read(&options.file)?.only(&options.targets, &options.scenarios)?;
    let turns = rounds::run(&plan, options.rounds)?;
    Ok(CompareReport::new(&plan, options.rounds, &turns))
}
