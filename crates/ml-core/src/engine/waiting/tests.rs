use std::time::Duration;

use proptest::prelude::*;

use super::*;

const LINE: Line = Line::new(2e-3, 0.22e-3);

fn shape(items_max: usize) -> Shape {
    Shape { items_max, packed: false, sizes: Vec::new() }
}

/// Takes a batch and returns the items' names.
fn next(waiting: &mut Waiting<usize>, items_max: usize, now: Instant) -> Vec<usize> {
    let taken = waiting.take(now, &shape(items_max), Some(LINE), |_| false);
    taken.batch.into_iter().map(|entry| entry.item).collect()
}

fn waiting(entries: impl IntoIterator<Item = (Priority, Entry<usize>)>) -> Waiting<usize> {
    let mut waiting = Waiting::new();
    entries.into_iter().for_each(|(priority, entry)| waiting.push(priority, entry));
    waiting
}

#[test]
fn the_earliest_deadline_goes_first_and_then_the_oldest() {
    let now = Instant::now();
    let within = |ms| Some(now + Duration::from_millis(ms));
    let entries = [(0, None), (1, within(900)), (2, within(50)), (3, within(900)), (4, None)];
    let mut waiting =
        waiting(entries.map(|(item, deadline)| (Priority::Interactive, Entry::new(item, 20, deadline))));
    let order: Vec<_> = (0..5).flat_map(|_| next(&mut waiting, 1, now)).collect();
    assert_eq!(order, [2, 1, 3, 0, 4]);
    assert!(next(&mut waiting, 1, now).is_empty());
}

#[test]
fn interactive_items_go_before_bulk_and_bulk_gets_its_turn() {
    let now = Instant::now();
    let bulk = (0..3).map(|item| (Priority::Bulk, Entry::new(item, 20, None)));
    let interactive = (100..120).map(|item| (Priority::Interactive, Entry::new(item, 20, None)));
    let mut waiting = waiting(bulk.chain(interactive));
    let order: Vec<_> = (0..23).flat_map(|_| next(&mut waiting, 1, now)).collect();
    let bulk: Vec<_> = order.iter().enumerate().filter(|(_, item)| **item < 100).map(|(at, _)| at).collect();
    assert_eq!(bulk, [7, 15, 22], "{order:?}");
    assert_eq!((waiting.len(), waiting.cost_before(Priority::Bulk)), (0, 0));
}

#[test]
fn bulk_items_fill_up_an_interactive_batch_but_never_take_its_place() {
    let now = Instant::now();
    let entry = |item| Entry::new(item, 20, None);
    let mut waiting = waiting([
        (Priority::Bulk, entry(0)),
        (Priority::Bulk, entry(1)),
        (Priority::Interactive, entry(100)),
        (Priority::Interactive, entry(101)),
    ]);
    assert_eq!(waiting.cost_before(Priority::Interactive), 40);
    assert_eq!(waiting.cost_before(Priority::Bulk), 80);
    assert_eq!(next(&mut waiting, 3, now), [100, 101, 0]);
    assert_eq!(next(&mut waiting, 3, now), [1]);
}

#[test]
fn what_nobody_waits_for_is_taken_out() {
    let now = Instant::now();
    let past = now.checked_sub(Duration::from_millis(1));
    let mut waiting = waiting(
        [(0, past), (1, None), (2, Some(now)), (3, None)]
            .map(|(item, deadline)| (Priority::Interactive, Entry::new(item, 20, deadline))),
    );
    let taken = waiting.take(now, &shape(8), Some(LINE), |item| *item == 1);
    let names = |entries: Vec<Entry<usize>>| entries.into_iter().map(|entry| entry.item).collect::<Vec<_>>();
    assert_eq!(
        (names(taken.batch), names(taken.expired), names(taken.abandoned)),
        (vec![3], vec![0, 2], vec![1])
    );
    assert_eq!((waiting.len(), waiting.cost_before(Priority::Bulk)), (0, 0));
}

#[test]
fn what_would_be_late_is_taken_out_but_for_one_that_is_tried() {
    let now = Instant::now();
    let within = |ms| (Priority::Interactive, Some(now + Duration::from_millis(ms)));
    // 20 tokens take 6.4 ms.
    let entries = |deadlines: &[u64]| {
        let deadlines = deadlines.iter().enumerate();
        waiting(deadlines.map(|(item, ms)| (within(*ms).0, Entry::new(item, 20, within(*ms).1))))
    };
    let taken = |deadlines: &[u64]| {
        let taken = entries(deadlines).take(now, &shape(8), Some(LINE), |_| false);
        let names =
            |entries: Vec<Entry<usize>>| entries.into_iter().map(|entry| entry.item).collect::<Vec<_>>();
        (names(taken.batch), names(taken.expired))
    };
    assert_eq!(taken(&[5, 7, 6]), (vec![1], vec![0, 2]));
    assert_eq!(taken(&[5, 4, 6]), (vec![2], vec![0, 1]));
    assert_eq!(taken(&[0, 5, 0]), (vec![1], vec![0, 2]));
}

/// One step of a simulated day: some items arrive, then a runner takes a batch.
#[derive(Debug, Clone)]
struct Step {
    arrivals: Vec<(bool, usize, Option<u64>)>,
    batches: usize,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let arrival = (any::<bool>(), 1..200_usize, proptest::option::of(0..50_u64));
    let step = (proptest::collection::vec(arrival, 0..40), 0..4_usize)
        .prop_map(|(arrivals, batches)| Step { arrivals, batches });
    proptest::collection::vec(step, 1..60)
}

proptest! {
    /// Whatever arrives whenever: each item leaves once, none is overtaken more often than is allowed, no batch is
    /// larger than allowed, and what is late is not computed.
    #[test]
    fn every_item_leaves_once_and_is_overtaken_within_the_bound(steps in steps(), items_max in 1..20_usize) {
        let start = Instant::now();
        let shape = shape(items_max);
        let mut waiting = Waiting::new();
        let (mut arrived, mut left) = (0, Vec::new());
        let mut take = |waiting: &mut Waiting<usize>, now| {
            let taken = waiting.take(now, &shape, Some(LINE), |_| false);
            prop_assert!(taken.batch.len() <= items_max);
            prop_assert!(taken.batch.iter().all(|entry| entry.deadline.is_none_or(|deadline| deadline > now)));
            let alone = |cost| Duration::from_secs_f64(LINE.time(cost));
            let is_hopeless =
                |entry: &Entry<_>| entry.deadline.is_some_and(|deadline| deadline <= now + alone(entry.cost));
            prop_assert!(taken.expired.iter().all(is_hopeless));
            for entry in taken.batch.iter().chain(&taken.expired) {
                prop_assert!(entry.overtaken <= OVERTAKEN_ITEMS_MAX);
                left.push(entry.item);
            }
            Ok(())
        };
        for (tick, step) in steps.iter().enumerate() {
            let now = start + Duration::from_millis(tick as u64);
            for (bulk, cost, time_left) in &step.arrivals {
                let priority = if *bulk { Priority::Bulk } else { Priority::Interactive };
                let deadline = time_left.map(|ms| now + Duration::from_millis(ms));
                waiting.push(priority, Entry::new(arrived, *cost, deadline));
                arrived += 1;
            }
            for _ in 0..step.batches {
                take(&mut waiting, now)?;
            }
        }
        let end = start + Duration::from_secs(1);
        while waiting.len() > 0 {
            take(&mut waiting, end)?;
        }
        left.sort_unstable();
        prop_assert_eq!(left, (0..arrived).collect::<Vec<_>>());
    }
}

/// Bulk items that suit interactive ones fill up their batches, and so overtake an older bulk item of another length.
#[test]
fn no_flood_of_another_priority_keeps_an_item_waiting_for_ever() {
    const LONG: Line = Line::new(1.0, 1e-6);
    for items_max in [64, 256, 2048] {
        let now = Instant::now();
        let mut waiting = waiting([(Priority::Bulk, Entry::new(0, 500, None))]);
        let mut before = 0;
        loop {
            waiting.push(Priority::Interactive, Entry::new(1, 20, None));
            (0..items_max).for_each(|_| waiting.push(Priority::Bulk, Entry::new(2, 20, None)));
            let batch = waiting.take(now, &shape(items_max), Some(LONG), |_| false).batch;
            if batch.iter().any(|entry| entry.item == 0) {
                break;
            }
            before += batch.iter().filter(|entry| entry.item == 2).count();
        }
        let most = OVERTAKEN_ITEMS_MAX.max(items_max);
        assert!(before <= most, "overtaken by {before} in batches of up to {items_max}");
    }
}

/// A patient item of an odd length among a flood of items that suit each other and are all more urgent.
#[test]
fn no_flood_keeps_an_item_waiting_for_ever() {
    let now = Instant::now();
    let urgent = || Entry::new(1, 20, Some(now + Duration::from_secs(1)));
    let mut waiting = waiting([(Priority::Interactive, Entry::new(0, 500, None))]);
    let mut before = 0;
    loop {
        (0..8).for_each(|_| waiting.push(Priority::Interactive, urgent()));
        let batch = next(&mut waiting, 8, now);
        if batch.contains(&0) {
            break;
        }
        before += batch.len();
        assert!(before <= OVERTAKEN_ITEMS_MAX, "overtaken by {before}");
    }
    assert!(before > OVERTAKEN_ITEMS_MAX - 16, "overtaken by only {before}: the bound is not what held");
}
