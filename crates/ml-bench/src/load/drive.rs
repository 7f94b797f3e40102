//! Driving the load on one client thread: a closed loop of clients, or an open loop of arrivals.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use actix_web::rt::time::Sleep;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::{JoinError, JoinSet};

use super::pacer::Arrival;
use super::pick::Picker;
use super::{Answered, Goal, Tally, Times, Window};
use crate::client::Client;
use crate::{Dataset, Endpoint, Error, Failure, FailureKind, Failures, Target};

/// What all client threads share.
pub(super) struct Plan {
    pub(super) data: Dataset,
    pub(super) endpoint: Endpoint,
    pub(super) target: Target,
    pub(super) batch: usize,
    pub(super) window: Window,
    pub(super) goal: Option<Goal>,
    pub(super) start: Instant,
    /// The first item of a closed loop's next request.
    pub(super) next: AtomicUsize,
    pub(super) picker: Picker,
    /// Requests of an open loop that have no answer yet.
    pub(super) in_flight: AtomicUsize,
    /// All answers so far, for the progress bar.
    pub(super) answered: AtomicU64,
}

/// What one thread does of it.
pub(super) enum Share {
    /// So many clients of a closed loop.
    Clients(usize),
    /// The arrivals of an open loop that the pacer hands to this thread.
    Arrivals { due: UnboundedReceiver<Arrival>, max_in_flight: usize },
}

/// Sends this thread's share of the requests and waits for all answers.
///
/// Each client, and each arrival, is a task: the runtime lets all that are ready go on before it asks the system for more, as it does
/// not between two wakes of the future that it blocks on (0.4 such calls a request of a small model, not 0.6).
pub(super) async fn drive(plan: Arc<Plan>, share: Share) -> Result<Tally, Error> {
    let tally = RefCell::new(Tally::new(plan.window, plan.goal)?);
    let driver = Rc::new(Driver { client: Client::new(&plan.endpoint), plan, tally });
    let mut tasks = JoinSet::new();
    match share {
        Share::Clients(count) => (0..count).for_each(|_| {
            tasks.spawn_local(Rc::clone(&driver).client());
        }),
        Share::Arrivals { mut due, max_in_flight } => {
            while let Some(arrival) = due.recv().await {
                tasks.spawn_local(Rc::clone(&driver).arrival(arrival, max_in_flight));
                while let Some(ended) = tasks.try_join_next() {
                    pass_panic_on(ended);
                }
            }
        }
    }
    while let Some(ended) = tasks.join_next().await {
        pass_panic_on(ended);
    }
    Ok(driver.tally.replace(Tally::new(driver.plan.window, driver.plan.goal)?))
}

/// A client that panicked ends its thread, whose loss is an error of the measurement.
fn pass_panic_on(ended: Result<(), JoinError>) {
    if let Some(panic) = ended.err().and_then(|error| error.try_into_panic().ok()) {
        std::panic::resume_unwind(panic);
    }
}

struct Driver {
    plan: Arc<Plan>,
    client: Client,
    tally: RefCell<Tally>,
}

impl Driver {
    /// One client of a closed loop.
    async fn client(self: Rc<Self>) {
        let mut alarm = self.client.alarm();
        while self.plan.start.elapsed() < self.plan.window.end() {
            let next = || self.plan.next.fetch_add(self.plan.batch, Ordering::Relaxed);
            self.request(next, None, &mut alarm).await;
        }
    }

    /// One request of an open loop.
    async fn arrival(self: Rc<Self>, Arrival { number, due }: Arrival, max_in_flight: usize) {
        let in_flight = &self.plan.in_flight;
        if in_flight.fetch_add(1, Ordering::Relaxed) < max_in_flight {
            self.request(|| number * self.plan.batch, Some(due), &mut self.client.alarm()).await;
        } else {
            let now = self.plan.start.elapsed();
            let failure =
                Failure::new(FailureKind::NotSent, format!("{max_in_flight} requests were in flight"));
            self.tally.borrow_mut().record(Times { due, sent: now, done: now }, Err(failure));
        }
        in_flight.fetch_sub(1, Ordering::Relaxed);
    }

    /// Sends one request. Without a due instant it is due once it is built.
    async fn request(
        &self,
        fresh: impl FnOnce() -> usize,
        due: Option<Duration>,
        alarm: &mut Pin<Box<Sleep>>,
    ) {
        let picked = self.plan.picker.pick(fresh);
        let body = self.plan.endpoint.body.fill(self.plan.data.round_robin(picked.first, self.plan.batch));
        let sent = self.plan.start.elapsed();
        let due = due.unwrap_or(sent);
        self.tally.borrow_mut().send(due, picked.duplicate);
        let answer = self.client.send(body, alarm).await;
        let done = self.plan.start.elapsed();
        drop(picked);
        let outcome = answer.and_then(|body| self.plan.read(&body));
        self.plan.answered.fetch_add(u64::from(outcome.is_ok()), Ordering::Relaxed);
        self.tally.borrow_mut().record(Times { due, sent, done }, outcome);
    }
}

impl Plan {
    /// Returns what a 2xx answer says. A batch is only parsed when the word `error` stands somewhere in it:
    /// the client shares the machine with the server, and what it spends the server lacks.
    fn read(&self, body: &[u8]) -> Result<Answered, Failure> {
        const ERROR: &[u8] = b"\"error\"";
        if self.batch == 1 || !body.windows(ERROR.len()).any(|bytes| bytes == ERROR) {
            return Ok(Answered { items: self.batch as u64, failures: Failures::default() });
        }
        let mut answered = Answered::default();
        for answer in self.target.read_answers(body, self.batch)? {
            match answer {
                Ok(_) => answered.items += 1,
                Err(failure) => answered.failures.add(failure, 1),
            }
        }
        Ok(answered)
    }
}
