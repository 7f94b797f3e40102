//! A simulated source: it takes a known time, can go down, and counts what it is asked.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ml_core::{Lookup, LookupError};

/// What a fetch takes while all is well.
pub(super) const LATENCY: Duration = Duration::from_millis(20);

/// A source that answers each identifier with a number made of it. Clones are the same source.
#[derive(Clone)]
pub(super) struct Remote(Arc<State>);

struct State {
    latency: Duration,
    keys_max: usize,
    down: AtomicBool,
    fetches: AtomicU64,
}

impl Remote {
    pub fn new(latency: Duration, keys_max: usize) -> Self {
        let (down, fetches) = (AtomicBool::new(false), AtomicU64::new(0));
        Self(Arc::new(State { latency, keys_max, down, fetches }))
    }

    pub fn set_down(&self, down: bool) {
        self.0.down.store(down, Ordering::SeqCst);
    }

    pub fn fetches(&self) -> u64 {
        self.0.fetches.load(Ordering::SeqCst)
    }

    /// Fetches one value on the caller's thread, as a client without async does.
    pub fn blocking(&self, id: &str) -> f32 {
        rest(self.0.latency);
        value(id)
    }
}

impl Lookup for Remote {
    type Value = f32;

    async fn fetch_many(&self, ids: &[String]) -> Result<Vec<Option<f32>>, LookupError> {
        self.0.fetches.fetch_add(1, Ordering::SeqCst);
        if self.0.down.load(Ordering::SeqCst) {
            return Err(LookupError::retryable("connection refused"));
        }
        tokio::time::sleep(self.0.latency).await;
        Ok(ids.iter().map(|id| Some(value(id))).collect())
    }

    fn keys_per_fetch_max(&self) -> usize {
        self.0.keys_max
    }
}

/// What the source knows about an identifier.
pub(super) fn value(id: &str) -> f32 {
    id.bytes().map(f32::from).sum()
}

/// Does nothing for a while: here the time itself is what is simulated.
pub(super) fn rest(time: Duration) {
    let end = Instant::now() + time;
    while let Some(left) = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
        thread::park_timeout(left);
    }
}
