//! Equal items are computed once: those in flight follow the first of them, those answered lately are in the cache.
//!
//! Keys are whole inputs, compared with `Eq`: a hash only finds the place to compare at. Nothing is shared between
//! engines, so neither is it between models or their versions.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use ahash::RandomState;
use crossbeam_utils::CachePadded;
use tokio::sync::watch;

use crate::{Error, Pipeline};

use super::CallOptions;
use super::cache::Cache;
use super::metrics::EngineMetrics;
use super::waiting::Priority;

/// An item follows one whose deadline is later by at most this part of the time that it has itself.
const DEADLINE_SLACK: u32 = 8;

/// More locks than threads that could want one at once.
const SHARDS: usize = 32;

type Result<T> = std::result::Result<T, Error>;

/// The way to those that follow an item.
type Followers<T> = watch::Sender<Option<Result<T>>>;

/// What the first of equal items leaves for the others.
struct Flight<T> {
    /// When its caller stops waiting.
    deadline: Option<Instant>,
    /// There is no channel until somebody follows.
    followers: Option<Followers<T>>,
}

impl<T> Flight<T> {
    /// Whether an item with this deadline can wait for this one: only if that one's is not much later, since it would be as late.
    ///
    /// Callers of the same patience do not come in the order of their deadlines: threads of a server overtake each other.
    fn suits(&self, deadline: Option<Instant>) -> bool {
        let Some(own) = deadline else { return true };
        let slack = own.saturating_duration_since(Instant::now()) / DEADLINE_SLACK;
        self.deadline.is_some_and(|leader| leader.saturating_duration_since(own) <= slack)
    }
}

type Shard<P> =
    HashMap<Key<<P as Pipeline>::Input>, Flight<<P as Pipeline>::Output>, BuildHasherDefault<Known>>;

/// An input, and how urgent its call is: somebody who waits must not follow somebody who does not.
///
/// An input may be long, and is looked up when it comes and when it leaves, so it is hashed once.
#[derive(PartialEq, Eq)]
struct Key<T> {
    hash: u64,
    input: Arc<T>,
    priority: Priority,
}

impl<T> Clone for Key<T> {
    fn clone(&self) -> Self {
        Self { input: Arc::clone(&self.input), ..*self }
    }
}

impl<T> Hash for Key<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

/// Hashes a hash: it is what it is.
#[derive(Default)]
struct Known(u64);

impl Hasher for Known {
    fn write(&mut self, bytes: &[u8]) {
        // A key feeds its hash and nothing else; anything else would still be told apart by `Eq`.
        self.0 = self.0.wrapping_mul(31).wrapping_add(bytes.len() as u64);
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// The items of one engine that are in flight, and the answers that it remembers.
pub(super) struct Sharing<P: Pipeline> {
    shards: Vec<CachePadded<Mutex<Shard<P>>>>,
    hasher: RandomState,
    cache: Option<Cache<P>>,
    metrics: EngineMetrics,
}

/// What an item of a call is to do.
pub(super) enum Role<'a, P: Pipeline> {
    /// The answer is known.
    Known(P::Output),
    /// Be computed, and tell those that follow.
    Lead(P::Input, Lead<'a, P>),
    /// Be computed although an equal item is in flight, whose answer may come too late for this one.
    Alone(P::Input),
    /// Wait for the answer of an equal item; the input is needed again should that one give up.
    Follow(P::Input, Follower<P::Output>),
}

impl<P: Pipeline> Sharing<P> {
    pub fn new(cache: Option<Cache<P>>, metrics: EngineMetrics) -> Self {
        let shards = (0..SHARDS).map(|_| CachePadded::default()).collect();
        Self { shards, hasher: RandomState::new(), cache, metrics }
    }

    fn shard(&self, key: &Key<P::Input>) -> MutexGuard<'_, Shard<P>> {
        // The map inside goes by the lowest and the highest bits.
        let index = usize::try_from((key.hash >> 32) % SHARDS as u64).unwrap_or(0);
        self.shards[index].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells an item whether its answer is known, on its way, or up to it.
    pub fn join(&self, input: P::Input, options: CallOptions) -> Role<'_, P> {
        if let Some(cache) = &self.cache {
            let known = cache.get(&input);
            self.metrics.cache(known.is_some());
            if let Some(output) = known {
                return Role::Known(output);
            }
        }
        let CallOptions { priority, deadline, .. } = options;
        let hash = self.hasher.hash_one((&input, priority));
        let key = Key { hash, input: Arc::new(input.clone()), priority };
        let mut shard = self.shard(&key);
        match shard.entry(key) {
            Entry::Occupied(flight) if !flight.get().suits(deadline) => Role::Alone(input),
            Entry::Occupied(mut flight) => {
                let sender = flight.get_mut().followers.get_or_insert_with(|| watch::channel(None).0);
                let follower = Follower(sender.subscribe());
                drop(shard);
                self.metrics.coalesced(1);
                Role::Follow(input, follower)
            }
            Entry::Vacant(place) => {
                let lead = Lead { sharing: self, key: place.key().clone(), over: false };
                place.insert(Flight { deadline, followers: None });
                Role::Lead(input, lead)
            }
        }
    }
}

/// The duty to tell the followers. Dropped without an answer (the caller left), it frees one of them to lead.
pub(super) struct Lead<'a, P: Pipeline> {
    sharing: &'a Sharing<P>,
    key: Key<P::Input>,
    /// Once over, an equal item may have begun a flight of its own under the same key.
    over: bool,
}

impl<P: Pipeline> Lead<'_, P> {
    /// Passes the result on to the followers, and where it is one `to_remember` to the cache.
    ///
    /// A result that says something about this call rather than about the item is not passed on.
    pub fn answered(mut self, result: &Result<P::Output>, to_remember: bool) {
        if let (Some(cache), Ok(output), true) = (&self.sharing.cache, result, to_remember) {
            cache.insert(&self.key.input, output.clone());
        }
        let followers = self.end();
        if let Some(followers) = followers.filter(|_| is_of_the_item(result)) {
            // That nobody waits any more is no error.
            drop(followers.send(Some(result.clone())));
        }
    }

    fn end(&mut self) -> Option<Followers<P::Output>> {
        if std::mem::replace(&mut self.over, true) {
            return None;
        }
        self.sharing.shard(&self.key).remove(&self.key)?.followers
    }
}

impl<P: Pipeline> Drop for Lead<'_, P> {
    fn drop(&mut self) {
        self.end();
    }
}

/// Whether an equal item in another call would get the same result.
fn is_of_the_item<T>(result: &Result<T>) -> bool {
    match result {
        Ok(_)
        | Err(
            Error::Rejected(_)
            | Error::LookupFailed { .. }
            | Error::ModelFailed { .. }
            | Error::Panicked { .. }
            | Error::ShuttingDown,
        ) => true,
        Err(Error::Overloaded { .. } | Error::CallTooLarge { .. } | Error::DeadlineExceeded) => false,
    }
}

/// Waits for the answer of an equal item.
pub(super) struct Follower<T>(watch::Receiver<Option<Result<T>>>);

impl<T: Clone> Follower<T> {
    /// Returns the answer; `None` when the one that was followed gave up.
    pub async fn answer(mut self) -> Option<Result<T>> {
        self.0.wait_for(Option::is_some).await.ok().and_then(|answer| answer.clone())
    }
}
