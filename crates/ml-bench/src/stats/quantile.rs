//! The interval of a quantile, from the order statistics: no shape of the distribution is assumed.

use hdrhistogram::Histogram;

use super::Estimate;
use super::student::NORMAL;

/// Returns between which ranks (from 1 to `count`) a quantile lies in 95 of 100 samples of this size.
///
/// How many of `count` independent samples lie below the true quantile is binomial, here in its normal
/// approximation. With few samples the upper rank of a high quantile is the last one: the interval is then open
/// above, and its end only the largest sample seen.
pub fn quantile_ranks(quantile: f64, count: u64) -> (u64, u64) {
    let expected = quantile * count as f64;
    let half = NORMAL * (expected * (1.0 - quantile)).sqrt();
    let rank = |rank: f64| (rank.max(1.0) as u64).min(count.max(1));
    (rank((expected - half).floor()), rank((expected + half).ceil() + 1.0))
}

/// Returns a quantile of a histogram with its 95 % interval; `None` when it is empty.
///
/// The `mean` of the estimate is the quantile itself.
pub fn quantile_estimate(histogram: &Histogram<u64>, quantile: f64) -> Option<Estimate> {
    let count = histogram.len();
    let (low, high) = quantile_ranks(quantile, count);
    let at = |rank: u64| histogram.value_at_quantile(rank as f64 / count as f64) as f64;
    (count > 0).then(|| Estimate {
        mean: histogram.value_at_quantile(quantile) as f64,
        low: at(low),
        high: at(high),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_those_of_the_binomial() {
        let cases = [
            // The published interval of the median of 100 samples is from the 40th to the 61st.
            (0.5, 100, (40, 61)),
            // 990 ± 1.96 × √9.9.
            (0.99, 1000, (983, 998)),
            // Too few to bound the quantile from above.
            (0.99, 50, (48, 50)),
            (0.5, 1, (1, 1)),
        ];
        for (quantile, count, expected) in cases {
            assert_eq!(quantile_ranks(quantile, count), expected, "{quantile} of {count}");
        }
    }

    #[test]
    fn the_interval_is_read_off_the_histogram() {
        let mut histogram = Histogram::new_with_bounds(1, 10_000, 3).unwrap();
        assert_eq!(quantile_estimate(&histogram, 0.5), None);
        (1..=100).for_each(|value| histogram.record(value).unwrap());
        let expected = Estimate { mean: 50.0, low: 40.0, high: 61.0 };
        assert_eq!(quantile_estimate(&histogram, 0.5), Some(expected));
    }
}
