//! Load: requests are sent for a while, and throughput, latency and failures are counted.
//!
//! A request is *due* at an instant: in a closed loop when its client is free, in an open loop when the
//! arrival process says so. Latency runs from the due instant to the answer, so that a server which stalls is
//! charged for the requests that had to wait meanwhile, sent or not (no coordinated omission).

mod arrivals;
mod class;
mod drive;
mod html;
mod idle;
mod pacer;
mod pick;
mod report;
mod run;
mod sweep;
mod tally;
mod window;

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use crate::{Dataset, Error, Server};

pub use arrivals::Arrivals;
pub use idle::Idle;
pub use report::{Accounts, Latency, LatencyIntervals, LoadReport, Point};
pub use sweep::{SweepReport, sweep};
pub use tally::{Answered, Tally, Times};
pub use window::Window;

/// What load to put on which server.
#[derive(Debug, Clone)]
pub struct LoadOptions {
    /// The server under test.
    pub server: Server,
    /// The data file, sent again from its first item after its last.
    pub data: PathBuf,
    /// When requests are due.
    pub pace: Pace,
    /// Items in one request; one goes to the path for one item, more to the path for batches.
    pub batch: NonZeroUsize,
    /// The warm-up and the counted time after it.
    pub window: Window,
    /// Threads of the client.
    pub threads: NonZeroUsize,
    /// The latency up to which an answer counts as goodput.
    pub goal: Option<Goal>,
    /// The share of requests that equal one in flight.
    pub duplicates: f64,
    /// What decides which requests these are.
    pub seed: u64,
    /// Connections that are open beside the load, without a request.
    pub idle: Option<NonZeroUsize>,
    /// The server's process, whose memory is reported.
    pub pid: Option<u32>,
}

/// The latency up to which an answer is of use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Goal(pub Duration);

/// When requests are due.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pace {
    /// Closed loop: each client sends its next request when the answer to the last one came.
    Clients(NonZeroUsize),
    /// Open loop: requests arrive whether or not the server keeps up.
    Rate {
        /// Arrivals per second.
        per_second: f64,
        /// How they follow each other.
        arrivals: Arrivals,
        /// Requests in flight above which an arrival is counted as not sent.
        max_in_flight: usize,
    },
}

/// The usual number of requests in flight above which an open loop sends no more. A server that is this far
/// behind is lost, and many more would run the client out of sockets.
pub const MAX_IN_FLIGHT: usize = 10_000;

/// Puts the load on the server and reports what came of it.
///
/// # Errors
///
/// When the data, the address or the target description cannot be used, or a client thread does not start.
/// Requests that fail are no error: they are counted.
pub fn load(options: &LoadOptions) -> Result<LoadReport, Error> {
    let data = Dataset::read(std::slice::from_ref(&options.data), None)?;
    Ok(LoadReport::new(options, &run::run(options, data)?))
}
