//! The window of a run: a warm-up that is not counted, then the counted time. Instants are measured from the
//! start of the run.

use std::time::Duration;

use crate::stats::SLICES;

/// How long a run warms up and counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// The time before counting begins.
    pub warm_up: Duration,
    /// The counted time.
    pub duration: Duration,
}

impl Window {
    /// Returns the instant after which no request is due.
    pub fn end(&self) -> Duration {
        self.warm_up + self.duration
    }

    /// Returns whether an instant lies in the counted time.
    pub fn counts(&self, instant: Duration) -> bool {
        instant >= self.warm_up && instant < self.end()
    }

    /// Returns in which of the equal slices of the counted time an instant lies.
    pub fn slice(&self, instant: Duration) -> Option<usize> {
        let share = instant.checked_sub(self.warm_up)?.as_secs_f64() / self.duration.as_secs_f64();
        self.counts(instant).then(|| ((share * SLICES as f64) as usize).min(SLICES - 1))
    }

    /// Returns the length of one slice in seconds.
    pub fn slice_s(&self) -> f64 {
        self.duration.as_secs_f64() / SLICES as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_falls_into_its_slice() {
        let ms = Duration::from_millis;
        let window = Window { warm_up: ms(100), duration: ms(1000) };
        let cases = [
            (0, None),
            (99, None),
            (100, Some(0)),
            (199, Some(0)),
            (250, Some(1)),
            (1099, Some(9)),
            (1100, None),
        ];
        for (instant, slice) in cases {
            assert_eq!(window.slice(ms(instant)), slice, "{instant} ms");
        }
    }
}
