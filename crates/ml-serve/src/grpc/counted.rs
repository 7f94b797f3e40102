//! Around every call: admitted, and counted once, by outcome, as requests over HTTP are.

use std::sync::Arc;
use std::time::Instant;

use tonic::{Code, Status};

use crate::ApiError;
use crate::oip::Refusal;
use crate::state::State;

/// A call at work; counted when it is dropped.
pub(super) struct Counted {
    state: Arc<State>,
    route: &'static str,
    started: Instant,
    status: u16,
    outcome: &'static str,
}

impl Counted {
    /// Admits a call that computes something.
    ///
    /// # Errors
    /// When as many requests are at work as may be.
    pub fn admit(state: &Arc<State>, route: &'static str) -> Result<Self, Refusal> {
        let mut counted = Self::enter(state, route);
        let limit_requests = state.limits.concurrent_requests_max;
        if usize::try_from(state.metrics.at_work.get()).unwrap_or(0) > limit_requests {
            return counted
                .ended(Err(Refusal(ApiError::TooManyRequests { limit_requests })))
                .map(|()| counted);
        }
        Ok(counted)
    }

    /// Counts a call that only asks.
    pub fn enter(state: &Arc<State>, route: &'static str) -> Self {
        state.metrics.at_work.inc();
        // Until an answer is known, the call counts as one whose caller left.
        let (state, started) = (Arc::clone(state), Instant::now());
        Self { state, route, started, status: 499, outcome: "abandoned" }
    }

    /// Takes down how the call ended.
    pub fn ended<T>(&mut self, result: Result<T, Refusal>) -> Result<T, Refusal> {
        (self.status, self.outcome) = match &result {
            Ok(_) => (200, "ok"),
            Err(refusal) => {
                let (status, code) = refusal.0.status_and_code();
                (status.as_u16(), code)
            }
        };
        result
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.state.metrics.at_work.dec();
        self.state.metrics.finished(self.route, self.status, self.outcome, self.started.elapsed());
    }
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        let (status, code) = refusal.0.status_and_code();
        let code = match status.as_u16() {
            // Over HTTP this is the request's fault, as all that cannot be answered whoever asks; here it has a code.
            _ if code == "unsupported" => Code::Unimplemented,
            403 => Code::PermissionDenied,
            404 => Code::NotFound,
            409 => Code::AlreadyExists,
            429 | 503 => Code::Unavailable,
            408 | 504 => Code::DeadlineExceeded,
            500..=599 => Code::Internal,
            _ => Code::InvalidArgument,
        };
        Self::new(code, refusal.text())
    }
}
