//! The report of a run, as JSON and as a table.

mod accounts;
mod latency;

use std::fmt;

use serde::Serialize;

use super::run::Outcome;
use super::{Arrivals, Idle, LoadOptions, Pace};
use crate::stats::Estimate;
use crate::table::Table;
use crate::{Failures, Memory};

pub use accounts::Accounts;
pub use latency::{Latency, LatencyIntervals, Point};

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
    /// How these follow each other: `poisson` or `fixed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arrivals: Option<&'static str>,
    /// The seed of the arrivals and of the duplicates.
    pub seed: u64,
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
    /// Where every request went.
    pub accounts: Accounts,
    /// The share of requests that should equal one in flight.
    pub duplicates_asked: f64,
    /// How many did when they were sent: fewer than asked for when nothing was in flight.
    pub duplicates: u64,
    /// The items in the answers.
    pub items: u64,
    /// Why requests, and items of answered batches, got no output.
    pub errors: Failures,
    /// Requests answered per second of the counted time.
    pub requests_per_s: Estimate,
    /// Items answered per second of the counted time.
    pub items_per_s: Estimate,
    /// The latency up to which an answer counts as goodput.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub goal_ms: Option<f64>,
    /// Requests per second that were answered within the goal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub good_per_s: Option<Estimate>,
    /// From due to answered; `None` when nothing was answered.
    pub latency_ms: Option<Latency>,
    /// The 95 % intervals of its quantiles.
    pub latency_intervals_ms: Option<LatencyIntervals>,
    /// The whole distribution.
    pub distribution: Vec<Point>,
    /// From due to sent, in an open loop: high when the client is the bottleneck, not the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lateness_ms: Option<Latency>,
    /// The connections that were open beside the load.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle: Option<Idle>,
    /// The memory of the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Memory>,
    /// The same over time: seconds and bytes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub memory_over_time: Vec<(f64, u64)>,
}

impl LoadReport {
    pub(super) fn new(options: &LoadOptions, outcome: &Outcome) -> Self {
        let Outcome { tally, scheduled, idle, memory } = outcome;
        let (clients, rate, arrivals) = match options.pace {
            Pace::Clients(clients) => (Some(clients.get()), None, None),
            Pace::Rate { per_second, arrivals, .. } => (None, Some(per_second), Some(arrivals)),
        };
        let seed = match arrivals {
            Some(Arrivals::Poisson { seed }) => seed,
            Some(Arrivals::Fixed) | None => options.seed,
        };
        Self {
            url: options.server.url.clone(),
            model: options.server.model.clone(),
            clients,
            rate,
            arrivals: arrivals.map(name),
            seed,
            batch: options.batch.get(),
            threads: options.threads.get(),
            warm_up_s: options.window.warm_up.as_secs_f64(),
            duration_s: options.window.duration.as_secs_f64(),
            requests: tally.requests,
            answered: tally.answered,
            accounts: Accounts::new(tally, *scheduled),
            duplicates_asked: options.duplicates,
            duplicates: tally.duplicates,
            items: tally.items,
            errors: tally.failures.clone(),
            requests_per_s: tally.requests_per_s(),
            items_per_s: tally.items_per_s(),
            goal_ms: options.goal.map(|goal| goal.0.as_secs_f64() * 1000.0),
            good_per_s: tally.good_per_s(),
            latency_ms: Latency::of(&tally.latency),
            latency_intervals_ms: LatencyIntervals::of(&tally.latency),
            distribution: latency::distribution(&tally.latency),
            lateness_ms: rate.and(Latency::of(&tally.lateness)),
            idle: *idle,
            memory: memory.as_ref().map(|log| log.summary()),
            memory_over_time: memory.as_ref().map_or_else(Vec::new, |log| log.samples().to_vec()),
        }
    }

    /// Returns whether anything was answered and no request was lost sight of.
    pub fn passed(&self) -> bool {
        self.answered > 0 && self.accounts.unaccounted == 0
    }

    /// Returns the load in a few words.
    pub(crate) fn pace(&self) -> String {
        match (self.clients, self.rate, self.arrivals) {
            (Some(clients), ..) => format!("closed loop, {clients} clients"),
            (None, rate, arrivals) => {
                format!(
                    "open loop, {} requests/s, {}",
                    rate.unwrap_or_default(),
                    arrivals.unwrap_or_default()
                )
            }
        }
    }

    fn load(&self) -> String {
        let (pace, batch, warm_up, duration) = (self.pace(), self.batch, self.warm_up_s, self.duration_s);
        format!("{pace}, batch {batch}, {duration} s after {warm_up} s of warm-up")
    }
}

fn name(arrivals: Arrivals) -> &'static str {
    match arrivals {
        Arrivals::Poisson { .. } => "poisson",
        Arrivals::Fixed => "fixed",
    }
}

impl fmt::Display for LoadReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::default();
        table.row("model", &format!("{} at {}", self.model, self.url));
        table.row("load", &self.load());
        table.row("requests", &self.accounts);
        if self.duplicates_asked > 0.0 {
            let (found, asked) = (self.duplicates, 100.0 * self.duplicates_asked);
            table.row("duplicates", &format!("{found} equalled one in flight; asked for {asked} % of all"));
        }
        table.row("items", &self.items);
        table.failures(&self.errors);
        table.row("requests/s", &self.requests_per_s);
        table.row("items/s", &self.items_per_s);
        if let Some((goal, good)) = self.goal_ms.zip(self.good_per_s) {
            table.row("goodput/s", &format!("{good:.1} within {goal} ms"));
        }
        if let Some((latency, intervals)) = self.latency_ms.zip(self.latency_intervals_ms) {
            latency::rows(latency, intervals, &mut table);
        }
        if let Some(lateness) = self.lateness_ms {
            table.row("sent late p99", &format!("{:.3} ms", lateness.p99));
        }
        if let Some(idle) = &self.idle {
            table.row("idle", idle);
        }
        if let Some(memory) = &self.memory {
            table.row("memory", memory);
        }
        table.row("", &"in brackets: 95 % intervals");
        write!(f, "{table}")
    }
}
