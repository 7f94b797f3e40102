//! What a caller may ask of a call, in its headers: to be answered in time, and to go before others or after them.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use actix_web::HttpRequest;
use actix_web::http::header::HeaderName;
use actix_web::rt::time::sleep_until;
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
        Ok(Self { deadline: Instant::now().checked_add(timeout), priority: priority.unwrap_or(usual) })
    }

    pub fn options(self, when_full: WhenFull) -> CallOptions {
        CallOptions { deadline: self.deadline, priority: self.priority, when_full, ..CallOptions::default() }
    }
}

/// Awaits an answer until the deadline.
///
/// The timer is made only for what has to be waited for: a remembered answer, or a model of microseconds, needs none.
///
/// # Errors
/// When the deadline passed first.
pub(crate) async fn in_time<T>(
    deadline: Option<Instant>,
    answer: impl Future<Output = T>,
) -> Result<T, ApiError> {
    let (mut answer, mut alarm) = (pin!(answer), None);
    poll_fn(|context| {
        if let Poll::Ready(answer) = answer.as_mut().poll(context) {
            return Poll::Ready(Ok(answer));
        }
        let Some(deadline) = deadline else { return Poll::Pending };
        let alarm = alarm.get_or_insert_with(|| Box::pin(sleep_until(deadline.into())));
        alarm.as_mut().poll(context).map(|()| Err(ApiError::Engine(ml_core::Error::DeadlineExceeded)))
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
