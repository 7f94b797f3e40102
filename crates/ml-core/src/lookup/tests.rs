//! Lookups in simulated time, from the public builders to the facts of a call: nothing waits, and times are exact.

mod freshness;
mod lateness;
mod puts;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use super::{
    Facts, Key, Lookup, LookupCounts, LookupError, LookupMetrics, Running, Source, Sources, Tier, TierEntry,
};

const fn millis(number: u64) -> Duration {
    Duration::from_millis(number)
}

const fn secs(number: u64) -> Duration {
    Duration::from_secs(number)
}

/// Answers each identifier with the number of the fetch, from 1 on; `nobody` is unknown. Clones are the same shop.
#[derive(Clone, Default)]
struct Shop(Arc<State>);

#[derive(Default)]
struct State {
    takes: Mutex<Duration>,
    busy: AtomicBool,
    fetches: AtomicUsize,
}

impl Shop {
    /// A shop whose fetches take so long.
    fn taking(time: Duration) -> Self {
        let shop = Self::default();
        shop.take(time);
        shop
    }

    /// Lets fetches from now on take so long.
    fn take(&self, time: Duration) {
        *self.0.takes.lock().expect("no panic") = time;
    }

    /// Lets fetches fail from now on, in a way that may be gone in a moment.
    fn be_busy(&self) {
        self.0.busy.store(true, Ordering::SeqCst);
    }

    fn fetches(&self) -> usize {
        self.0.fetches.load(Ordering::SeqCst)
    }
}

impl Lookup for Shop {
    type Value = usize;

    async fn fetch_many(&self, ids: &[String]) -> Result<Vec<Option<usize>>, LookupError> {
        let number = self.0.fetches.fetch_add(1, Ordering::SeqCst) + 1;
        let takes = *self.0.takes.lock().expect("no panic");
        sleep(takes).await;
        if self.0.busy.load(Ordering::SeqCst) {
            return Err(LookupError::retryable("one moment, please"));
        }
        Ok(ids.iter().map(|id| (id != "nobody").then_some(number)).collect())
    }
}

/// A shared store that never answers.
struct Silence;

impl Tier for Silence {
    async fn get_many(&self, _: &[Vec<u8>]) -> Result<Vec<Option<Vec<u8>>>, LookupError> {
        std::future::pending().await
    }

    async fn put_many(&self, _: &[TierEntry]) -> Result<(), LookupError> {
        std::future::pending().await
    }
}

/// What a call got: its fact or the code of its error, where that came from, and how long it took.
#[derive(Debug, PartialEq, Eq)]
struct Got {
    fact: Result<Option<usize>, &'static str>,
    counts: LookupCounts,
    took: Duration,
}

fn running(source: Source<impl Lookup>) -> Running {
    let mut sources = Sources::default();
    sources.add("shop", source);
    sources.start_here(&LookupMetrics::default(), "model")
}

/// Asks for the fact `id` as a call of an engine does, within `time` if there is any.
async fn ask_within(running: &Running, id: &str, time: Option<Duration>) -> Got {
    let began = Instant::now();
    let mut facts = Facts::default();
    let key = Key::new("shop", id);
    let place = facts.name(key.clone());
    let counts = running.gather(&mut facts, time.map(|time| (began + time).into_std())).await;
    let fact = match facts.failure(&[place]) {
        Some(error) => Err(error.code()),
        None => Ok(facts.get(&key).copied()),
    };
    Got { fact, counts, took: began.elapsed() }
}

async fn ask(running: &Running, id: &str) -> Result<Option<usize>, &'static str> {
    ask_within(running, id, None).await.fact
}

/// Lets it be so long after `began`, with all that is due before that.
async fn until(began: Instant, time: Duration) {
    sleep_until(began + time).await;
}
