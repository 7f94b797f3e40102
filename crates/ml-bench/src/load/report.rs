//! The report of a run, as JSON and as a table.

use std::fmt;

use hdrhistogram::Histogram;
use serde::Serialize;

use super::{LoadOptions, Pace, Tally};
use crate::Failures;
use crate::stats::Estimate;
use crate::table::Table;

/// What a run found.
#[derive(Debug, Clone, Serialize)]
pub struct LoadReport {
    /// The address of the server.
    pub url: String,
    /// The model's name.
    pub model: String,
    /// Clients of a closed loop.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clients: Option<usize>,
    /// Arrivals per second of an open loop.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<f64>,
    /// The seed of the arrivals.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// Items in one request.
    pub batch: usize,
    /// Threads of the client.
    pub threads: usize,
    /// The warm-up, in seconds.
    pub warm_up_s: f64,
    /// The counted time, in seconds.
    pub duration_s: f64,
    /// Requests that were due in the counted time.
    pub requests: u64,
    /// How many of these were answered.
    pub answered: u64,
    /// The items in the answers.
    pub items: u64,
    /// Why requests, and items of answered batches, got no output.
    pub errors: Failures,
    /// Requests answered per second of the counted time.
    pub requests_per_s: Estimate,
    /// Items answered per second of the counted time.
    pub items_per_s: Estimate,
    /// From due to answered; `None` when nothing was answered.
    pub latency_ms: Option<Latency>,
    /// From due to sent, in an open loop: high when the client is the bottleneck, not the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lateness_ms: Option<Latency>,
}

/// Quantiles of a time, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Latency {
    /// Half are at most this.
    pub p50: f64,
    /// 90 % are at most this.
    pub p90: f64,
    /// 99 % are at most this.
    pub p99: f64,
    /// 99.9 % are at most this.
    pub p99_9: f64,
    /// The longest.
    pub max: f64,
    /// The mean.
    pub mean: f64,
}

impl LoadReport {
    pub(super) fn new(options: &LoadOptions, tally: &Tally) -> Self {
        let (clients, rate, seed) = match options.pace {
            Pace::Clients(clients) => (Some(clients.get()), None, None),
            Pace::Rate { per_second, seed, .. } => (None, Some(per_second), Some(seed)),
        };
        Self {
            url: options.server.url.clone(),
            model: options.server.model.clone(),
            clients,
            rate,
            seed,
            batch: options.batch.get(),
            threads: options.threads.get(),
            warm_up_s: options.window.warm_up.as_secs_f64(),
            duration_s: options.window.duration.as_secs_f64(),
            requests: tally.requests,
            answered: tally.answered,
            items: tally.items,
            errors: tally.failures.clone(),
            requests_per_s: tally.requests_per_s(),
            items_per_s: tally.items_per_s(),
            latency_ms: Latency::of(&tally.latency),
            lateness_ms: rate.and(Latency::of(&tally.lateness)),
        }
    }
}

impl Latency {
    fn of(micros: &Histogram<u64>) -> Option<Self> {
        let at = |quantile| micros.value_at_quantile(quantile) as f64 / 1000.0;
        (!micros.is_empty()).then(|| Self {
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p99_9: at(0.999),
            max: micros.max() as f64 / 1000.0,
            mean: micros.mean() / 1000.0,
        })
    }
}

impl fmt::Display for LoadReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::default();
        table.row("model", &format!("{} at {}", self.model, self.url));
        table.row("load", &self.load());
        table.row("requests", &self.requests);
        table.row("answered", &self.answered);
        table.row("items", &self.items);
        table.failures(&self.errors);
        table.row("requests/s", &per_s(&self.requests_per_s));
        table.row("items/s", &per_s(&self.items_per_s));
        if let Some(Latency { p50, p90, p99, p99_9, max, mean }) = self.latency_ms {
            let rows =
                [("p50", p50), ("p90", p90), ("p99", p99), ("p99.9", p99_9), ("max", max), ("mean", mean)];
            for (name, value) in rows {
                table.row(format!("latency {name}"), &format!("{value:.3} ms"));
            }
        }
        if let Some(lateness) = self.lateness_ms {
            table.row("sent late p99", &format!("{:.3} ms", lateness.p99));
        }
        write!(f, "{table}")
    }
}

impl LoadReport {
    fn load(&self) -> String {
        let pace = match (self.clients, self.rate) {
            (Some(clients), _) => format!("closed loop, {clients} clients"),
            (None, rate) => format!("open loop, {} requests/s", rate.unwrap_or_default()),
        };
        let (batch, warm_up, duration) = (self.batch, self.warm_up_s, self.duration_s);
        format!("{pace}, batch {batch}, {duration} s after {warm_up} s of warm-up")
    }
}

fn per_s(Estimate { mean, low, high }: &Estimate) -> String {
    format!("{mean:.1} (95 % between {low:.1} and {high:.1})")
}
