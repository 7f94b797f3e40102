//! Equal items of one call are computed once and answered everywhere. Equality is `Eq`, never a hash alone.

use std::hash::Hash;

use indexmap::IndexSet;

use crate::Error;

/// The distinct items of a call, and which of them each item of the call equals.
pub(super) struct Deduplicated<T> {
    pub distinct: Vec<T>,
    pub index_of: Vec<usize>,
}

pub(super) fn deduplicate<T: Eq + Hash>(items: Vec<T>) -> Deduplicated<T> {
    if items.len() <= 1 {
        let index_of = (0..items.len()).collect();
        return Deduplicated { distinct: items, index_of };
    }
    let mut distinct = IndexSet::with_capacity(items.len());
    let index_of = items.into_iter().map(|item| distinct.insert_full(item).0).collect();
    Deduplicated { distinct: distinct.into_iter().collect(), index_of }
}

/// Gives each item of the call the result of its equal.
pub(super) fn spread<T: Clone>(
    results: Vec<Result<T, Error>>,
    index_of: Vec<usize>,
) -> Vec<Result<T, Error>> {
    if results.len() == index_of.len() {
        return results; // No two were equal, so the order is already the caller's.
    }
    index_of
        .into_iter()
        .map(|index| results.get(index).cloned().unwrap_or(Err(Error::ShuttingDown)))
        .collect()
}
