//! The way back: each job carries a ticket, and the call is done when its last ticket is answered.
//!
//! Row and reply travel together, so an answer cannot reach the wrong caller; and a ticket that is dropped
//! unanswered answers with an error, so a call can never wait for ever.

use std::future::poll_fn;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

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
pub(super) struct Pending<T>(Arc<Shared<T>>);

struct Shared<T> {
    /// True when the caller dropped its future: its items need not be computed.
    left: AtomicBool,
    answers: Mutex<Answers<T>>,
}

/// What has been answered by now.
struct Answers<T> {
    slots: Vec<Option<Result<T, Error>>>,
    unanswered: usize,
    queued: Duration,
    predicted: Duration,
    /// The caller, if it sleeps: the last answer wakes it.
    caller: Option<Waker>,
}

impl<T> Shared<T> {
    fn answers(&self) -> MutexGuard<'_, Answers<T>> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
        let answers = Answers {
            slots: (0..items).map(|_| None).collect(),
            unanswered: items,
            queued: Duration::ZERO,
            predicted: Duration::ZERO,
            caller: None,
        };
        let shared = Arc::new(Shared { left: AtomicBool::new(false), answers: Mutex::new(answers) });
        let tickets = Tickets { shared: Arc::clone(&shared), slots: 0..items };
        (Self(shared), tickets)
    }

    /// Waits until every item has its result.
    pub async fn wait(self) -> Done<T> {
        poll_fn(|context| {
            let mut answers = self.0.answers();
            if answers.unanswered > 0 {
                answers.caller = Some(context.waker().clone());
                return Poll::Pending;
            }
            let Answers { queued, predicted, .. } = *answers;
            let slots = std::mem::take(&mut answers.slots).into_iter();
            let results = slots.map(|slot| slot.unwrap_or(Err(Error::ShuttingDown))).collect();
            Poll::Ready(Done { results, queued, predicted })
        })
        .await
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

    /// Answers all that are left with an error.
    pub fn refuse(&mut self, error: &Error) {
        self.for_each(|ticket| ticket.answer(Err(error.clone()), Duration::ZERO, Duration::ZERO));
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
        self.0.left.store(true, Ordering::Release);
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
        let mut answers = self.shared.answers();
        answers.slots[self.slot] = Some(result);
        answers.unanswered -= 1;
        answers.queued = answers.queued.max(queued);
        answers.predicted = answers.predicted.max(predicted);
        let caller = if answers.unanswered == 0 { answers.caller.take() } else { None };
        drop(answers);
        if let Some(caller) = caller {
            caller.wake();
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
