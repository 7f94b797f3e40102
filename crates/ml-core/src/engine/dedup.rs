//! Equal items of one call are computed once and answered everywhere. Equality is `Eq`, never a hash alone.

use std::hash::Hash;

use indexmap::IndexSet;

use crate::Error;

/// The distinct items of a call.
pub(super) struct Deduplicated<T> {
    pub distinct: Vec<T>,
    /// Which of them each item of the call equals.
    pub places: Places,
}

/// Where the results of the distinct items go; `None` where no two items are equal, and each result has its place.
pub(super) struct Places(Option<Vec<usize>>);

pub(super) fn deduplicate<T: Eq + Hash>(items: Vec<T>) -> Deduplicated<T> {
    if items.len() <= 1 {
        return Deduplicated { distinct: items, places: Places(None) };
    }
    let count = items.len();
    let mut distinct = IndexSet::with_capacity(count);
    let index_of: Vec<usize> = items.into_iter().map(|item| distinct.insert_full(item).0).collect();
    let places = Places((distinct.len() < count).then_some(index_of));
    Deduplicated { distinct: distinct.into_iter().collect(), places }
}

impl Places {
    /// Returns how many items equal an earlier one, of a call with so many distinct ones.
    pub fn repeated(&self, distinct: usize) -> usize {
        self.0.as_ref().map_or(0, |index_of| index_of.len() - distinct)
    }

    /// Gives each item of the call the result of its equal.
    pub fn spread<T: Clone>(self, results: Vec<Result<T, Error>>) -> Vec<Result<T, Error>> {
        let Some(index_of) = self.0 else { return results };
        let result = |index: usize| results.get(index).cloned().unwrap_or(Err(Error::ShuttingDown));
        index_of.into_iter().map(result).collect()
    }
}
