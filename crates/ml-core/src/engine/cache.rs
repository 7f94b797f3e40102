//! The answers that an engine remembers: bounded in bytes, for a limited time. The door to moka.

use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use ahash::RandomState;

use crate::Pipeline;

use super::metrics::EngineMetrics;

/// What moka itself keeps for an entry: key and value pointers, a hash, timestamps, two list nodes.
const ENTRY_BYTES: usize = 200;

/// How much an engine remembers, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheOptions {
    /// Most bytes of inputs and outputs, with what keeping them costs.
    pub bytes_max: usize,
    /// How long an answer is good for.
    pub time_to_live: Duration,
}

impl Default for CacheOptions {
    /// 64 MiB, an hour.
    fn default() -> Self {
        Self { bytes_max: 64 << 20, time_to_live: Duration::from_secs(3600) }
    }
}

/// Answers by input.
pub(super) struct Cache<P: Pipeline> {
    answers: moka::sync::Cache<Arc<P::Input>, P::Output, RandomState>,
    weigh: Weigh<P>,
    bytes_max: usize,
}

type Weigh<P> = Arc<dyn Fn(&Arc<<P as Pipeline>::Input>, &<P as Pipeline>::Output) -> u32 + Send + Sync>;

impl<P: Pipeline> Cache<P> {
    /// `output_bytes` tells what an output occupies, what it points to included.
    pub fn new(
        options: CacheOptions,
        output_bytes: impl Fn(&P::Output) -> usize + Send + Sync + 'static,
        metrics: EngineMetrics,
    ) -> Self {
        let weigh: Weigh<P> = Arc::new(move |input, output| {
            let bytes = ENTRY_BYTES + content_bytes(&**input) + output_bytes(output);
            u32::try_from(bytes).unwrap_or(u32::MAX)
        });
        let weigher = Arc::clone(&weigh);
        let answers = moka::sync::Cache::builder()
            .max_capacity(options.bytes_max as u64)
            .time_to_live(options.time_to_live)
            .weigher(move |input, output| weigher(input, output))
            .eviction_listener(move |_, _, _| metrics.cache_evicted())
            .build_with_hasher(RandomState::default());
        Self { answers, weigh, bytes_max: options.bytes_max }
    }

    pub fn get(&self, input: &P::Input) -> Option<P::Output> {
        self.answers.get::<P::Input>(input)
    }

    pub fn insert(&self, input: &Arc<P::Input>, output: P::Output) {
        // moka takes in anything and evicts it later; what can never stay is better not taken in.
        if (self.weigh)(input, &output) as usize <= self.bytes_max {
            self.answers.insert(Arc::clone(input), output);
        }
    }
}

/// Returns the size of a value in bytes, with what it points to, as far as its hash covers it.
///
/// Every input has a hash, and what is fed into it is the input's content: so its length is known for any type, at the
/// price of walking over the value, not of reading it.
pub(super) fn content_bytes<T: Hash>(value: &T) -> usize {
    let mut count = ByteCount(size_of::<T>());
    value.hash(&mut count);
    count.0
}

struct ByteCount(usize);

impl Hasher for ByteCount {
    fn write(&mut self, bytes: &[u8]) {
        self.0 += bytes.len();
    }

    fn finish(&self) -> u64 {
        self.0 as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_weighs_itself_and_what_it_points_to() {
        let text = "x".repeat(1000);
        let own = size_of::<String>();
        assert!((own + 1000..own + 1010).contains(&content_bytes(&text)));
        assert!(content_bytes(&vec![text.clone(), text]) > 2000);
        assert_eq!(content_bytes(&7_u64), 16);
    }
}
