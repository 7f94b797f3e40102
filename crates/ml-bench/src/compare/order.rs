//! The order of the targets in a round.

/// Returns the order of so many targets in a round: they run forwards and backwards by turns, and begin with the
/// next one every other time, so that each follows, and is followed by, different ones.
pub(super) fn order(targets: usize, round: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..targets).map(|at| (at + round / 2) % targets).collect();
    if round % 2 == 1 {
        order.reverse();
    }
    order
}

#[cfg(test)]
mod tests {
    use super::order;

    #[test]
    fn two_targets_take_turns_and_three_run_in_all_six_orders() {
        assert_eq!([0, 1, 2, 3].map(|round| order(2, round)), [[0, 1], [1, 0], [1, 0], [0, 1]]);
        let mut orders: Vec<_> = (0..6).map(|round| order(3, round)).collect();
        orders.sort_unstable();
        orders.dedup();
        assert_eq!(orders.len(), 6);
    }
}
