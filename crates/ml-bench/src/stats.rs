//! The error bars: how far a measured share or rate may be from the true one.

use serde::Serialize;

/// The number of equal slices that a run is cut into to see how its rate varies.
pub const SLICES: usize = 10;

/// The 97.5 % point of Student's distribution with `SLICES - 1` degrees of freedom.
const STUDENT: f64 = 2.262_157;

/// A mean with its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Estimate {
    /// The mean.
    pub mean: f64,
    /// The lower end of the interval.
    pub low: f64,
    /// The upper end of the interval.
    pub high: f64,
}

/// Returns the standard error of a share `right / count` of independent trials; 0 without trials.
///
/// ```
/// assert_eq!(ml_bench::stats::binomial_error(50, 100), 0.05);
/// ```
pub fn binomial_error(right: u64, count: u64) -> f64 {
    if count == 0 {
        return 0.0;
    }
    let share = right as f64 / count as f64;
    (share * (1.0 - share) / count as f64).sqrt()
}

/// Returns the mean of the slices with Student's 95 % interval.
///
/// The slices are taken as independent. Those of a server whose rate drifts slowly are not, and then the
/// interval is too narrow: compare two servers by interleaved runs, not by their intervals alone.
pub fn slice_interval(slices: &[f64; SLICES]) -> Estimate {
    let count = SLICES as f64;
    let mean = slices.iter().sum::<f64>() / count;
    let variance = slices.iter().map(|rate| (rate - mean).powi(2)).sum::<f64>() / (count - 1.0);
    let half = STUDENT * (variance / count).sqrt();
    Estimate { mean, low: mean - half, high: mean + half }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_of_a_share_is_the_binomial_one() {
        let cases =
            [(0, 0, 0.0), (0, 10, 0.0), (10, 10, 0.0), (50, 100, 0.05), (90, 100, 0.03), (1, 2, 0.353_553)];
        for (right, count, expected) in cases {
            assert!((binomial_error(right, count) - expected).abs() < 1e-6, "{right} of {count}");
        }
    }

    #[test]
    fn equal_slices_have_no_interval() {
        assert_eq!(slice_interval(&[7.0; SLICES]), Estimate { mean: 7.0, low: 7.0, high: 7.0 });
    }

    #[test]
    fn the_interval_is_students() {
        // One to ten: the variance is 55/6, so half the interval is 2.262157 × √(55/60).
        let slices = std::array::from_fn(|index| index as f64 + 1.0);
        let Estimate { mean, low, high } = slice_interval(&slices);
        assert!((mean - 5.5).abs() < 1e-12);
        assert!((high - mean - 2.165_854).abs() < 1e-5, "{high}");
        assert!((mean - low - 2.165_854).abs() < 1e-5, "{low}");
    }
}
