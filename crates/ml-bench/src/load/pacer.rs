//! The pacer: a thread that hands out each arrival of an open loop when it is due.

use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::UnboundedSender;

/// A request that is due.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arrival {
    /// Its number, counted from 0.
    pub(super) number: usize,
    /// When it is due, from the start of the run.
    pub(super) due: Duration,
}

/// Hands the arrivals to the client threads in turn, each when it is due.
///
/// This is a thread of its own because the runtime's timer has a grain of 1 ms, which would be added to
/// every latency; the operating system wakes a parked thread within some tens of µs.
pub(super) fn pace(start: Instant, schedule: &[Duration], threads: &[UnboundedSender<Arrival>]) {
    for (number, due) in schedule.iter().copied().enumerate() {
        wait_until(start + due);
        // A thread that went away is noticed where its tally is missed.
        let _ = threads[number % threads.len()].send(Arrival { number, due });
    }
}

fn wait_until(instant: Instant) {
    // Parking may end early, for no reason at all.
    while let Some(left) = instant.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
        thread::park_timeout(left);
    }
}
