//! The accounts of a run: every request that was due is somewhere.

use std::fmt;

use serde::Serialize;

use crate::load::Tally;

/// Where the requests went that were due in the counted time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Accounts {
    /// Requests that were due: in an open loop by the schedule that was made before the run, in a closed one by
    /// what its clients sent.
    pub due: u64,
    /// Requests that were sent.
    pub sent: u64,
    /// Requests that were due when too many were in flight.
    pub not_sent: u64,
    /// Requests that were answered with 2xx.
    pub answered: u64,
    /// Requests that the server answered with another status.
    pub refused: u64,
    /// Requests without an answer that could be understood: no connection, timeout, another form.
    pub failed: u64,
    /// Requests that are none of these: anything but 0 is a defect of the measurement.
    pub unaccounted: i64,
}

impl Accounts {
    pub(super) fn new(tally: &Tally, scheduled: Option<u64>) -> Self {
        let Tally { sent, answered, refused, failed, not_sent, .. } = *tally;
        let due = scheduled.unwrap_or(sent);
        let ended = answered + refused + failed;
        let lost = |begun: u64, ended: u64| begun.cast_signed() - ended.cast_signed();
        let unaccounted = match lost(sent, ended) {
            0 => lost(due, ended + not_sent),
            unanswered => unanswered,
        };
        Self { due, sent, not_sent, answered, refused, failed, unaccounted }
    }
}

impl fmt::Display for Accounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { due, sent, not_sent, answered, refused, failed, unaccounted } = self;
        write!(f, "{due} due; {sent} sent = {answered} answered + {refused} refused + {failed} failed")?;
        write!(f, "; {not_sent} not sent; {unaccounted} unaccounted")
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::load::{Answered, Times, Window};
    use crate::{Failure, FailureKind};

    const SECOND: Duration = Duration::from_secs(1);

    fn tally(kinds: &[Option<FailureKind>]) -> Tally {
        let mut tally = Tally::new(Window { warm_up: Duration::ZERO, duration: SECOND }, None).unwrap();
        for kind in kinds {
            let sent = *kind != Some(FailureKind::NotSent);
            if sent {
                tally.send(Duration::ZERO, false);
            }
            let times = Times { due: Duration::ZERO, sent: Duration::ZERO, done: Duration::ZERO };
            let outcome = match kind {
                None => Ok(Answered { items: 1, ..Answered::default() }),
                Some(kind) => Err(Failure::new(kind.clone(), "")),
            };
            tally.record(times, outcome);
        }
        tally
    }

    #[test]
    fn every_request_is_somewhere() {
        use FailureKind::{Answer, Connection, NotSent, Status, Timeout};
        let refused = Status { status: 429, code: Some("overloaded".to_owned()) };
        let kinds = [None, None, Some(refused), Some(Answer), Some(Connection), Some(Timeout), Some(NotSent)];
        let accounts = Accounts::new(&tally(&kinds), Some(7));
        let expected =
            Accounts { due: 7, sent: 6, not_sent: 1, answered: 2, refused: 1, failed: 3, unaccounted: 0 };
        assert_eq!(accounts, expected);
    }

    #[test]
    fn an_item_that_failed_in_an_answered_batch_is_no_request() {
        let mut tally = tally(&[]);
        tally.send(Duration::ZERO, false);
        let mut answered = Answered { items: 1, ..Answered::default() };
        answered.failures.add(Failure::new(FailureKind::Answer, "no output"), 1);
        let times = Times { due: Duration::ZERO, sent: Duration::ZERO, done: Duration::ZERO };
        tally.record(times, Ok(answered));
        let accounts = Accounts::new(&tally, None);
        assert_eq!((accounts.answered, accounts.failed, accounts.unaccounted), (1, 0, 0));
        assert_eq!(tally.failures.total(), 1);
    }

    #[test]
    fn a_request_of_which_nothing_came_is_unaccounted() {
        let mut tally = tally(&[None]);
        assert_eq!(Accounts::new(&tally, Some(3)).unaccounted, 2, "two of the schedule never showed up");
        tally.send(Duration::ZERO, false);
        assert_eq!(Accounts::new(&tally, None).unaccounted, 1, "one was sent and never came back");
    }
}
