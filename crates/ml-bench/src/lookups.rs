//! What external lookups cost, and what an outage of theirs does: each case with its goal, in one run.
//!
//! The source is simulated, so that its latency is known: a fetch takes 20 ms, of one key or of many. Rivals are what
//! people write by hand: a loop, a pool of 5 threads, a memo without expiry.

mod batch;
mod down;
mod hit;
mod redis;
mod remote;
mod report;
mod scoring;
mod slow;
mod stampede;
mod warm;

use std::num::NonZeroUsize;
use std::time::Duration;

use crate::Error;

pub use report::{Figure, LookupsReport, Row};

/// Which cases to run, and how long.
#[derive(Debug, Clone)]
pub struct LookupsOptions {
    /// How often each case of a few seconds runs.
    pub rounds: NonZeroUsize,
    /// How long the source is down.
    pub outage: Duration,
    /// Runs only the cases with this in their name.
    pub only: Option<String>,
}

/// A case: its name, and what runs it.
type Case = (&'static str, fn(&LookupsOptions) -> Result<Row, Error>);

const CASES: [Case; 8] = [
    ("256 items, 64 keys, one key a fetch", batch::one_key),
    ("256 items, 64 keys, many keys a fetch", batch::many_keys),
    ("256 items, warm cache", warm::run),
    ("10,000 requests for one cold key", stampede::run),
    ("hit cost", hit::run),
    ("source down, stale values allowed", down::run),
    ("source 10 x slower, no stale values", slow::run),
    ("Redis killed and restarted", redis::run),
];

/// Runs the cases one after the other.
///
/// # Errors
///
/// When a case could not be run.
pub fn lookups(options: &LookupsOptions) -> Result<LookupsReport, Error> {
    let wanted = |name: &str| options.only.as_deref().is_none_or(|only| name.contains(only));
    let cases = CASES.iter().filter(|(name, _)| wanted(name));
    let rows =
        cases.map(|(name, run)| Ok(Row { case: name, ..run(options)? })).collect::<Result<_, Error>>()?;
    Ok(LookupsReport { rounds: options.rounds.get(), rows })
}
