//! Where fetches run: two threads of the engine's own, so that a caller needs no runtime, and may leave.

use std::future::Future;
use std::io;
use std::time::Instant;

use tokio::runtime::{Builder, Handle, Runtime};

/// One thread could be held by a fetch that works instead of waiting, and deadlines would pass unseen.
const THREADS: usize = 2;

/// The runtime of an engine's fetches and timers. They end when it is dropped.
pub(super) struct Background {
    /// None only while it is being dropped.
    runtime: Option<Runtime>,
    handle: Handle,
}

impl Background {
    pub fn start() -> io::Result<Self> {
        let runtime =
            Builder::new_multi_thread().worker_threads(THREADS).thread_name("lookup").enable_all().build()?;
        Ok(Self { handle: runtime.handle().clone(), runtime: Some(runtime) })
    }

    pub fn handle(&self) -> &Handle {
        &self.handle
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // The last engine may be dropped in async code, where waiting for the threads is not allowed.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Returns a timer that any executor can await; the runtime of `handle` keeps it.
pub(super) fn until(handle: &Handle, time: Instant) -> impl Future<Output = ()> + Send + 'static {
    let _entered = handle.enter();
    tokio::time::sleep_until(time.into())
}
