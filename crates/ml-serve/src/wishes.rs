//! What a caller may ask of a call, in its headers: to be answered in time, and to go before others or after them.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::{Duration, Instant};

use actix_web::HttpRequest;
use actix_web::http::header::HeaderName;
use actix_web::rt::time::sleep_until;
use futures_util::future::{Either, select};
use ml_core::{CallOptions, Priority, WhenFull};

use crate::ApiError;

/// The time in which the caller wants its answer, in milliseconds; the server's own limit holds as well.
pub(crate) const TIMEOUT_HEADER: &str = "x-request-timeout-ms";
static TIMEOUT: HeaderName = HeaderName::from_static(TIMEOUT_HEADER);

/// Whether somebody waits for the answer: `interactive` or `bulk`.
pub(crate) const PRIORITY_HEADER: &str = "x-request-priority";
static PRIORITY: HeaderName = HeaderName::from_static(PRIORITY_HEADER);

/// How a call is to be treated, from the moment that its head was read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wishes {
    pub deadline: Option<Instant>,
    /// From the head to the deadline, and for each part of a stream from when it was read.
    pub timeout: Duration,
    pub priority: Priority,
}

impl Wishes {
    /// Reads the headers; without them a call has the server's time and the route's usual priority.
    ///
    /// # Errors
    /// A value that means nothing is refused rather than guessed at.
    pub fn read(request: &HttpRequest, timeout_max: Duration, usual: Priority) -> Result<Self, ApiError> {
        let timeout = header(request, &TIMEOUT, "whole milliseconds, 1 or more", |value| {
            value.parse().ok().filter(|ms| *ms > 0).map(Duration::from_millis)
        })?;
        let priority = header(request, &PRIORITY, "interactive or bulk", |value| match value {
            "interactive" => Some(Priority::Interactive),
            "bulk" => Some(Priority::Bulk),
            _ => None,
        })?;
        let timeout = timeout.map_or(timeout_max, |timeout| timeout.min(timeout_max));
        let deadline = Instant::now().checked_add(timeout);
        Ok(Self { deadline, timeout, priority: priority.unwrap_or(usual) })
    }

    pub fn options(self, when_full: WhenFull) -> CallOptions {
        CallOptions { deadline: self.deadline, priority: self.priority, when_full, ..CallOptions::default() }
    }

    /// Options for a part of a stream that was just read: the stream may be of any length, and waits for room instead of being refused.
    pub fn options_of_part(self) -> CallOptions {
        CallOptions { deadline: Instant::now().checked_add(self.timeout), ..self.options(WhenFull::Wait) }
    }
}

/// Awaits an answer until the deadline.
///
/// # Errors
/// When the deadline passed first.
pub(crate) async fn in_time<T>(
    deadline: Option<Instant>,
    answer: impl Future<Output = T>,
) -> Result<T, ApiError> {
    let mut answer = pin!(answer);
    if let Some(answer) = without_waiting(answer.as_mut()).await {
        return Ok(answer);
    }
    let Some(deadline) = deadline else { return Ok(answer.await) };
    match select(answer, Box::pin(sleep_until(deadline.into()))).await {
        Either::Left((answer, _)) => Ok(answer),
        Either::Right(_) => Err(ApiError::Engine(ml_core::Error::DeadlineExceeded)),
    }
}

/// Looks twice whether something is done, and lets whatever else is ready on this thread go between; `None` where it is not.
///
/// What is done by then needs no timer, and to set one and to drop it is a fiftieth of what a small request takes. A body that came
/// with its head is: the connection calls the handler before it hands the body over. So is the answer of a model of microseconds,
/// which waits only for others to join it.
pub(crate) async fn without_waiting<T>(mut work: Pin<&mut impl Future<Output = T>>) -> Option<T> {
    let mut looked = false;
    poll_fn(|context| match work.as_mut().poll(context) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending if std::mem::replace(&mut looked, true) => Poll::Ready(None),
        Poll::Pending => {
            context.waker().wake_by_ref();
            Poll::Pending
        }
    })
    .await
}

fn header<T>(
    request: &HttpRequest,
    name: &'static HeaderName,
    wanted: &'static str,
    read: impl FnOnce(&str) -> Option<T>,
) -> Result<Option<T>, ApiError> {
    let Some(value) = request.headers().get(name) else { return Ok(None) };
    let read = value.to_str().ok().map(str::trim).and_then(read);
    let found = || String::from_utf8_lossy(value.as_bytes()).into_owned();
    read.map(Some).ok_or_else(|| ApiError::InvalidHeader { name: name.as_str(), found: found(), wanted })
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    #[actix_web::test]
    async fn what_is_there_needs_no_time_and_what_never_comes_ends_at_the_deadline() {
        let now = Instant::now();
        assert_eq!(in_time(Some(now), ready(7)).await.ok(), Some(7), "a deadline that has passed");
        assert_eq!(in_time(None, ready(7)).await.ok(), Some(7));
        let late = in_time(now.checked_add(Duration::from_millis(5)), pending::<()>()).await;
        assert!(matches!(late, Err(ApiError::Engine(ml_core::Error::DeadlineExceeded))), "{late:?}");
        assert!(now.elapsed() >= Duration::from_millis(5));
    }
}
