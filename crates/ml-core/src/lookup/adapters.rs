//! Sources made of functions: an async one of one identifier, and one that blocks its thread.

use std::future::Future;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

use futures_util::future::try_join_all;
use rayon::{ThreadPool, ThreadPoolBuilder};
use tokio::sync::oneshot;

use super::{Lookup, LookupError};

/// Makes a source of an async function that knows one identifier at a time.
///
/// ```
/// use ml_core::{Engine, LookupError, Source, each};
///
/// let price = each(|sku: String| async move {
///     if sku.is_empty() { Err(LookupError::new("no article number")) } else { Ok(Some(sku.len() as f64)) }
/// });
/// let source = Source::new(price).concurrency(8);
/// # drop(source);
/// ```
pub fn each<V, F, R>(fetch: F) -> Each<F>
where
    V: Send + Sync + 'static,
    F: Fn(String) -> R + Send + Sync + 'static,
    R: Future<Output = Result<Option<V>, LookupError>> + Send + 'static,
{
    Each { fetch }
}

/// See [`each`].
pub struct Each<F> {
    fetch: F,
}

impl<V, F, R> Lookup for Each<F>
where
    V: Send + Sync + 'static,
    F: Fn(String) -> R + Send + Sync + 'static,
    R: Future<Output = Result<Option<V>, LookupError>> + Send + 'static,
{
    type Value = V;

    async fn fetch_many(&self, ids: &[String]) -> Result<Vec<Option<V>>, LookupError> {
        try_join_all(ids.iter().map(|id| (self.fetch)(id.clone()))).await
    }

    fn keys_per_fetch_max(&self) -> usize {
        1
    }
}

/// Makes a source of a function that blocks its thread: it gets `threads` threads of its own, at least 1.
///
/// More concurrency than threads only makes fetches wait inside their budget: set both alike.
///
/// ```
/// use ml_core::{LookupError, Source, blocking};
///
/// let lines = blocking(4, |path: &str| std::fs::read_to_string(path).map(Some).map_err(LookupError::new))?;
/// let source = Source::new(lines).concurrency(4);
/// # drop(source);
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
/// When the system gives no threads.
pub fn blocking<V, F>(threads: usize, fetch: F) -> io::Result<Blocking<F>>
where
    V: Send + Sync + 'static,
    F: Fn(&str) -> Result<Option<V>, LookupError> + Send + Sync + 'static,
{
    let pool = ThreadPoolBuilder::new()
        .num_threads(threads.max(1))
        .thread_name(|index| format!("lookup-blocking-{index}"))
        .build()
        .map_err(io::Error::other)?;
    Ok(Blocking { pool, fetch: Arc::new(fetch) })
}

/// See [`blocking`].
pub struct Blocking<F> {
    pool: ThreadPool,
    fetch: Arc<F>,
}

impl<V, F> Lookup for Blocking<F>
where
    V: Send + Sync + 'static,
    F: Fn(&str) -> Result<Option<V>, LookupError> + Send + Sync + 'static,
{
    type Value = V;

    async fn fetch_many(&self, ids: &[String]) -> Result<Vec<Option<V>>, LookupError> {
        try_join_all(ids.iter().map(|id| self.one(id.clone()))).await
    }

    fn keys_per_fetch_max(&self) -> usize {
        1
    }
}

impl<V, F> Blocking<F>
where
    V: Send + Sync + 'static,
    F: Fn(&str) -> Result<Option<V>, LookupError> + Send + Sync + 'static,
{
    async fn one(&self, id: String) -> Result<Option<V>, LookupError> {
        let (sender, receiver) = oneshot::channel();
        let fetch = Arc::clone(&self.fetch);
        self.pool.spawn(move || {
            // A fetch that was given up while it waited for a thread is not begun.
            if sender.is_closed() {
                return;
            }
            let fetched = catch_unwind(AssertUnwindSafe(|| fetch(&id)));
            drop(sender.send(fetched)); // Whoever waited may have left meanwhile.
        });
        match receiver.await {
            Ok(Ok(fetched)) => fetched,
            // Whatever panics in a fetch is caught in one place, which this thread is not.
            Ok(Err(panic)) => resume_unwind(panic),
            Err(_) => Err(LookupError::new("the threads of this source have ended")),
        }
    }
}
