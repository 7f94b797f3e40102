//! Work on as many things at once as there are CPUs.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::Error;
use crate::limit::LimitError;

/// Works on all things and returns what came of them, in their order.
pub(super) fn in_parallel<I: Sync, T: Send>(
    things: &[I],
    work: impl Fn(&I) -> Result<T, Error> + Sync,
) -> Result<Vec<T>, Error> {
    let next = AtomicUsize::new(0);
    let worker = || {
        let mut done = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(thing) = things.get(index) else { return done };
            done.push((index, work(thing)));
        }
    };
    let threads = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let done = thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(worker)).collect();
        let joined = threads.into_iter().map(|thread| thread.join().map_err(|_| LimitError::Lost));
        joined.collect::<Result<Vec<_>, _>>()
    });
    let mut done: Vec<_> = done?.into_iter().flatten().collect();
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, done)| done).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_order_and_an_error_is_not_lost() {
        let numbers: Vec<u32> = (0..50).collect();
        assert_eq!(
            in_parallel(&numbers, |number| Ok(number * 2)).unwrap(),
            numbers.iter().map(|n| n * 2).collect::<Vec<_>>()
        );
        let error = in_parallel(&numbers, |number| match number {
            20 => Err(Error::Variants("twenty".to_owned())),
            _ => Ok(()),
        });
        assert_eq!(error.unwrap_err().to_string(), "variants: twenty");
    }
}
