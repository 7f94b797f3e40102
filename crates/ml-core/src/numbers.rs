//! Counters and histograms for Prometheus that threads do not fight for: striped, and put together when they are read.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::counter::{self, Atomic};
use prometheus_client::metrics::{MetricType, TypedMetric};

use crate::Striped;

/// A number that only grows. Clones share it.
pub type Counter = counter::Counter<u64, Count>;

/// What a [`Counter`] has counted.
#[derive(Debug, Default)]
pub struct Count(Striped<AtomicU64>);

impl Atomic<u64> for Count {
    fn inc(&self) -> u64 {
        self.inc_by(1)
    }

    /// Counts, and returns what this thread had counted before: the whole is for [`get`](Self::get).
    fn inc_by(&self, count: u64) -> u64 {
        self.0.own().fetch_add(count, Ordering::Relaxed)
    }

    fn get(&self) -> u64 {
        self.0.all().map(|stripe| stripe.load(Ordering::Relaxed)).sum()
    }
}

/// The most bounds of a [`Histogram`]: its counts of one thread are then four cache lines.
const BOUNDS_MAX: usize = 30;

/// How many values fell below each of some bounds. Clones share their counts.
///
/// ```
/// use ml_core::Histogram;
///
/// let seconds = Histogram::new([0.001, 0.01, 0.1]);
/// seconds.observe(0.02);
/// assert_eq!((seconds.count(), seconds.sum()), (1, 0.02));
/// ```
#[derive(Debug, Clone)]
pub struct Histogram(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    bounds: Box<[f64]>,
    counts: Striped<Counts>,
}

/// What one thread has observed.
#[derive(Debug, Default)]
struct Counts {
    /// Values up to each bound and above the one before; the last is of those above all.
    buckets: [AtomicU64; BOUNDS_MAX + 1],
    /// The bits of a float.
    sum: AtomicU64,
}

impl Histogram {
    /// Makes one with these upper bounds, in ascending order; of more than 30 the last are left out.
    pub fn new(bounds: impl IntoIterator<Item = f64>) -> Self {
        let bounds = bounds.into_iter().take(BOUNDS_MAX).collect();
        Self(Arc::new(Shared { bounds, counts: Striped::default() }))
    }

    /// Counts a value.
    pub fn observe(&self, value: f64) {
        let Shared { bounds, counts } = &*self.0;
        let counts = counts.own();
        // What is no number lies above all bounds.
        let bucket = bounds.iter().position(|bound| value <= *bound).unwrap_or(bounds.len());
        counts.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        let add = |sum: u64| Some((f64::from_bits(sum) + value).to_bits());
        // It always succeeds: there is a next sum for each.
        counts.sum.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add).ok();
    }

    /// Returns how many values there were.
    pub fn count(&self) -> u64 {
        self.buckets().iter().map(|(_, count)| count).sum()
    }

    /// Returns the sum of all values.
    pub fn sum(&self) -> f64 {
        let of_thread = |counts: &Counts| f64::from_bits(counts.sum.load(Ordering::Relaxed));
        // `Iterator::sum` begins at -0.0, which is what it says of nothing.
        self.0.counts.all().map(of_thread).fold(0.0, |sum, next| sum + next)
    }

    /// Returns each bound, and how many values lie between it and the one before; the last bound stands for none.
    fn buckets(&self) -> Vec<(f64, u64)> {
        let Shared { bounds, counts } = &*self.0;
        let of_bucket =
            |index: usize| counts.all().map(|counts| counts.buckets[index].load(Ordering::Relaxed)).sum();
        let bounds = bounds.iter().copied().chain([f64::INFINITY]);
        bounds.enumerate().map(|(index, bound)| (bound, of_bucket(index))).collect()
    }
}

impl TypedMetric for Histogram {
    const TYPE: MetricType = MetricType::Histogram;
}

impl EncodeMetric for Histogram {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        // The count is that of the buckets as they are written, whatever is observed meanwhile.
        let buckets = self.buckets();
        let count = buckets.iter().map(|(_, count)| count).sum();
        encoder.encode_histogram::<NoLabelSet>(self.sum(), count, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use prometheus_client::encoding::text::encode;
    use prometheus_client::metrics::histogram;
    use prometheus_client::registry::Registry;

    use super::*;

    fn written<M: EncodeMetric + TypedMetric + Clone + fmt::Debug + Send + Sync + 'static>(
        metric: M,
    ) -> String {
        let (mut registry, mut text) = (Registry::default(), String::new());
        registry.register("x", "X", metric);
        encode(&mut text, &registry).unwrap();
        text
    }

    #[test]
    fn what_threads_observe_is_written_as_by_a_histogram_that_they_share() {
        let bounds = [0.5, 1.0, 2.0, 4.0];
        let (striped, shared) = (Histogram::new(bounds), histogram::Histogram::new(bounds));
        thread::scope(|threads| {
            for start in 0..4_u32 {
                let (striped, shared) = (striped.clone(), shared.clone());
                threads.spawn(move || {
                    // Quarters, whose sum is the same in any order.
                    for value in (start..80).step_by(4).map(|n| f64::from(n) / 4.0 - 1.0) {
                        striped.observe(value);
                        shared.observe(value);
                    }
                });
            }
        });
        assert_eq!(striped.count(), 80);
        let unused = || (Histogram::new(bounds), histogram::Histogram::new(bounds));
        assert_eq!(written(unused().0), written(unused().1));
        assert_eq!(written(striped), written(shared));
    }

    #[test]
    fn what_threads_count_is_written_as_one_number() {
        let counter = Counter::default();
        thread::scope(|threads| {
            for _ in 0..4 {
                let counter = counter.clone();
                threads.spawn(move || {
                    for _ in 0..100 {
                        counter.inc();
                    }
                });
            }
        });
        counter.inc_by(5);
        assert_eq!(counter.get(), 405);
        assert!(written(counter).contains("x_total 405\n"));
    }

    #[test]
    fn bounds_beyond_the_most_are_left_out() {
        let histogram = Histogram::new((0..100).map(f64::from));
        histogram.observe(29.0);
        histogram.observe(50.0);
        let buckets = histogram.buckets();
        assert_eq!((buckets.len(), buckets[29], buckets[30]), (31, (29.0, 1), (f64::INFINITY, 1)));
    }
}
