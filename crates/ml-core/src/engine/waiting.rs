//! The items that wait, and which of them go next. It has no lock and is told the time, so that tests need neither.
//!
//! Order: interactive items before bulk ones, but bulk gets its turn; within each, the earliest deadline first,
//! then the oldest. The item that goes first takes along those nearest to it in cost, which overtake
//! others; how often an item may be overtaken is bounded.

use std::collections::VecDeque;
use std::time::Instant;

use super::batch::{Candidate, Chosen, Closed, Shape, choose};
use super::pace::Line;

/// How urgent a call is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Priority {
    /// Somebody waits for the answer.
    #[default]
    Interactive,
    /// Work that may take its time: it runs when nothing interactive waits, and in every eighth batch at least.
    Bulk,
}

/// While bulk items wait, at most this many batches in a row are led by an interactive item.
const INTERACTIVE_BATCHES_MAX: usize = 7;

/// No item is overtaken by more than this many that arrived after it with the same priority, or than a batch holds where that is more.
pub(super) const OVERTAKEN_ITEMS_MAX: usize = 1024;

/// A batch is formed from this many times as many of the oldest items as it may hold, so that a long queue costs no
/// more to look at than a short one; sixteen batches' worth are nearly as good as a full sort.
const LOOK_AHEAD_BATCHES: usize = 16;

/// An item that waits.
pub(super) struct Entry<T> {
    pub item: T,
    pub cost: usize,
    pub deadline: Option<Instant>,
    /// How many later items have gone before this one.
    overtaken: usize,
}

impl<T> Entry<T> {
    pub fn new(item: T, cost: usize, deadline: Option<Instant>) -> Self {
        Self { item, cost: cost.max(1), deadline, overtaken: 0 }
    }

    fn fate(&self, now: Instant, line: Option<Line>) -> Option<Fate> {
        let left = self.deadline?.saturating_duration_since(now).as_secs_f64();
        let late = (left == 0.0).then_some(Fate::Late);
        late.or_else(|| (left < line?.time(self.cost)).then_some(Fate::WouldBeLate))
    }
}

/// Why an item is not computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Abandoned,
    Late,
    WouldBeLate,
}

/// What goes next: items to compute, and items that nobody waits for any more.
pub(super) struct Taken<T> {
    pub batch: Vec<Entry<T>>,
    pub closed: Closed,
    pub expired: Vec<Entry<T>>,
    pub abandoned: Vec<Entry<T>>,
}

impl<T> Taken<T> {
    fn nothing() -> Self {
        Self { batch: Vec::new(), closed: Closed::Idle, expired: Vec::new(), abandoned: Vec::new() }
    }
}

/// The waiting items.
pub(super) struct Waiting<T> {
    interactive: Lane<T>,
    bulk: Lane<T>,
    /// Batches led by interactive items since bulk had its turn.
    bulk_passed: usize,
}

impl<T> Waiting<T> {
    pub fn new() -> Self {
        Self { interactive: Lane::new(), bulk: Lane::new(), bulk_passed: 0 }
    }

    pub fn push(&mut self, priority: Priority, entry: Entry<T>) {
        match priority {
            Priority::Interactive => self.interactive.push(entry),
            Priority::Bulk => self.bulk.push(entry),
        }
    }

    pub fn len(&self) -> usize {
        self.interactive.live + self.bulk.live
    }

    /// Returns the cost of all that goes before an item of this priority that arrived now.
    pub fn cost_before(&self, priority: Priority) -> usize {
        match priority {
            Priority::Interactive => self.interactive.cost,
            Priority::Bulk => self.interactive.cost + self.bulk.cost,
        }
    }

    /// Returns the cost of what waits for each of so many runners.
    pub fn backlog(&self, runners: usize) -> f64 {
        self.cost_before(Priority::Bulk) as f64 / runners as f64
    }

    /// Takes what goes next; the batch is empty when only items that nobody waits for were found.
    pub fn take(
        &mut self,
        now: Instant,
        shape: &Shape,
        line: Option<Line>,
        is_abandoned: impl Fn(&T) -> bool,
    ) -> Taken<T> {
        let mut taken = Taken::nothing();
        let window = shape.items_max.saturating_mul(LOOK_AHEAD_BATCHES);
        for lane in [&mut self.interactive, &mut self.bulk] {
            lane.sweep(window, now, line, &is_abandoned, &mut taken);
        }
        let bulk_leads =
            self.bulk.live > 0 && (self.interactive.live == 0 || self.bulk_passed >= INTERACTIVE_BATCHES_MAX);
        self.bulk_passed = if bulk_leads || self.bulk.live == 0 { 0 } else { self.bulk_passed + 1 };
        let (first, second) = if bulk_leads {
            (&mut self.bulk, &mut self.interactive)
        } else {
            (&mut self.interactive, &mut self.bulk)
        };
        if first.live > 0 {
            let (batch, closed) = take_batch(first, second, window, now, shape, line);
            taken.batch = batch;
            taken.closed = closed;
        }
        taken
    }
}

/// Takes a batch led by an item of `first` and filled up, where that helps, from `second`.
fn take_batch<T>(
    first: &mut Lane<T>,
    second: &mut Lane<T>,
    window: usize,
    now: Instant,
    shape: &Shape,
    line: Option<Line>,
) -> (Vec<Entry<T>>, Closed) {
    let (slots, mut candidates) = first.candidates(window, now, 0);
    if first.is_owed(shape) {
        // The oldest has been overtaken as often as it may be: this batch goes in order of arrival.
        (0..candidates.len()).for_each(|place| candidates[place].rank = place);
        let Chosen { indices, closed } = choose(&candidates, 0, shape, line);
        return (first.remove(indices.iter().map(|index| slots[*index])), closed);
    }
    let head = earliest(&candidates);
    let own = candidates.len();
    let (others, mut more) = second.candidates(window, now, 1);
    if second.is_owed(shape) {
        // The other priority's oldest has been overtaken enough, too: those that fill up come in order of arrival.
        (0..more.len()).for_each(|place| more[place].rank += place);
    }
    candidates.extend(more);
    let Chosen { indices, closed } = choose(&candidates, head, shape, line);
    let (mine, theirs) = indices.split_at(indices.partition_point(|index| *index < own));
    let mut batch = first.remove(mine.iter().map(|index| slots[*index]));
    batch.extend(second.remove(theirs.iter().map(|index| others[*index - own])));
    (batch, closed)
}

/// The index of the candidate with the least time left; of equals, and of those with all the time, the oldest.
fn earliest(candidates: &[Candidate]) -> usize {
    let by_deadline = |index: &usize| (candidates[*index].time_left.unwrap_or(u64::MAX), *index);
    (0..candidates.len()).min_by_key(by_deadline).unwrap_or(0)
}

/// The waiting items of one priority, in order of arrival. Taken ones leave a hole until they are the oldest.
struct Lane<T> {
    slots: VecDeque<Option<Entry<T>>>,
    live: usize,
    cost: usize,
}

impl<T> Lane<T> {
    fn new() -> Self {
        Self { slots: VecDeque::new(), live: 0, cost: 0 }
    }

    fn push(&mut self, entry: Entry<T>) {
        self.live += 1;
        self.cost += entry.cost;
        self.slots.push_back(Some(entry));
    }

    fn take_slot(&mut self, slot: usize) -> Option<Entry<T>> {
        let entry = self.slots.get_mut(slot)?.take()?;
        self.live -= 1;
        self.cost -= entry.cost;
        Some(entry)
    }

    /// The slots of the `window` oldest items.
    fn oldest(&self, window: usize) -> impl Iterator<Item = (usize, &Entry<T>)> {
        let live = self.slots.iter().enumerate().filter_map(|(slot, entry)| Some((slot, entry.as_ref()?)));
        live.take(window)
    }

    /// Moves those out of the window that nobody waits for any more, and those that would be late if they ran now.
    ///
    /// Of the latter one is left: were all refused for the time that runs once took, nothing would show it to be wrong.
    fn sweep(
        &mut self,
        window: usize,
        now: Instant,
        line: Option<Line>,
        is_abandoned: impl Fn(&T) -> bool,
        into: &mut Taken<T>,
    ) {
        let dead = |(slot, entry): (usize, &Entry<T>)| {
            let fate = if is_abandoned(&entry.item) { Some(Fate::Abandoned) } else { entry.fate(now, line) };
            fate.map(|fate| (slot, fate))
        };
        loop {
            let mut found: Vec<(usize, Fate)> = self.oldest(window).filter_map(dead).collect();
            if found.len() == self.live
                && let Some(last) = found.iter().rposition(|(_, fate)| *fate == Fate::WouldBeLate)
            {
                found.remove(last);
            }
            if found.is_empty() {
                break;
            }
            for (slot, fate) in found {
                let side = if fate == Fate::Abandoned { &mut into.abandoned } else { &mut into.expired };
                side.extend(self.take_slot(slot));
            }
            self.close_holes(); // Others have come into the window.
        }
    }

    /// The oldest items as candidates, each with the slot that it is in.
    fn candidates(&self, window: usize, now: Instant, rank: usize) -> (Vec<usize>, Vec<Candidate>) {
        let nanos = |deadline: Instant| {
            u64::try_from(deadline.saturating_duration_since(now).as_nanos()).unwrap_or(u64::MAX)
        };
        let candidate = |(slot, entry): (usize, &Entry<T>)| {
            (slot, Candidate { rank, cost: entry.cost, time_left: entry.deadline.map(nanos) })
        };
        self.oldest(window).map(candidate).unzip()
    }

    /// Whether one more batch out of order could overtake the oldest item more often than is allowed.
    fn is_owed(&self, shape: &Shape) -> bool {
        let limit = OVERTAKEN_ITEMS_MAX.max(shape.items_max);
        // An older item was overtaken whenever a younger one was, so the oldest was overtaken most.
        self.oldest(1).any(|(_, oldest)| oldest.overtaken + shape.items_max > limit)
    }

    /// Takes the entries of these slots, which ascend, and notes whom they overtake.
    fn remove(&mut self, slots: impl Iterator<Item = usize>) -> Vec<Entry<T>> {
        let slots: Vec<usize> = slots.collect();
        let mut overtaking = slots.len();
        let mut going = slots.iter().copied().peekable();
        for slot in 0..slots.last().map_or(0, |last| last + 1) {
            if going.next_if_eq(&slot).is_some() {
                overtaking -= 1;
            } else if let Some(entry) = &mut self.slots[slot] {
                entry.overtaken += overtaking;
            }
        }
        let taken = slots.into_iter().filter_map(|slot| self.take_slot(slot)).collect();
        self.close_holes();
        taken
    }

    fn close_holes(&mut self) {
        while self.slots.front().is_some_and(Option::is_none) {
            self.slots.pop_front();
        }
    }
}

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
