//! What the edge counts: requests by route and outcome, their time, and how many are at work.

use std::time::Duration;

use ml_core::Metrics;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabel {
    route: &'static str,
    status: u16,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabel {
    route: &'static str,
}

/// The numbers of the HTTP edge, and the registry that holds all numbers of the process.
pub(crate) struct HttpMetrics {
    registry: Registry,
    requests: Family<RequestLabel, Counter>,
    seconds: Family<RouteLabel, Histogram>,
    pub at_work: Gauge,
}

impl HttpMetrics {
    pub fn new(engines: &Metrics) -> Self {
        let mut registry = Registry::with_prefix("ml");
        let requests: Family<RequestLabel, Counter> = Family::default();
        // 50 µs to 50 s in steps of 2.
        let seconds: Family<RouteLabel, Histogram> =
            Family::new_with_constructor(|| Histogram::new(exponential_buckets(5e-5, 2.0, 21)));
        let at_work = Gauge::default();
        registry.register("http_requests", "Requests, each counted once, by outcome", requests.clone());
        let help = "Time from a request's head to the last byte of its answer";
        registry.register_with_unit("http_request", help, Unit::Seconds, seconds.clone());
        registry.register("http_requests_at_work", "Requests that are not answered yet", at_work.clone());
        engines.register(&mut registry);
        Self { registry, requests, seconds, at_work }
    }

    pub fn finished(&self, route: &'static str, status: u16, outcome: &'static str, time: Duration) {
        let label = RequestLabel { route, status, outcome };
        self.requests.get_or_create(&label).inc();
        self.seconds.get_or_create(&RouteLabel { route }).observe(time.as_secs_f64());
    }

    /// Writes all numbers of the process in the OpenMetrics text format.
    pub fn encode(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}
