//! A fixed set of things of which each serves one thread at a time: sessions, thread pools.

use std::sync::{Condvar, Mutex, PoisonError};

pub(super) struct Slots<T> {
    items: Vec<Mutex<T>>,
    free: Mutex<Vec<usize>>,
    freed: Condvar,
}

impl<T> Slots<T> {
    pub fn new(items: Vec<T>) -> Self {
        let free = Mutex::new((0..items.len()).collect());
        Self { items: items.into_iter().map(Mutex::new).collect(), free, freed: Condvar::new() }
    }

    /// Lends one of the things to `user`; waits while all are lent.
    ///
    /// The one that came back last goes first: its memory is the warmest.
    pub fn with<R>(&self, user: impl FnOnce(&mut T) -> R) -> R {
        let lent = Lent { slots: self, index: self.take() };
        let item = self.items[lent.index].lock();
        user(&mut item.unwrap_or_else(PoisonError::into_inner))
    }

    fn take(&self) -> usize {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match free.pop() {
                Some(index) => return index,
                None => free = self.freed.wait(free).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }
}

/// Gives the slot back also when its user panics.
struct Lent<'a, T> {
    slots: &'a Slots<T>,
    index: usize,
}

impl<T> Drop for Lent<'_, T> {
    fn drop(&mut self) {
        self.slots.free.lock().unwrap_or_else(PoisonError::into_inner).push(self.index);
        self.slots.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::Slots;

    #[test]
    fn a_slot_whose_user_panicked_is_lent_again() {
        let slots = Slots::new(vec![7]);
        let panicked = catch_unwind(AssertUnwindSafe(|| slots.with(|_| panic!("the model crashed"))));
        assert!(panicked.is_err());
        assert_eq!(slots.with(|item| *item), 7);
    }
}
