//! Which of the waiting items run together. Pure: no clock, no lock, no queue.

use super::pace::Line;

/// Why a batch holds no more items than it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Closed {
    /// Nothing else was waiting.
    Idle,
    /// It has as many items as a batch may have.
    Full,
    /// One more item would have cost more time than it saves.
    Budget,
    /// One more item would have made one of them late.
    Deadline,
}

impl Closed {
    pub const ALL: [Self; 4] = [Self::Idle, Self::Full, Self::Budget, Self::Deadline];

    pub fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Full => "full",
            Self::Budget => "budget",
            Self::Deadline => "deadline",
        }
    }
}

/// What a model's batches may look like.
#[derive(Debug, Clone)]
pub(super) struct Shape {
    /// Most items of a batch.
    pub items_max: usize,
    /// Whether the batch is packed: it then costs the sum of its items, else its longest item once for each.
    pub packed: bool,
    /// The sizes that the model takes, ascending; smaller batches are padded up to one of them. Empty: any size.
    pub sizes: Vec<usize>,
}

impl Shape {
    /// Returns the rows that the model computes for this many items.
    fn rows(&self, items: usize) -> usize {
        self.sizes.iter().copied().find(|size| *size >= items).unwrap_or(items)
    }

    /// Whether an item costs more in a batch than alone where others are longer.
    fn pads(&self) -> bool {
        !self.packed || !self.sizes.is_empty()
    }

    /// Returns what a batch costs whose items cost `sum` together and of which the longest costs `longest`.
    pub fn cost(&self, items: usize, longest: usize, sum: usize) -> usize {
        let rows = self.rows(items);
        if self.packed { sum + longest * (rows - items) } else { longest * rows }
    }
}

/// An item that could run now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Candidate {
    /// Lower ranks go first, whatever they cost.
    pub rank: usize,
    pub cost: usize,
    /// Nanoseconds until it must be answered.
    pub time_left: Option<u64>,
}

/// A batch: indices of candidates, ascending.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Chosen {
    pub indices: Vec<usize>,
    pub closed: Closed,
}

/// Chooses the batch of `candidates[head]`: with it, those that suit it best, as long as each makes the work quicker.
///
/// Candidates come in order of arrival. Of all the batches that can be had by adding the next best, the one with the
/// least time per cost wins.
pub(super) fn choose(candidates: &[Candidate], head: usize, shape: &Shape, line: Option<Line>) -> Chosen {
    let oldest = candidates[head];
    let assumed = line.unwrap_or_else(|| Line::assumed(oldest.cost));
    let budget = assumed.budget();
    let order = company(candidates, head, shape);

    let mut batch = Growing::new(oldest);
    let mut best = (1, assumed.time(batch.cost(shape)) / oldest.cost as f64);
    let mut stopped = None;
    for index in &order {
        batch.add(candidates[*index]);
        let cost = batch.cost(shape);
        let time = assumed.time(cost);
        if line.is_some() && batch.time_left.is_some_and(|left| time * 1e9 > left as f64) {
            stopped = Some(Closed::Deadline);
            break;
        }
        let time_per_cost = time / batch.sum as f64;
        if time_per_cost <= best.1 {
            best = (batch.items, time_per_cost);
        }
        if cost as f64 > budget && shape.sizes.is_empty() {
            stopped = Some(Closed::Budget);
            break;
        }
    }
    let mut indices = Vec::with_capacity(best.0);
    indices.push(head);
    indices.extend_from_slice(&order[..best.0 - 1]);
    let closed = match stopped {
        _ if indices.len() == candidates.len() => Closed::Idle,
        Some(reason) => reason,
        None if indices.len() < shape.items_max => Closed::Budget,
        None => Closed::Full,
    };
    indices.sort_unstable();
    Chosen { indices, closed }
}

/// Returns the indices of those that may join the head, the best first: by rank, where padding costs by nearness in cost, and by
/// arrival. Where nothing is padded, items of other lengths are as good, and would only wait for being unlike.
fn company(candidates: &[Candidate], head: usize, shape: &Shape) -> Vec<usize> {
    let most = shape.items_max.saturating_sub(1);
    if most == 0 {
        return Vec::new();
    }
    let (oldest, pads) = (candidates[head], shape.pads());
    let key = |index: &usize| {
        let other = &candidates[*index];
        let unlike = if pads { other.cost.abs_diff(oldest.cost) } else { 0 };
        (other.rank, unlike, *index)
    };
    let mut order: Vec<usize> = (0..candidates.len()).filter(|index| *index != head).collect();
    if order.len() > most {
        order.select_nth_unstable_by_key(most - 1, key);
        order.truncate(most);
    }
    order.sort_unstable_by_key(key);
    order
}

struct Growing {
    items: usize,
    longest: usize,
    sum: usize,
    time_left: Option<u64>,
}

impl Growing {
    fn new(head: Candidate) -> Self {
        Self { items: 1, longest: head.cost, sum: head.cost, time_left: head.time_left }
    }

    fn add(&mut self, other: Candidate) {
        self.items += 1;
        self.longest = self.longest.max(other.cost);
        self.sum += other.cost;
        self.time_left = match (self.time_left, other.time_left) {
            (Some(one), Some(two)) => Some(one.min(two)),
            (one, two) => one.or(two),
        };
    }

    fn cost(&self, shape: &Shape) -> usize {
        shape.cost(self.items, self.longest, self.sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANY: Shape = Shape { items_max: 8, packed: false, sizes: Vec::new() };

    /// all-MiniLM-L6-v2 on one thread.
    const MINILM: Line = Line::new(2e-3, 0.22e-3);

    fn candidates(costs: &[usize]) -> Vec<Candidate> {
        costs.iter().map(|cost| Candidate { rank: 0, cost: *cost, time_left: None }).collect()
    }

    fn chosen(costs: &[usize], shape: &Shape, line: Option<Line>) -> (Vec<usize>, Closed) {
        let Chosen { indices, closed } = choose(&candidates(costs), 0, shape, line);
        (indices, closed)
    }

    #[test]
    fn a_batch_is_the_oldest_item_and_those_that_make_the_work_quicker() {
        let three = Shape { items_max: 3, ..ANY };
        for (costs, shape, expected) in [
            (&[7][..], &ANY, (vec![0], Closed::Idle)),
            (&[1, 1, 1, 1, 1], &three, (vec![0, 1, 2], Closed::Full)),
            (&[20, 100, 21, 19, 400], &ANY, (vec![0, 2, 3], Closed::Budget)),
            (&[20, 22, 21, 19, 18], &three, (vec![0, 2, 3], Closed::Full)),
            (&[100, 10, 10, 10], &ANY, (vec![0], Closed::Budget)),
            (&[10, 100, 10, 100], &ANY, (vec![0, 2], Closed::Budget)),
            (&[5, 5, 5], &Shape { items_max: 1, ..ANY }, (vec![0], Closed::Full)),
        ] {
            assert_eq!(
                chosen(costs, shape, Some(MINILM)),
                expected,
                "{costs:?}, at most {}",
                shape.items_max
            );
        }
    }

    #[test]
    fn a_batch_stops_growing_where_growing_gains_nothing() {
        let wide = Shape { items_max: 1000, ..ANY };
        // 9 × 2 ms / 0.22 ms a token is a budget of 82 tokens: four texts of 27 exceed it.
        assert_eq!(chosen(&[27; 100], &wide, Some(MINILM)), ((0..4).collect(), Closed::Budget));
        let all_fixed = Line::new(1.0, 1e-9);
        assert_eq!(chosen(&[27; 100], &wide, Some(all_fixed)), ((0..100).collect(), Closed::Idle));
        let none_fixed = Line::new(0.0, 1.0);
        assert_eq!(chosen(&[1, 2, 1], &wide, Some(none_fixed)).1, Closed::Budget);
    }

    #[test]
    fn a_model_that_never_ran_is_given_a_batch_of_similar_items() {
        assert_eq!(chosen(&[20, 100, 21, 19, 400], &ANY, None).0, [0, 2, 3]);
        assert_eq!(chosen(&[1; 20], &ANY, None).0.len(), 6);
    }

    #[test]
    fn a_packed_batch_pays_for_no_padding() {
        let packed = Shape { packed: true, ..ANY };
        // The last exceeds the budget of 82, and nothing else waits.
        assert_eq!(chosen(&[10, 40, 10, 30], &packed, Some(MINILM)), ((0..4).collect(), Closed::Idle));
    }

    #[test]
    fn a_packed_batch_is_of_those_who_arrived_first() {
        // A budget of 82, and the next is taken that exceeds it, however unlike it is.
        let packed = Shape { packed: true, items_max: 64, ..ANY };
        let costs = [40, 20, 90, 40, 40, 40];
        assert_eq!(chosen(&costs, &packed, Some(MINILM)), (vec![0, 1, 2], Closed::Budget));
        // Rows are added up to a size that the model takes, each as long as the longest.
        let padded = Shape { sizes: vec![3], items_max: 3, ..packed };
        assert_eq!(chosen(&costs, &padded, Some(MINILM)), (vec![0, 3, 4], Closed::Full));
    }

    #[test]
    fn a_batch_is_padded_up_to_a_size_that_the_model_takes() {
        let sizes = Shape { sizes: vec![2, 8], ..ANY };
        assert_eq!((sizes.cost(1, 5, 5), sizes.cost(3, 5, 15), sizes.cost(9, 5, 45)), (10, 40, 45));
        let line = Line::new(0.0, 1.0);
        for (waiting, expected) in [(1, 1), (2, 2), (3, 2), (7, 2), (8, 8)] {
            assert_eq!(chosen(&vec![5; waiting], &sizes, Some(line)).0.len(), expected, "{waiting} waiting");
        }
    }

    #[test]
    fn a_batch_does_not_make_its_items_late() {
        let mut urgent = candidates(&[20; 8]);
        urgent[0].time_left = Some(16_000_000); // three items take 15.2 ms, four take 19.6 ms
        let Chosen { indices, closed } = choose(&urgent, 0, &ANY, Some(MINILM));
        assert_eq!((indices, closed), (vec![0, 1, 2], Closed::Deadline));
        urgent[0].time_left = Some(1); // late in any case: alone, so that it makes nobody else late
        assert_eq!(choose(&urgent, 0, &ANY, Some(MINILM)).indices, [0]);
    }

    #[test]
    fn a_lower_rank_goes_first_whatever_it_costs() {
        let mut ranked = candidates(&[20, 20, 25, 20]);
        ranked[1].rank = 1;
        let two = Shape { items_max: 2, ..ANY };
        assert_eq!(choose(&ranked, 0, &two, Some(MINILM)).indices, [0, 3]);
        ranked[3].rank = 1;
        assert_eq!(choose(&ranked, 0, &two, Some(MINILM)).indices, [0, 2]);
    }

    #[test]
    fn the_head_need_not_be_the_first() {
        assert_eq!(choose(&candidates(&[90, 20, 21]), 1, &ANY, Some(MINILM)).indices, [1, 2]);
    }
}
