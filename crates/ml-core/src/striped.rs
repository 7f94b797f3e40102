//! What every request changes, kept apart by thread.
//!
//! Threads that write to one cache line take turns at it. So whatever a request writes down has a stripe for each thread,
//! and who wants to know the whole puts the stripes together.

use std::cell::Cell;
use std::fmt::{self, Debug};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crossbeam_utils::CachePadded;

/// So many threads for each CPU have a stripe of their own; further ones share.
const STRIPES_PER_CPU: usize = 4;

/// A value for each thread, or for few threads; made when a thread first asks for its own.
///
/// ```
/// use std::sync::Mutex;
/// use ml_core::Striped;
///
/// let seen = Striped::<Mutex<u64>>::default();
/// std::thread::scope(|threads| {
///     for _ in 0..4 {
///         threads.spawn(|| *seen.own().lock().unwrap() += 1);
///     }
/// });
/// assert_eq!(seen.all().map(|count| *count.lock().unwrap()).sum::<u64>(), 4);
/// ```
pub struct Striped<T> {
    stripes: Box<[OnceLock<Box<CachePadded<T>>>]>,
}

impl<T> Default for Striped<T> {
    fn default() -> Self {
        Self { stripes: (0..stripes()).map(|_| OnceLock::new()).collect() }
    }
}

impl<T: Default> Striped<T> {
    /// Returns the calling thread's value. Others may have the same one, so it needs a lock or atomics, which are seldom contended.
    pub fn own(&self) -> &T {
        // As many stripes as a power of two: the index is always one of them.
        self.stripes[thread_index() & (self.stripes.len() - 1)].get_or_init(Box::default)
    }
}

impl<T> Striped<T> {
    /// Returns the values of all threads that asked for theirs.
    pub fn all(&self) -> impl Iterator<Item = &T> {
        self.stripes.iter().filter_map(OnceLock::get).map(|stripe| &***stripe)
    }
}

impl<T: Debug> Debug for Striped<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.all()).finish()
    }
}

/// Returns a number that is the calling thread's own: threads are numbered from 0 as they ask.
pub(crate) fn thread_index() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static INDEX: Cell<Option<usize>> = const { Cell::new(None) };
    }
    INDEX.get().unwrap_or_else(|| {
        let index = NEXT.fetch_add(1, Ordering::Relaxed);
        INDEX.set(Some(index));
        index
    })
}

fn stripes() -> usize {
    static STRIPES: OnceLock<usize> = OnceLock::new();
    *STRIPES.get_or_init(|| {
        let cpus = thread::available_parallelism().map_or(1, usize::from);
        (cpus * STRIPES_PER_CPU).next_power_of_two()
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::atomic::AtomicU64;

    use super::*;

    #[test]
    fn threads_that_begin_one_after_the_other_have_stripes_of_their_own() {
        let striped = Striped::<AtomicU64>::default();
        let own = || {
            striped.own().fetch_add(1, Ordering::Relaxed);
            std::ptr::from_ref(striped.own()).addr()
        };
        let addresses: BTreeSet<usize> = thread::scope(|threads| {
            [(); 3].map(|()| threads.spawn(own)).map(|one| one.join().unwrap()).into()
        });
        // Other tests' threads are numbered meanwhile, so two of them may meet; never all.
        assert!(addresses.len() > 1, "{addresses:?}");
        let lines: BTreeSet<usize> = addresses.iter().map(|address| address / 64).collect();
        assert_eq!(lines.len(), addresses.len(), "on cache lines of their own");
        let whole: u64 = striped.all().map(|stripe| stripe.load(Ordering::Relaxed)).sum();
        assert_eq!(whole, 3);
    }

    #[test]
    fn a_thread_keeps_its_stripe() {
        let striped = Striped::<AtomicU64>::default();
        assert!(striped.all().next().is_none(), "made when it is asked for");
        assert!(std::ptr::eq(striped.own(), striped.own()));
        assert_eq!(striped.all().count(), 1);
    }
}
