//! Arrivals: the instants at which the requests of an open loop are due. All are decided before the run, from the
//! rate and the seed alone, so nothing that the server does can move them.

use std::time::Duration;

use crate::random::Random;

/// How the arrivals of an open loop follow each other.
///
/// ```
/// use std::time::Duration;
/// use ml_bench::load::Arrivals;
///
/// let second = Duration::from_secs(1);
/// assert_eq!(Arrivals::Fixed.until(second, 4.0), [0, 250, 500, 750].map(Duration::from_millis));
/// let poisson = Arrivals::Poisson { seed: 1 };
/// assert_eq!(poisson.until(second, 100.0), poisson.until(second, 100.0));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrivals {
    /// A Poisson process, as of many independent users: exponentially distributed gaps.
    Poisson {
        /// What decides the gaps.
        seed: u64,
    },
    /// Equal gaps, as of a clock.
    Fixed,
}

impl Arrivals {
    /// Returns all arrivals before `end` at this mean rate, in order.
    pub fn until(self, end: Duration, per_second: f64) -> Vec<Duration> {
        let before_end = |seconds: f64| Duration::try_from_secs_f64(seconds).ok().filter(|due| *due < end);
        match self {
            Self::Poisson { seed } => {
                let (mut random, mut seconds) = (Random::new(seed), 0.0);
                let next = || {
                    seconds -= (-random.uniform()).ln_1p() / per_second;
                    before_end(seconds)
                };
                std::iter::from_fn(next).collect()
            }
            // Divided anew each time: a sum of gaps would carry their rounding along.
            Self::Fixed => (0_u32..).map_while(|at| before_end(f64::from(at) / per_second)).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gaps(per_second: f64, seed: u64, seconds: u64) -> Vec<f64> {
        let instants = Arrivals::Poisson { seed }.until(Duration::from_secs(seconds), per_second);
        let instants: Vec<f64> = instants.iter().map(Duration::as_secs_f64).collect();
        std::iter::once(instants[0]).chain(instants.windows(2).map(|pair| pair[1] - pair[0])).collect()
    }

    #[test]
    fn a_seed_decides_the_arrivals() {
        assert_eq!(gaps(50.0, 7, 20), gaps(50.0, 7, 20));
        assert_ne!(gaps(50.0, 7, 20), gaps(50.0, 8, 20));
    }

    #[test]
    fn gaps_have_the_mean_and_the_deviation_of_an_exponential() {
        // Both are 1 / rate; the standard error of the mean of 100,000 gaps is 0.3 % of it.
        let gaps = gaps(200.0, 1, 500);
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
        assert!((mean * 200.0 - 1.0).abs() < 0.012, "mean {mean}");
        assert!((variance.sqrt() * 200.0 - 1.0).abs() < 0.02, "deviation {}", variance.sqrt());
    }

    #[test]
    fn a_fixed_rate_has_equal_gaps_and_ends_before_the_end() {
        let due = Arrivals::Fixed.until(Duration::from_secs(10), 3.0);
        assert_eq!(due.len(), 30);
        assert_eq!(due[29], Duration::from_secs_f64(29.0 / 3.0));
    }
}
