//! Tuning: finds runners × threads × budget for this machine and a latency goal, and writes the configuration.
//!
//! The settings are searched by successive halving: all get a short run, the better half a longer one, and so on
//! until one is left. A setting's worth is the most items per second that it reaches within the goal.

mod candidate;
mod config;
mod halving;
mod ladder;
mod report;

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use crate::progress::Progress;
use crate::{Error, Target};

pub use candidate::Candidate;
pub use ladder::Measured;
pub use report::TuneReport;

/// What to tune, and for what.
#[derive(Debug, Clone)]
pub struct TuneOptions {
    /// The command that starts the server; settings and port come as `ML_SERVE_` variables.
    pub serve: String,
    /// The 99th percentile of latency that answers may have.
    pub goal: Duration,
    /// The data file.
    pub data: PathBuf,
    /// The model's name.
    pub model: String,
    /// How requests and answers look.
    pub target: Target,
    /// The path that is answered with 2xx once the server is ready.
    pub ready: String,
    /// Items in one request.
    pub batch: NonZeroUsize,
    /// The budgets to try: most items in one run of the model.
    pub budgets: Vec<NonZeroUsize>,
    /// The most clients to try.
    pub clients_max: NonZeroUsize,
    /// The counted time of the first runs; each halving doubles it.
    pub duration: Duration,
    /// Where the configuration is written.
    pub out: PathBuf,
}

/// Finds the best settings and writes them.
///
/// # Errors
///
/// When the server does not start, the data cannot be used, or the configuration cannot be written.
pub fn tune(options: &TuneOptions) -> Result<TuneReport, Error> {
    let cpus = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let candidates = Candidate::all(cpus, &options.budgets);
    let progress = Progress::new();
    let rungs = halving::run(candidates, options.duration, |candidate, from, duration| {
        progress.note(&format!("{candidate}, {} s a run", duration.as_secs_f64()));
        ladder::climb(options, candidate, from, duration)
    })?;
    let report = TuneReport::new(options, cpus, rungs)?;
    let text = config::text(&report, &config::today());
    std::fs::write(&options.out, text)
        .map_err(|source| Error::Write { path: options.out.clone(), source })?;
    Ok(report)
}
