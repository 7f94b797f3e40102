//! Latency in a report: quantiles, their intervals, and the whole distribution.

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::stats::{Estimate, quantile_estimate};
use crate::table::Table;

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

/// The quantiles with their 95 % intervals, from the order statistics: the `mean` of each is the quantile itself.
///
/// The answers are taken as independent. Those of one batch come together, and then the intervals are too narrow.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct LatencyIntervals {
    /// Half are at most this.
    pub p50: Estimate,
    /// 90 % are at most this.
    pub p90: Estimate,
    /// 99 % are at most this.
    pub p99: Estimate,
    /// 99.9 % are at most this.
    pub p99_9: Estimate,
}

/// One point of a distribution.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Point {
    /// This share of the requests
    pub quantile: f64,
    /// took at most so many milliseconds.
    pub ms: f64,
}

impl Latency {
    pub(crate) fn of(micros: &Histogram<u64>) -> Option<Self> {
        let at = |quantile| ms(micros.value_at_quantile(quantile) as f64);
        (!micros.is_empty()).then(|| Self {
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p99_9: at(0.999),
            max: ms(micros.max() as f64),
            mean: ms(micros.mean()),
        })
    }
}

impl LatencyIntervals {
    pub(super) fn of(micros: &Histogram<u64>) -> Option<Self> {
        let at = |quantile| {
            let Estimate { mean, low, high } = quantile_estimate(micros, quantile)?;
            Some(Estimate { mean: ms(mean), low: ms(low), high: ms(high) })
        };
        Some(Self { p50: at(0.5)?, p90: at(0.9)?, p99: at(0.99)?, p99_9: at(0.999)? })
    }
}

/// Returns the distribution: two points for each halving of what is above, which is even on an axis of nines.
pub(super) fn distribution(micros: &Histogram<u64>) -> Vec<Point> {
    let count = micros.len() as f64;
    let above =
        (0..).map(|step| 0.5_f64.powf(f64::from(step) / 2.0)).take_while(|above| above * count >= 1.0);
    let quantiles = above.map(|above| 1.0 - above);
    quantiles.map(|quantile| Point { quantile, ms: ms(micros.value_at_quantile(quantile) as f64) }).collect()
}

/// Adds the rows of a table.
pub(super) fn rows(latency: Latency, intervals: LatencyIntervals, table: &mut Table) {
    let LatencyIntervals { p50, p90, p99, p99_9 } = intervals;
    for (name, estimate) in [("p50", p50), ("p90", p90), ("p99", p99), ("p99.9", p99_9)] {
        table.row(format!("latency {name}"), &format!("{estimate:.3} ms"));
    }
    for (name, value) in [("max", latency.max), ("mean", latency.mean)] {
        table.row(format!("latency {name}"), &format!("{value:.3} ms"));
    }
}

fn ms(micros: f64) -> f64 {
    micros / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distribution_ends_where_one_request_is_left() {
        let mut micros = Histogram::new_with_bounds(1, 10_000, 3).unwrap();
        assert_eq!(distribution(&micros), []);
        (1..=8).for_each(|value| micros.record(value * 1000).unwrap());
        let points = distribution(&micros);
        let halves: Vec<f64> = points.iter().step_by(2).map(|point| point.quantile).collect();
        assert_eq!(halves, [0.0, 0.5, 0.75, 0.875]);
        assert_eq!(points[2].ms.round(), 4.0);
    }
}
