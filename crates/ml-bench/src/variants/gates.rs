//! Gates: what a variant must hold before it may serve.

use serde::Serialize;

use super::{Quality, Speeds};

/// The least that a variant must reach.
///
/// Accuracy alone cannot tell variants apart: on some thousand items its standard error is half a point. The outputs
/// themselves can.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Gates {
    /// The least mean cosine to the original's outputs.
    pub cosine_mean_min: f64,
    /// The least cosine at the first percentile.
    pub cosine_p1_min: f64,
    /// The largest share of other predictions.
    pub flips_max: f64,
    /// How much of the accuracy may be lost, as a share.
    pub accuracy_loss_max: f64,
    /// The least cosine between an item alone and in a batch.
    pub alone_cosine_min: f64,
    /// The least speed as a ratio to the original's, in batches of similar length.
    pub speed_min: f64,
}

impl Default for Gates {
    fn default() -> Self {
        Self {
            cosine_mean_min: 0.998,
            cosine_p1_min: 0.995,
            flips_max: 0.02,
            accuracy_loss_max: 0.005,
            alone_cosine_min: 0.9999,
            speed_min: 1.0,
        }
    }
}

impl Gates {
    /// Returns these gates for a variant whose outputs may be others, as long as the task is done as well.
    pub fn for_task(self) -> Self {
        Self { cosine_mean_min: 0.0, cosine_p1_min: 0.0, flips_max: 1.0, ..self }
    }

    /// Returns what a variant does not hold, with the numbers; nothing when it may serve.
    pub fn refusals(&self, quality: &Quality, speeds: &Speeds) -> Vec<String> {
        let Quality { cosine_mean, cosine_p1, flips, alone_cosine_min, .. } = *quality;
        let mut refusals = Vec::new();
        let mut least = |name: &str, found: f64, limit: f64| {
            // What is no number holds no gate either.
            if found.is_nan() || found < limit {
                refusals.push(format!("{name} is {found:.5}, at least {limit} is wanted"));
            }
        };
        least("the mean cosine", cosine_mean, self.cosine_mean_min);
        least("the cosine at the first percentile", cosine_p1, self.cosine_p1_min);
        least("the cosine of an item alone and in a batch", alone_cosine_min, self.alone_cosine_min);
        least("the speed in sorted batches", speeds.sorted.mean, self.speed_min);
        let mut most = |name: &str, found: f64, limit: f64| {
            if found.is_nan() || found > limit {
                refusals.push(format!("{name} is {found:.4}, at most {limit} is wanted"));
            }
        };
        most("the share of other predictions", flips, self.flips_max);
        if let (Some(original), Some(own)) = (quality.accuracy_original, quality.accuracy) {
            most("the loss of accuracy", original - own, self.accuracy_loss_max);
        }
        refusals
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::Estimate;

    #[test]
    fn each_gate_refuses_with_its_numbers() {
        let speed = |mean| Estimate { mean, low: mean, high: mean };
        let speeds = |sorted| Speeds { single: speed(1.0), sorted: speed(sorted), arrival: speed(1.0) };
        let good = Quality {
            cosine_mean: 0.999,
            cosine_p1: 0.996,
            error_max: 0.1,
            flips: 0.01,
            accuracy: Some(0.8),
            accuracy_original: Some(0.804),
            alone_cosine_min: 1.0,
        };
        assert_eq!(Gates::default().refusals(&good, &speeds(2.0)), [""; 0]);
        let cases = [
            (
                Quality { cosine_mean: 0.9, ..good },
                2.0,
                "the mean cosine is 0.90000, at least 0.998 is wanted",
            ),
            (
                Quality { cosine_p1: f64::NAN, ..good },
                2.0,
                "the cosine at the first percentile is NaN, at least 0.995 is wanted",
            ),
            (
                Quality { flips: 0.03, ..good },
                2.0,
                "the share of other predictions is 0.0300, at most 0.02 is wanted",
            ),
            (
                Quality { accuracy: Some(0.79), ..good },
                2.0,
                "the loss of accuracy is 0.0140, at most 0.005 is wanted",
            ),
            (
                Quality { alone_cosine_min: 0.98, ..good },
                2.0,
                "the cosine of an item alone and in a batch is 0.98000, at least 0.9999 is wanted",
            ),
            (good, 0.94, "the speed in sorted batches is 0.94000, at least 1 is wanted"),
        ];
        for (quality, sorted, reason) in cases {
            assert_eq!(Gates::default().refusals(&quality, &speeds(sorted)), [reason]);
        }
    }
}
