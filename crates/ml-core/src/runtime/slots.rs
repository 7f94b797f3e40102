//! A fixed set of things of which each serves one thread at a time: sessions, thread pools.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::striped::thread_index;

pub(super) struct Slots<T> {
    items: Vec<Mutex<T>>,
    free: Mutex<Free>,
    freed: Condvar,
}

struct Free {
    indices: Vec<usize>,
    /// Threads that wait for one: to wake nobody is a system call, too.
    waiting: usize,
}

impl<T> Slots<T> {
    pub fn new(items: Vec<T>) -> Self {
        let free = Mutex::new(Free { indices: (0..items.len()).collect(), waiting: 0 });
        Self { items: items.into_iter().map(Mutex::new).collect(), free, freed: Condvar::new() }
    }

    /// Returns how many things there are.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Lends one of the things to `user`; waits while all are lent.
    ///
    /// A thread gets the one that it is likely to have had before, whose memory its core has at hand, else the one that came
    /// back last.
    pub fn with<R>(&self, user: impl FnOnce(&mut T) -> R) -> R {
        let lent = Lent { slots: self, index: self.take() };
        let item = self.items[lent.index].lock();
        user(&mut item.unwrap_or_else(PoisonError::into_inner))
    }

    fn free(&self) -> MutexGuard<'_, Free> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> usize {
        let own = thread_index() % self.items.len().max(1);
        let mut free = self.free();
        loop {
            if let Some(place) = free.indices.iter().position(|index| *index == own) {
                return free.indices.swap_remove(place);
            }
            if let Some(index) = free.indices.pop() {
                return index;
            }
            free.waiting += 1;
            free = self.freed.wait(free).unwrap_or_else(PoisonError::into_inner);
            free.waiting -= 1;
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
        let mut free = self.slots.free();
        free.indices.push(self.index);
        if free.waiting > 0 {
            drop(free);
            self.slots.freed.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::thread;

    use super::Slots;

    #[test]
    fn threads_wait_for_what_others_have() {
        let slots = Slots::new(vec![0_u64; 2]);
        thread::scope(|threads| {
            for _ in 0..8 {
                threads.spawn(|| (0..1000).for_each(|_| slots.with(|item| *item += 1)));
            }
        });
        let counted: u64 = slots.items.iter().map(|item| *item.lock().unwrap()).sum();
        assert_eq!(counted, 8000);
        let free = slots.free();
        assert_eq!((free.indices.len(), free.waiting), (2, 0));
    }

    #[test]
    fn a_slot_whose_user_panicked_is_lent_again() {
        let slots = Slots::new(vec![7]);
        let panicked = catch_unwind(AssertUnwindSafe(|| slots.with(|_| panic!("the model crashed"))));
        assert!(panicked.is_err());
        assert_eq!(slots.with(|item| *item), 7);
    }
}
