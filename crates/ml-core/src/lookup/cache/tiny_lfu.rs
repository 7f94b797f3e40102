//! TinyLFU: what is used most stays, in a bound of bytes. The second door to `moka`.

use std::sync::Arc;
use std::time::Duration;

use moka::notification::RemovalCause;

use crate::Counter;

use super::{Entry, Id, Weigh};

/// What moka and the shared pointers keep for an entry: pointers, a hash, timestamps, list nodes, counts.
const ENTRY_BYTES: usize = 240;

pub(super) struct Limits {
    pub bytes_max: usize,
    pub keep_for: Duration,
    pub idle_for: Option<Duration>,
}

pub(super) struct TinyLfu<V> {
    facts: moka::sync::Cache<Id, Entry<V>>,
    value_bytes: Weigh<V>,
    bytes_max: usize,
}

impl<V: Send + Sync + 'static> TinyLfu<V> {
    pub fn new(limits: Limits, value_bytes: Weigh<V>, evictions: Counter) -> Self {
        let weigher = Arc::clone(&value_bytes);
        let mut builder = moka::sync::Cache::builder()
            .max_capacity(limits.bytes_max as u64)
            .time_to_live(limits.keep_for)
            .weigher(move |id, entry| u32::try_from(bytes(&weigher, id, entry)).unwrap_or(u32::MAX))
            .eviction_listener(move |_, _, cause| {
                if cause != RemovalCause::Replaced {
                    evictions.inc();
                }
            });
        if let Some(idle_for) = limits.idle_for {
            builder = builder.time_to_idle(idle_for);
        }
        Self { facts: builder.build(), value_bytes, bytes_max: limits.bytes_max }
    }

    pub fn get(&self, id: &str) -> Option<Entry<V>> {
        self.facts.get(id)
    }

    pub fn insert(&self, id: Id, entry: Entry<V>) {
        // moka takes in anything and evicts it later; what can never stay is better not taken in.
        if bytes(&self.value_bytes, &id, &entry) <= self.bytes_max {
            self.facts.insert(id, entry);
        }
    }
}

fn bytes<V>(value_bytes: &Weigh<V>, id: &Id, entry: &Entry<V>) -> usize {
    let value = entry.value.as_deref().map_or(0, |value| size_of::<V>() + value_bytes(value));
    ENTRY_BYTES + id.len() + value
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::lookup::cache::FOREVER;

    #[test]
    fn what_can_never_stay_is_not_taken_in() {
        let limits = Limits { bytes_max: 1000, keep_for: FOREVER, idle_for: None };
        let cache = TinyLfu::new(limits, Arc::new(String::len), Counter::default());
        for (id, bytes, kept) in [("small", 100, true), ("large", 1000, false)] {
            let value = Some(Arc::new("x".repeat(bytes)));
            cache.insert(id.into(), Entry { value, fresh_until: Instant::now() });
            assert_eq!(cache.get(id).is_some(), kept, "{id}");
        }
    }

    #[test]
    fn facts_go_by_their_bytes_and_when_nobody_uses_them() {
        let value = |bytes| Some(Arc::new("x".repeat(bytes)));
        let fact = |bytes| Entry { value: value(bytes), fresh_until: Instant::now() };
        let evictions = Counter::default();
        let limits = Limits { bytes_max: 10_000, keep_for: FOREVER, idle_for: None };
        let cache = TinyLfu::new(limits, Arc::new(String::len), evictions.clone());
        for number in 0..10 {
            cache.insert(number.to_string().into(), fact(3000));
        }
        cache.facts.run_pending_tasks();
        assert_eq!((cache.facts.entry_count(), evictions.get()), (3, 7), "three of 3 kB are under 10 kB");

        let limits = Limits { bytes_max: 10_000, keep_for: FOREVER, idle_for: Some(Duration::ZERO) };
        let cache = TinyLfu::new(limits, Arc::new(String::len), Counter::default());
        cache.insert("idle".into(), fact(1));
        assert!(cache.get("idle").is_none());
    }
}
