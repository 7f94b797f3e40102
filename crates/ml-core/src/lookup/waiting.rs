//! What a call waits on: a slot for each key that is not known yet, and one signal when all are filled.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::oneshot;

use super::LookupError;

/// What a fetch made of one key: its value, that there is none, or why neither is known.
pub(super) type Outcome<V> = Result<Option<Arc<V>>, LookupError>;

/// The caller's end.
pub(super) struct Slots<V>(Mutex<Open<V>>);

struct Open<V> {
    outcomes: Vec<Option<Outcome<V>>>,
    unanswered: usize,
    done: Option<oneshot::Sender<()>>,
}

/// The fetch's end, for one key of one call. A call that has left takes its slots with it.
pub(super) struct Waiter<V> {
    slots: Weak<Slots<V>>,
    slot: usize,
}

impl<V> Slots<V> {
    /// Opens so many slots; the receiver is told when all are filled.
    pub fn new(count: usize) -> (Arc<Self>, oneshot::Receiver<()>) {
        let (done, receiver) = oneshot::channel();
        let outcomes = (0..count).map(|_| None).collect();
        (Arc::new(Self(Mutex::new(Open { outcomes, unanswered: count, done: Some(done) }))), receiver)
    }

    pub fn waiter(self: &Arc<Self>, slot: usize) -> Waiter<V> {
        Waiter { slots: Arc::downgrade(self), slot }
    }

    /// Takes what has come so far.
    pub fn take(&self) -> Vec<Option<Outcome<V>>> {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut open.outcomes)
    }
}

impl<V> Waiter<V> {
    /// Returns whether somebody still waits.
    pub fn is_awaited(&self) -> bool {
        self.slots.strong_count() > 0
    }

    pub fn answer(&self, outcome: Outcome<V>) {
        let Some(slots) = self.slots.upgrade() else { return };
        let mut open = slots.0.lock().unwrap_or_else(PoisonError::into_inner);
        // The slots are gone when the call's time was up.
        let Some(slot) = open.outcomes.get_mut(self.slot) else { return };
        *slot = Some(outcome);
        open.unanswered -= 1;
        if open.unanswered == 0 {
            // Dropped, it wakes who waits just as well as sent, and says no less.
            open.done = None;
        }
    }
}
