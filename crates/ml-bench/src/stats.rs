//! The error bars: how far a measured share, rate, quantile or ratio may be from the true one.

mod quantile;
mod student;

use std::fmt;

use serde::Serialize;

pub use quantile::{quantile_estimate, quantile_ranks};
pub use student::student;

/// The number of equal slices that a run is cut into to see how its rate varies.
pub const SLICES: usize = 10;

/// A mean with its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Estimate {
    /// The mean.
    pub mean: f64,
    /// The lower end of the interval; minus infinity (in JSON `null`) where one sample gives none.
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

/// Returns the mean of independent samples with Student's 95 % interval; `None` without samples.
///
/// The slices of one run count as independent. Those of a server whose rate drifts slowly are not, and then the
/// interval is too narrow: compare two servers by interleaved rounds, not by their intervals alone.
pub fn interval(samples: &[f64]) -> Option<Estimate> {
    let count = samples.len() as f64;
    let mean = samples.iter().sum::<f64>() / count;
    let variance = samples.iter().map(|sample| (sample - mean).powi(2)).sum::<f64>() / (count - 1.0);
    let half = match samples.len() {
        0 => return None,
        1 => f64::INFINITY,
        many => student(many - 1) * (variance / count).sqrt(),
    };
    Some(Estimate { mean, low: mean - half, high: mean + half })
}

/// Returns the geometric mean of rates, or of paired ratios, with Student's 95 % interval of their logarithms.
///
/// What slows a machine down multiplies, so the spread of logarithms is even, and no end of the interval is below 0.
/// A paired ratio is of two measurements of the same round: what the machine did to both cancels. `None` without
/// samples, and when one of them has no logarithm.
///
/// ```
/// let ratio = ml_bench::stats::geometric_interval(&[0.5, 2.0]);
/// assert!(ratio.is_some_and(|ratio| (ratio.mean - 1.0).abs() < 1e-12));
/// ```
pub fn geometric_interval(samples: &[f64]) -> Option<Estimate> {
    let logs: Vec<f64> = samples.iter().map(|sample| sample.ln()).collect();
    let Estimate { mean, low, high } = interval(&logs).filter(|estimate| estimate.mean.is_finite())?;
    Some(Estimate { mean: mean.exp(), low: low.exp(), high: high.exp() })
}

/// Returns the middle sample, or the mean of the two in the middle; `None` without samples.
pub fn median(samples: &[f64]) -> Option<f64> {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let upper = *sorted.get(middle)?;
    Some(if sorted.len() % 2 == 1 { upper } else { f64::midpoint(sorted[middle - 1], upper) })
}

impl Estimate {
    /// Returns whether there is an interval, which one sample alone does not give.
    pub fn has_interval(&self) -> bool {
        self.high.is_finite()
    }
}

/// Shows the mean with the digits asked for, and the interval where there is one.
impl fmt::Display for Estimate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { mean, low, high } = self;
        let digits = f.precision().unwrap_or(1);
        write!(f, "{mean:.digits$}")?;
        if self.has_interval() { write!(f, " ({low:.digits$} to {high:.digits$})") } else { Ok(()) }
    }
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
    fn equal_samples_have_no_width() {
        assert_eq!(interval(&[7.0; SLICES]), Some(Estimate { mean: 7.0, low: 7.0, high: 7.0 }));
    }

    #[test]
    fn the_interval_is_students() {
        // One to ten: the variance is 55/6, so half the interval is 2.262157 × √(55/60).
        let samples: Vec<f64> = (1..=10).map(f64::from).collect();
        let Estimate { mean, low, high } = interval(&samples).unwrap();
        assert!((mean - 5.5).abs() < 1e-12);
        assert!((high - mean - 2.165_854).abs() < 1e-5, "{high}");
        assert!((mean - low - 2.165_854).abs() < 1e-5, "{low}");
    }

    #[test]
    fn one_sample_has_a_mean_and_no_interval() {
        let one = interval(&[3.0]).unwrap();
        assert_eq!((one.mean, one.has_interval(), one.to_string()), (3.0, false, "3.0".to_owned()));
        assert_eq!(serde_json::to_string(&one).unwrap(), r#"{"mean":3.0,"low":null,"high":null}"#);
        assert_eq!((interval(&[]), geometric_interval(&[])), (None, None));
    }

    #[test]
    fn a_ratio_has_the_interval_of_its_logarithms() {
        // Logs −ln 2, 0, ln 2: the mean is 0, the standard error ln 2 / √3, Student's 2 degrees 4.302653.
        let Estimate { mean, low, high } = geometric_interval(&[0.5, 1.0, 2.0]).unwrap();
        let half = (4.302_653 * 2_f64.ln() / 3_f64.sqrt()).exp();
        assert!((mean - 1.0).abs() < 1e-12);
        assert!((high / half - 1.0).abs() < 1e-5 && (low * half - 1.0).abs() < 1e-5, "{low} {high}");
        assert_eq!(geometric_interval(&[1.0, 0.0]), None);
    }

    #[test]
    fn the_median_is_in_the_middle() {
        let cases: [(&[f64], _); 4] = [
            (&[], None),
            (&[2.0], Some(2.0)),
            (&[9.0, 1.0, 2.0], Some(2.0)),
            (&[4.0, 1.0, 2.0, 9.0], Some(3.0)),
        ];
        for (samples, expected) in cases {
            assert_eq!(median(samples), expected, "{samples:?}");
        }
    }

    #[test]
    fn an_estimate_shows_its_interval_with_the_digits_asked_for() {
        let estimate = Estimate { mean: 1.25, low: 1.0, high: 1.5 };
        assert_eq!(format!("{estimate:.2}"), "1.25 (1.00 to 1.50)");
    }
}
