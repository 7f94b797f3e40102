//! A case: one combination of sessions, threads, batch size and order.

use std::fmt;
use std::num::NonZeroUsize;

use serde::{Deserialize, Serialize};

/// How many sessions run at once, and with how many threads each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Width {
    /// Sessions, each run by a thread of its own.
    pub sessions: NonZeroUsize,
    /// Threads inside each session.
    pub threads: NonZeroUsize,
}

/// How items are put into batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// As they come.
    Arrival,
    /// The longest first, so that those of a batch are of similar length.
    Sorted,
}

/// One combination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Case {
    /// Sessions and threads.
    #[serde(flatten)]
    pub width: Width,
    /// Items in one run of the model.
    pub batch: NonZeroUsize,
    /// How they are put together.
    pub order: Order,
}

impl Width {
    /// Returns all widths whose threads together are at most the CPUs, of these numbers of sessions and threads.
    pub fn within(cpus: usize, sessions: &[NonZeroUsize], threads: &[NonZeroUsize]) -> Vec<Self> {
        let all = sessions.iter().flat_map(|sessions| {
            threads.iter().map(|threads| Self { sessions: *sessions, threads: *threads })
        });
        all.filter(|width| width.sessions.get() * width.threads.get() <= cpus).collect()
    }

    /// Returns the powers of two up to the CPUs, and the CPUs.
    pub fn steps(cpus: usize) -> Vec<NonZeroUsize> {
        let powers = (0..usize::BITS).map(|power| 1 << power).take_while(|power| *power < cpus);
        powers.chain([cpus]).filter_map(NonZeroUsize::new).collect()
    }
}

impl Order {
    /// Returns the indices of the items, given the length of each, in this order.
    pub(crate) fn indices(self, lengths: &[usize]) -> Vec<usize> {
        let mut indices: Vec<usize> = (0..lengths.len()).collect();
        if self == Self::Sorted {
            // The longest first also keeps the last batches short, so no session works on alone for long.
            indices.sort_by_key(|index| std::cmp::Reverse(lengths[*index]));
        }
        indices
    }
}

impl fmt::Display for Width {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} × {}", self.sessions, self.threads)
    }
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Arrival => "arrival",
            Self::Sorted => "sorted",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths_fit_the_cpus() {
        let widths = |cpus| {
            let steps = Width::steps(cpus);
            Width::within(cpus, &steps, &steps).iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(widths(1), ["1 × 1"]);
        assert_eq!(widths(2), ["1 × 1", "1 × 2", "2 × 1"]);
        assert_eq!(widths(6).len(), 3 + 1 + 2 + 1 + 1);
    }

    #[test]
    fn sorted_items_begin_with_the_longest_and_keep_their_order_within_a_length() {
        let lengths = [3, 9, 3, 5];
        assert_eq!(Order::Sorted.indices(&lengths), [1, 3, 0, 2]);
        assert_eq!(Order::Arrival.indices(&lengths), [0, 1, 2, 3]);
    }
}
