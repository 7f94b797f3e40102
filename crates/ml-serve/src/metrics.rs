//! What the edge counts: requests by route and outcome, their time, and how many are at work.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use ahash::RandomState;
use ml_core::{Counter, Histogram, Metrics, Striped};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::exponential_buckets;
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

/// How many requests there were of a label, and how long those of its route took.
type Known = HashMap<RequestLabel, (Counter, Histogram), RandomState>;

/// The numbers of the HTTP edge, and the registry that holds all numbers of the process.
pub(crate) struct HttpMetrics {
    registry: Registry,
    requests: Family<RequestLabel, Counter>,
    seconds: Family<RouteLabel, Histogram>,
    /// The numbers that a thread has counted into: families are for all threads, and locked by each.
    known: Striped<Mutex<Known>>,
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
        Self { registry, requests, seconds, known: Striped::default(), at_work }
    }

    pub fn finished(&self, route: &'static str, status: u16, outcome: &'static str, time: Duration) {
        let label = RequestLabel { route, status, outcome };
        let mut known = self.known.own().lock().unwrap_or_else(PoisonError::into_inner);
        let (requests, seconds) = known.entry(label).or_insert_with_key(|label| {
            let seconds = self.seconds.get_or_create(&RouteLabel { route });
            (self.requests.get_or_create(label).clone(), seconds.clone())
        });
        requests.inc();
        seconds.observe(time.as_secs_f64());
    }

    /// Writes all numbers of the process in the OpenMetrics text format.
    pub fn encode(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn requests_of_all_threads_are_counted_together() {
        let metrics = HttpMetrics::new(&Metrics::default());
        thread::scope(|threads| {
            for _ in 0..3 {
                threads.spawn(|| {
                    metrics.finished("/models", 200, "ok", Duration::from_micros(60));
                    metrics.finished("/models", 404, "unknown_model", Duration::from_micros(60));
                });
            }
        });
        let text = metrics.encode().expect("numbers can be written");
        for line in [
            r#"ml_http_requests_total{route="/models",status="200",outcome="ok"} 3"#,
            r#"ml_http_requests_total{route="/models",status="404",outcome="unknown_model"} 3"#,
            r#"ml_http_request_seconds_count{route="/models"} 6"#,
            r#"ml_http_request_seconds_bucket{le="0.0001",route="/models"} 6"#,
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
    }
}
