//! Narrow things for runs side by side, and one wide thing for the run that has the machine to itself.

use std::sync::{Mutex, MutexGuard, TryLockError};

use super::slots::Slots;
use crate::width::Width;

pub(super) struct Elastic<T> {
    narrow: Slots<T>,
    /// Taken only when it is free: a run never waits for it while a narrow one would do.
    wide: Option<Mutex<T>>,
}

impl<T> Elastic<T> {
    pub fn new(narrow: Vec<T>, wide: Option<T>) -> Self {
        Self { narrow: Slots::new(narrow), wide: wide.map(Mutex::new) }
    }

    /// Returns how many users can each have a narrow thing.
    pub fn at_once(&self) -> usize {
        self.narrow.len()
    }

    /// Lends the wide thing where the calling thread was granted it and it is free, else a narrow one.
    pub fn with<R>(&self, user: impl FnOnce(&mut T) -> R) -> R {
        match self.wide_if_granted_and_free() {
            Some(mut wide) => user(&mut wide),
            None => self.narrow.with(user),
        }
    }

    fn wide_if_granted_and_free(&self) -> Option<MutexGuard<'_, T>> {
        if Width::granted() == Width::Narrow {
            return None;
        }
        match self.wide.as_ref()?.try_lock() {
            Ok(wide) => Some(wide),
            Err(TryLockError::Poisoned(wide)) => Some(wide.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::{Elastic, Width};

    #[test]
    fn the_wide_one_is_lent_when_granted_and_free() {
        let elastic = Elastic::new(vec!["narrow"], Some("wide"));
        let lent = || elastic.with(|item| *item);
        assert_eq!(Width::Narrow.grant(lent), "narrow");
        assert_eq!(Width::Wide.grant(lent), "wide");
        Width::Wide.grant(|| elastic.with(|_| assert_eq!(lent(), "narrow", "the wide one is taken")));
        assert_eq!(Width::Wide.grant(lent), "wide", "it came back");
    }

    #[test]
    fn without_a_wide_one_every_run_is_narrow() {
        assert_eq!(Width::Wide.grant(|| Elastic::new(vec!["narrow"], None).with(|item| *item)), "narrow");
    }

    #[test]
    fn the_wide_one_is_lent_again_after_a_panic() {
        let elastic = Elastic::new(vec!["narrow"], Some("wide"));
        let panicked = catch_unwind(AssertUnwindSafe(|| elastic.with(|_| panic!("the model crashed"))));
        assert!(panicked.is_err());
        assert_eq!(elastic.with(|item| *item), "wide");
    }
}
