//! One fetch from a source: within its budget, repeated where that may help, and not at all while the source is down.

use std::panic::AssertUnwindSafe;

use backon::Retryable;
use futures_util::FutureExt;
use futures_util::future::{Either, select};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use crate::engine::panic_message;

use super::breaker::Breaker;
use super::clock;
use super::hedge::Hedge;
use super::source::Policy;
use super::stats::Stats;
use super::{FetchedEach, Lookup, LookupError};

/// Fetches from one source.
pub(super) struct Fetcher<L: Lookup> {
    lookup: L,
    pub breaker: Breaker,
    hedge: Option<Hedge>,
    /// What is out at the source, hedges included.
    out: Semaphore,
    stats: Stats,
}

impl<L: Lookup> Fetcher<L> {
    pub fn new(lookup: L, policy: &Policy<L::Value>, stats: &Stats) -> Self {
        Self {
            lookup,
            breaker: Breaker::new(policy.breaker, stats.breaker.clone()),
            hedge: policy.hedges.then(Hedge::default),
            out: Semaphore::new(policy.concurrency.min(Semaphore::MAX_PERMITS)),
            stats: stats.clone(),
        }
    }

    /// Fetches one value for each of `ids`.
    pub async fn fetch(&self, ids: &[String], policy: &Policy<L::Value>) -> FetchedEach<L::Value> {
        let started = clock::now();
        // The source went down while these keys waited: that is no fetch, and took no time.
        if !self.breaker.admits(started) {
            self.stats.refused.inc_by(ids.len() as u64);
            return Err(down());
        }
        let repeated = (|| self.attempt(ids))
            .retry(policy.retry.waits())
            .when(|error: &LookupError| error.retryable)
            .notify(|_, _| {
                self.stats.retries.inc();
            });
        let fetched = timeout(policy.budget, repeated).await.unwrap_or_else(|_| Err(over_budget(policy)));
        self.stats.load.observe(clock::since(started).as_secs_f64());
        fetched.inspect_err(|error| {
            self.stats.fetches_failed.inc();
            tracing::debug!(%error, keys = ids.len(), "a fetch failed");
        })
    }

    async fn attempt(&self, ids: &[String]) -> FetchedEach<L::Value> {
        let permit = self.breaker.admit(clock::now()).ok_or_else(down)?;
        let values = self.hedged(ids).await?;
        if values.len() != ids.len() {
            let (got, asked) = (values.len(), ids.len());
            return Err(LookupError::new(format!("{got} values for {asked} keys")));
        }
        permit.succeeded();
        Ok(values)
    }

    /// Asks the source, and once more where that takes longer than it should; the first good answer is taken.
    async fn hedged(&self, ids: &[String]) -> FetchedEach<L::Value> {
        let Some(hedge) = &self.hedge else { return self.once(ids).await };
        let started = clock::now();
        let mut first = Box::pin(self.once(ids));
        let fetched = match hedge.after() {
            None => first.await,
            Some(after) => match select(&mut first, Box::pin(sleep(after))).await {
                Either::Left((fetched, _)) => fetched,
                Either::Right(_) if self.out.available_permits() > 0 && hedge.take() => {
                    self.stats.hedges.inc();
                    match select(first, Box::pin(self.once(ids))).await {
                        Either::Left((Err(_), second)) => second.await,
                        Either::Right((Err(_), first)) => first.await,
                        Either::Left((fetched, _)) | Either::Right((fetched, _)) => fetched,
                    }
                }
                Either::Right(_) => first.await,
            },
        };
        hedge.observe(clock::since(started));
        fetched
    }

    /// Asks the source once; a panic there is an error like any other.
    async fn once(&self, ids: &[String]) -> FetchedEach<L::Value> {
        let _out = self.out.acquire().await.map_err(LookupError::new)?;
        self.stats.fetches.inc();
        let asked = async { self.lookup.fetch_each(ids).await };
        AssertUnwindSafe(asked).catch_unwind().await.unwrap_or_else(|panic| {
            Err(LookupError::new(format!("the source panicked: {}", panic_message(&*panic))))
        })
    }
}

/// The error of a fetch that is not sent because the source is down.
pub(super) fn down() -> LookupError {
    LookupError::new("the source has failed too often, and is left alone for a while")
}

/// The error of a fetch that took too long.
pub(super) fn over_budget<V>(policy: &Policy<V>) -> LookupError {
    LookupError::new(format!("no answer within {} ms", policy.budget.as_millis()))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;
    use crate::lookup::each;
    use crate::lookup::source::Source;
    use crate::lookup::stats::uncounted;

    /// A source whose fetches take so many milliseconds, one after the other, and then for ever.
    fn taking(millis: &'static [u64]) -> (Fetcher<impl Lookup<Value = usize>>, Policy<usize>, Stats) {
        let asked = AtomicUsize::new(0);
        let lookup = each(move |_: String| {
            let number = asked.fetch_add(1, Ordering::SeqCst);
            async move {
                sleep(Duration::from_millis(millis.get(number).copied().unwrap_or(u64::MAX))).await;
                Ok(Some(number))
            }
        });
        let stats = uncounted();
        let source = Source::new(lookup).hedged().budget(Duration::from_secs(1));
        (Fetcher::new(source.lookup, &source.policy, &stats), source.policy, stats)
    }

    #[tokio::test(start_paused = true)]
    async fn a_fetch_that_takes_longer_than_the_p95_gets_a_second_one_and_the_first_answer_counts() {
        const TIMES: [u64; 22] = {
            let mut times = [10; 22];
            times[20] = 500;
            times
        };
        let (fetcher, policy, stats) = taking(&TIMES);
        let ids = ["anna".to_owned()];
        for number in 0..20 {
            assert_eq!(fetcher.fetch(&ids, &policy).await, Ok(vec![Ok(Some(number))]));
        }
        let began = tokio::time::Instant::now();
        assert_eq!(fetcher.fetch(&ids, &policy).await, Ok(vec![Ok(Some(21))]), "the hedge was first");
        assert!(began.elapsed() < Duration::from_millis(100), "{:?}", began.elapsed());
        assert_eq!((stats.hedges.get(), stats.fetches.get()), (1, 22));
    }

    #[tokio::test(start_paused = true)]
    async fn a_fetch_ends_with_its_budget() {
        let (fetcher, policy, stats) = taking(&[]);
        let began = tokio::time::Instant::now();
        assert_eq!(fetcher.fetch(&["anna".to_owned()], &policy).await, Err(over_budget(&policy)));
        assert_eq!(began.elapsed(), Duration::from_secs(1));
        assert_eq!(stats.fetches_failed.get(), 1);
    }
}
