//! The clock of lookups: the system's, and a simulated one where a test pauses tokio's.

use std::time::{Duration, Instant};

/// Returns the time. The timers of fetches go by the same clock, so both stand still together.
pub(super) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// Returns how long ago `time` was.
pub(super) fn since(time: Instant) -> Duration {
    now().saturating_duration_since(time)
}
