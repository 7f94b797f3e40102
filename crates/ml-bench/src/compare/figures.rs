//! What one turn of one target found.

use std::num::NonZeroUsize;

use serde::Serialize;

use crate::limit::Speed;
use crate::load::{Latency, LoadReport};

/// What one turn found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figures {
    /// Items per second.
    pub items_per_s: f64,
    /// Half of the requests took at most this, or half of a bare loop's runs of one item; runs of many answer nobody.
    pub p50_ms: Option<f64>,
    /// 99 % took at most this.
    pub p99_ms: Option<f64>,
    /// Requests per second within the goal of the scenario.
    pub good_per_s: Option<f64>,
    /// Requests and items without an output.
    pub errors: u64,
    /// The most resident memory of the server and all that it started.
    pub memory_bytes: Option<u64>,
    /// From the start of the server to its first answer.
    pub first_answer_s: Option<f64>,
}

impl Figures {
    pub(super) fn of_load(report: &LoadReport, first_answer_s: Option<f64>) -> Self {
        Self {
            items_per_s: report.items_per_s.mean,
            p50_ms: report.latency_ms.map(|latency| latency.p50),
            p99_ms: report.latency_ms.map(|latency| latency.p99),
            good_per_s: report.good_per_s.map(|good| good.mean),
            errors: report.errors.total(),
            memory_bytes: report.memory.as_ref().map(|memory| memory.max_bytes),
            first_answer_s,
        }
    }

    pub(super) fn of_speed(speed: &Speed, batch: NonZeroUsize) -> Self {
        let latency = Latency::of(&speed.runs).filter(|_| batch == NonZeroUsize::MIN);
        Self {
            items_per_s: speed.items_per_s(),
            p50_ms: latency.map(|latency| latency.p50),
            p99_ms: latency.map(|latency| latency.p99),
            good_per_s: None,
            errors: 0,
            memory_bytes: None,
            first_answer_s: None,
        }
    }
}
