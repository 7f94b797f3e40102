//! Around every request: its identifier, the limit on how many run at once, and the one place that counts it.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::ConnectionType;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::web::{Bytes, Data};
use actix_web::{Error, HttpMessage};
use ml_core::{LookupCounts, Stage, Timings};

use crate::ApiError;
use crate::error::ErrorCode;
use crate::routes;
use crate::state::State;

static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
static SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// The outcome of a request whose caller left before the end of its answer.
const ABANDONED: &str = "abandoned";

/// The longest request identifier that is taken from a caller, in bytes.
const REQUEST_ID_BYTES_MAX: usize = 128;

/// Wraps a request: assigns its identifier, admits it, and counts it when its answer has left.
pub(crate) async fn account(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let Some(state) = request.app_data::<Data<State>>().cloned() else {
        return next.call(request).await.map(ServiceResponse::map_into_boxed_body);
    };
    let at_once = routes::at_once(&request);
    let route = if at_once.is_some() { routes::PREDICT } else { routes::pattern(request.path()) };
    let mut guard = Guard::enter(&state, route, request_id(&request));
    // Probes and metrics are answered however busy the server is: they say how busy it is.
    let counts = request.method() == actix_web::http::Method::POST;
    let mut response = if counts && guard.requests_at_work() > state.limits.concurrent_requests_max {
        let refusal = ApiError::TooManyRequests { limit_requests: state.limits.concurrent_requests_max };
        let response = routes::refuse(request.path(), refusal);
        request.into_response(response)
    } else if let Some(name) = at_once {
        // Boxed, as the router's way is: together the two would be more than the allocator hands out fastest.
        Box::pin(routes::predict_at_once(request, &state, &name)).await
    } else {
        next.call(request).await?.map_into_boxed_body()
    };
    finish_headers(&mut response, &guard);
    guard.answered(&response);
    Ok(response.map_body(|_, body| {
        guard.streams = body.size() == BodySize::Stream;
        BoxBody::new(GuardedBody { body, guard })
    }))
}

/// Takes the caller's identifier where it is fit to be logged and sent back, else makes one.
fn request_id(request: &ServiceRequest) -> HeaderValue {
    let given = request.headers().get(&REQUEST_ID).filter(|value| {
        let bytes = value.as_bytes();
        !bytes.is_empty() && bytes.len() <= REQUEST_ID_BYTES_MAX && bytes.iter().all(u8::is_ascii_graphic)
    });
    let made = || {
        let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
        uuid::Uuid::new_v4().hyphenated().encode_lower(&mut text);
        // Owned, so that its clones take no memory.
        HeaderValue::from_maybe_shared(Bytes::from_owner(text)).ok()
    };
    given.cloned().or_else(made).unwrap_or_else(|| HeaderValue::from_static("unknown"))
}

fn finish_headers(response: &mut ServiceResponse, guard: &Guard) {
    let timings = response.request().extensions().get::<Timings>().copied();
    let timing = server_timing(timings, guard.started);
    let headers = response.headers_mut();
    headers.insert(REQUEST_ID.clone(), guard.id.clone());
    if let Ok(timing) = HeaderValue::from_maybe_shared(Bytes::from(timing)) {
        headers.insert(SERVER_TIMING.clone(), timing);
    }
    if guard.state.is_draining() {
        // The caller's next request goes to another server, so that this one can end. actix writes this header by
        // itself, and would leave out one that is put in by hand.
        response.response_mut().head_mut().set_connection_type(ConnectionType::Close);
    }
}

/// Writes the stage times in milliseconds, as the Server Timing specification has it, and what was looked up.
fn server_timing(timings: Option<Timings>, started: Instant) -> Vec<u8> {
    let mut header = Vec::with_capacity(160);
    let counted = |counts: &LookupCounts| *counts != LookupCounts::default();
    let looked_up = timings.map(|timings| timings.lookups()).filter(counted);
    for (stage, time) in timings.iter().flat_map(Timings::iter).filter(|(_, time)| !time.is_zero()) {
        header.extend_from_slice(stage.name().as_bytes());
        push_duration(&mut header, time);
        if let Some(counts) = looked_up.filter(|_| stage == Stage::Lookup) {
            header.extend_from_slice(format!(";desc=\"{counts}\"").as_bytes());
        }
        header.extend_from_slice(b", ");
    }
    header.extend_from_slice(b"total");
    push_duration(&mut header, started.elapsed());
    header
}

/// Writes `;dur=` and the milliseconds with three decimals. Every answer has up to seven of these, and the formatting
/// machinery took a twentieth of the time of a small model's request for them.
fn push_duration(header: &mut Vec<u8>, time: Duration) {
    let millis = time.as_secs().saturating_mul(1000).saturating_add(time.subsec_millis().into());
    let micros = time.subsec_micros() % 1000;
    let digit = |of: u32| b'0' + (micros / of % 10) as u8;
    header.extend_from_slice(b";dur=");
    header.extend_from_slice(itoa::Buffer::new().format(millis).as_bytes());
    header.extend_from_slice(&[b'.', digit(100), digit(10), digit(1)]);
}

/// Counts a request once, by outcome, when its answer has left or its caller has.
struct Guard {
    state: Data<State>,
    route: &'static str,
    id: HeaderValue,
    started: Instant,
    outcome: &'static str,
    status: u16,
    /// Whether the answer is a stream that has not come to its end.
    streams: bool,
}

impl Guard {
    fn enter(state: &Data<State>, route: &'static str, id: HeaderValue) -> Self {
        state.metrics.at_work.inc();
        let state = state.clone();
        // Until an answer is known, the request counts as one whose caller left.
        Self { state, route, id, started: Instant::now(), outcome: ABANDONED, status: 499, streams: false }
    }

    fn requests_at_work(&self) -> usize {
        usize::try_from(self.state.metrics.at_work.get()).unwrap_or(0)
    }

    fn answered(&mut self, response: &ServiceResponse) {
        self.status = response.status().as_u16();
        let code = response.response().extensions().get::<ErrorCode>().map(|code| code.0);
        self.outcome = code.unwrap_or(if response.status().is_success() { "ok" } else { "error" });
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let metrics = &self.state.metrics;
        metrics.at_work.dec();
        let time = self.started.elapsed();
        if self.streams {
            self.outcome = ABANDONED; // Its head, with another status, had left long before its caller did.
        }
        metrics.finished(self.route, self.status, self.outcome, time);
        let Self { route, outcome, status, .. } = self;
        // Only visible ASCII is taken or made, which is always text. Most logs take no notice, and so do not ask.
        let id = || self.id.to_str().unwrap_or_default();
        if *status >= 500 {
            tracing::warn!(id = id(), route, status, outcome, ?time, "request failed");
        } else {
            tracing::debug!(id = id(), route, status, outcome, ?time, "request");
        }
    }
}

/// A body that keeps its request counted as at work until it has been sent.
struct GuardedBody {
    body: BoxBody,
    guard: Guard,
}

impl MessageBody for GuardedBody {
    type Error = Box<dyn std::error::Error>;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let next = Pin::new(&mut self.body).poll_next(cx);
        self.guard.streams &= !matches!(next, Poll::Ready(None));
        next
    }
}
