//! Strict least-recently-used order. The door to `lru`.

use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use lru::LruCache;

use crate::Counter;

use super::clock;
use super::{Age, Entry, Freshness, Id, Known};

pub(super) struct Lru<V> {
    facts: Mutex<LruCache<Id, Used<V>>>,
    idle_for: Option<Duration>,
    evictions: Counter,
}

struct Used<V> {
    entry: Entry<V>,
    at: Instant,
}

impl<V> Lru<V> {
    pub fn new(facts_max: usize, idle_for: Option<Duration>, evictions: Counter) -> Self {
        let facts_max = NonZeroUsize::new(facts_max).unwrap_or(NonZeroUsize::MIN);
        Self { facts: Mutex::new(LruCache::new(facts_max)), idle_for, evictions }
    }

    pub fn get(&self, id: &str, now: Instant, freshness: &Freshness) -> Option<Known<V>> {
        let mut facts = self.facts();
        let used = facts.get_mut(id)?;
        if let Some(idle_for) = self.idle_for {
            if now.saturating_duration_since(used.at) >= idle_for {
                facts.pop(id);
                self.evictions.inc();
                return None;
            }
            used.at = now;
        }
        let age = freshness.age(used.entry.fresh_until, now);
        if age == Age::Gone { None } else { Some((used.entry.value.clone(), age)) }
    }

    pub fn insert(&self, id: Id, entry: Entry<V>) {
        let used = Used { entry, at: clock::now() };
        let mut facts = self.facts();
        let full = facts.len() == facts.cap().get() && !facts.contains(&*id);
        // What is pushed out is dropped after the lock: a value may be large.
        let pushed_out = facts.push(id, used);
        drop(facts);
        drop(pushed_out);
        if full {
            self.evictions.inc();
        }
    }

    fn facts(&self) -> MutexGuard<'_, LruCache<Id, Used<V>>> {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn entry(value: i32) -> Entry<i32> {
        Entry { value: Some(Arc::new(value)), fresh_until: Instant::now() + FRESHNESS.fresh_for }
    }

    const FRESHNESS: Freshness = Freshness {
        fresh_for: Duration::from_secs(3600),
        unknown_for: Duration::ZERO,
        refresh_ahead: Duration::ZERO,
        stale_while_refreshing: Duration::ZERO,
        stale_on_failure: Duration::ZERO,
        jitter: 0.0,
    };

    #[test]
    fn the_fact_that_was_used_longest_ago_goes_first() {
        let evictions = Counter::default();
        let lru = Lru::new(2, None, evictions.clone());
        let now = Instant::now();
        for id in ["a", "b"] {
            lru.insert(id.into(), entry(1));
        }
        assert!(lru.get("a", now, &FRESHNESS).is_some());
        lru.insert("c".into(), entry(2));
        lru.insert("c".into(), entry(3));
        let known = ["a", "b", "c"]
            .map(|id| lru.get(id, now, &FRESHNESS).and_then(|(value, _)| value.as_deref().copied()));
        assert_eq!(known, [Some(1), None, Some(3)]);
        assert_eq!(evictions.get(), 1, "one that is replaced is not pushed out");
    }

    #[test]
    fn a_fact_that_nobody_uses_is_forgotten() {
        let idle = Duration::from_secs(60);
        let lru = Lru::new(2, Some(idle), Counter::default());
        lru.insert("a".into(), entry(1));
        let now = Instant::now();
        assert!(lru.get("a", now + idle / 2, &FRESHNESS).is_some());
        assert!(lru.get("a", now + idle, &FRESHNESS).is_some(), "it was used meanwhile");
        assert!(lru.get("a", now + idle * 2, &FRESHNESS).is_none());
    }
}
