//! The way back: each job carries a ticket, and the call is done when its last ticket is answered.
//!
//! Row and reply travel together, so an answer cannot reach the wrong caller; and a ticket that is dropped
//! unanswered answers with an error, so a call can never wait for ever.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::Error;

/// What comes back for all items of one call.
pub(super) struct Done<T> {
    pub results: Vec<Result<T, Error>>,
    /// The longest wait of any item.
    pub queued: Duration,
    /// The longest run of the model that any item took part in.
    pub predicted: Duration,
}

/// The caller's end.
pub(super) struct Pending<T> {
    shared: Arc<Shared<T>>,
    done: oneshot::Receiver<Done<T>>,
}

struct Shared<T> {
    /// True when the caller dropped its future: its items need not be computed.
    left: AtomicBool,
    open: Mutex<Option<Open<T>>>,
}

struct Open<T> {
    slots: Vec<Option<Result<T, Error>>>,
    unanswered: usize,
    queued: Duration,
    predicted: Duration,
    done: oneshot::Sender<Done<T>>,
}

/// The runner's end, for one item.
pub(super) struct Ticket<T> {
    shared: Arc<Shared<T>>,
    slot: usize,
    answered: bool,
}

impl<T> Pending<T> {
    /// Opens a call of `items` items.
    pub fn new(items: usize) -> (Self, Tickets<T>) {
        let (sender, done) = oneshot::channel();
        let open = Open {
            slots: (0..items).map(|_| None).collect(),
            unanswered: items,
            queued: Duration::ZERO,
            predicted: Duration::ZERO,
            done: sender,
        };
        let shared = Arc::new(Shared { left: AtomicBool::new(false), open: Mutex::new(Some(open)) });
        let tickets = Tickets { shared: Arc::clone(&shared), slots: 0..items };
        (Self { shared, done }, tickets)
    }

    /// Waits until every item has its result.
    pub async fn wait(mut self) -> Done<T> {
        let done = (&mut self.done).await;
        done.unwrap_or_else(|_| Done {
            results: Vec::new(),
            queued: Duration::ZERO,
            predicted: Duration::ZERO,
        })
    }
}

/// The tickets of a call's items, in their order. Those that are not taken answer with an error.
pub(super) struct Tickets<T> {
    shared: Arc<Shared<T>>,
    slots: Range<usize>,
}

impl<T> Tickets<T> {
    /// Takes the tickets of the first `items` items off.
    pub fn split_off_first(&mut self, items: usize) -> Self {
        let end = self.slots.start.saturating_add(items).min(self.slots.end);
        let slots = self.slots.start..end;
        self.slots.start = end;
        Self { shared: Arc::clone(&self.shared), slots }
    }
}

impl<T> Iterator for Tickets<T> {
    type Item = Ticket<T>;

    fn next(&mut self) -> Option<Ticket<T>> {
        let slot = self.slots.next()?;
        Some(Ticket { shared: Arc::clone(&self.shared), slot, answered: false })
    }
}

impl<T> Drop for Tickets<T> {
    fn drop(&mut self) {
        self.for_each(drop);
    }
}

impl<T> Drop for Pending<T> {
    fn drop(&mut self) {
        self.shared.left.store(true, Ordering::Release);
    }
}

impl<T> Ticket<T> {
    /// Returns whether nobody waits for this answer any more.
    pub fn is_abandoned(&self) -> bool {
        self.shared.left.load(Ordering::Acquire)
    }

    /// Gives the item its result, with the time it waited and the time its batch ran.
    pub fn answer(mut self, result: Result<T, Error>, queued: Duration, predicted: Duration) {
        self.settle(result, queued, predicted);
    }

    fn settle(&mut self, result: Result<T, Error>, queued: Duration, predicted: Duration) {
        self.answered = true;
        let mut guard = self.shared.open.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(open) = guard.as_mut() else { return };
        open.slots[self.slot] = Some(result);
        open.unanswered -= 1;
        open.queued = open.queued.max(queued);
        open.predicted = open.predicted.max(predicted);
        if open.unanswered > 0 {
            return;
        }
        if let Some(open) = guard.take() {
            let results =
                open.slots.into_iter().map(|slot| slot.unwrap_or(Err(Error::ShuttingDown))).collect();
            let done = Done { results, queued: open.queued, predicted: open.predicted };
            // A caller that has left is no error: its answers are of no use to anybody.
            drop(open.done.send(done));
        }
    }
}

impl<T> Drop for Ticket<T> {
    fn drop(&mut self) {
        if !self.answered {
            self.settle(Err(Error::ShuttingDown), Duration::ZERO, Duration::ZERO);
        }
    }
}
