//! Driving the load on one client thread: a closed loop of clients, or an open loop of arrivals.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::{StreamExt, future, stream};
use tokio::sync::mpsc::UnboundedReceiver;

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
pub(super) async fn drive(plan: &Plan, share: Share) -> Result<Tally, Error> {
    let tally = RefCell::new(Tally::new(plan.window, plan.goal)?);
    let driver = Driver { plan, client: Client::new(&plan.endpoint), tally };
    match share {
        Share::Clients(count) => {
            future::join_all((0..count).map(|_| driver.client())).await;
        }
        Share::Arrivals { mut due, max_in_flight } => {
            let arrivals = stream::poll_fn(|context| due.poll_recv(context));
            arrivals.for_each_concurrent(None, |arrival| driver.arrival(arrival, max_in_flight)).await;
        }
    }
    Ok(driver.tally.into_inner())
}

struct Driver<'a> {
    plan: &'a Plan,
    client: Client,
    tally: RefCell<Tally>,
}

impl Driver<'_> {
    /// One client of a closed loop.
    async fn client(&self) {
        while self.plan.start.elapsed() < self.plan.window.end() {
            self.request(|| self.plan.next.fetch_add(self.plan.batch, Ordering::Relaxed), None).await;
        }
    }

    /// One request of an open loop.
    async fn arrival(&self, Arrival { number, due }: Arrival, max_in_flight: usize) {
        let in_flight = &self.plan.in_flight;
        if in_flight.fetch_add(1, Ordering::Relaxed) < max_in_flight {
            self.request(|| number * self.plan.batch, Some(due)).await;
        } else {
            let now = self.plan.start.elapsed();
            let failure =
                Failure::new(FailureKind::NotSent, format!("{max_in_flight} requests were in flight"));
            self.tally.borrow_mut().record(Times { due, sent: now, done: now }, Err(failure));
        }
        in_flight.fetch_sub(1, Ordering::Relaxed);
    }

    /// Sends one request. Without a due instant it is due once it is built.
    async fn request(&self, fresh: impl FnOnce() -> usize, due: Option<Duration>) {
        let picked = self.plan.picker.pick(fresh);
        let body = self.plan.endpoint.body.fill(self.plan.data.round_robin(picked.first, self.plan.batch));
        let sent = self.plan.start.elapsed();
        let due = due.unwrap_or(sent);
        self.tally.borrow_mut().send(due, picked.duplicate);
        let answer = self.client.post(body).await;
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
