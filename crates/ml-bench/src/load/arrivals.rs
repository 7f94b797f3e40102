//! Arrivals: the instants at which the requests of an open loop are due. They depend on the seed and the
//! rate alone, never on the server.

use std::time::Duration;

/// A Poisson process: independent arrivals with exponentially distributed gaps, without end.
///
/// ```
/// use ml_bench::load::Arrivals;
///
/// let instants: Vec<_> = Arrivals::new(100.0, 1).take(3).collect();
/// assert_eq!(instants, Arrivals::new(100.0, 1).take(3).collect::<Vec<_>>());
/// assert!(instants.is_sorted());
/// ```
#[derive(Debug, Clone)]
pub struct Arrivals {
    per_second: f64,
    seconds: f64,
    state: u64,
}

impl Arrivals {
    /// Returns the process with this mean rate.
    pub fn new(per_second: f64, seed: u64) -> Self {
        Self { per_second, seconds: 0.0, state: seed }
    }

    /// Returns the next number of SplitMix64 (Steele, Lea and Flood, 2014), from 0 up to but without 1. It is
    /// good enough to draw gaps from, and ten lines are less to answer for than a dependency.
    fn uniform(&mut self) -> f64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.state;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^= bits >> 31;
        (bits >> 11) as f64 / (1_u64 << 53) as f64
    }
}

impl Iterator for Arrivals {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        self.seconds -= (-self.uniform()).ln_1p() / self.per_second;
        Duration::try_from_secs_f64(self.seconds).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gaps(per_second: f64, seed: u64, count: usize) -> Vec<f64> {
        let instants: Vec<f64> =
            Arrivals::new(per_second, seed).take(count).map(|due| due.as_secs_f64()).collect();
        std::iter::once(instants[0]).chain(instants.windows(2).map(|pair| pair[1] - pair[0])).collect()
    }

    #[test]
    fn a_seed_decides_the_arrivals() {
        assert_eq!(gaps(50.0, 7, 1000), gaps(50.0, 7, 1000));
        assert_ne!(gaps(50.0, 7, 1000), gaps(50.0, 8, 1000));
    }

    #[test]
    fn the_generator_is_splitmix64() {
        // The first output for the seed 1234567 in the published test vector is 6457827717110365317.
        let mut arrivals = Arrivals::new(1.0, 1_234_567);
        assert_eq!(arrivals.uniform(), (6_457_827_717_110_365_317_u64 >> 11) as f64 / (1_u64 << 53) as f64);
    }

    #[test]
    fn gaps_have_the_mean_and_the_deviation_of_an_exponential() {
        // Both are 1 / rate; the standard error of the mean of 100,000 gaps is 0.3 % of it.
        let gaps = gaps(200.0, 1, 100_000);
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
        assert!((mean * 200.0 - 1.0).abs() < 0.012, "mean {mean}");
        assert!((variance.sqrt() * 200.0 - 1.0).abs() < 0.02, "deviation {}", variance.sqrt());
    }
}
