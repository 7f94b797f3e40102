//! The locks of the queue: the standard library's, or a model checker's that tries their interleavings.

#[cfg(not(feature = "shuttle"))]
pub(super) use std::sync::{Condvar, Mutex, MutexGuard};

#[cfg(feature = "shuttle")]
pub(super) use shuttle::sync::{Condvar, Mutex, MutexGuard};

use std::sync::PoisonError;
use std::time::Duration;

/// Locks; what a thread that panicked left behind is whole, since nothing panics between two steps of a change.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits for a notice.
pub(super) fn wait<'a, T>(notice: &Condvar, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
    notice.wait(guard).unwrap_or_else(PoisonError::into_inner)
}

/// Waits for a notice, but not for ever.
pub(super) fn wait_timeout<'a, T>(
    notice: &Condvar,
    guard: MutexGuard<'a, T>,
    time: Duration,
) -> MutexGuard<'a, T> {
    notice.wait_timeout(guard, time).unwrap_or_else(PoisonError::into_inner).0
}
