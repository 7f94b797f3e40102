//! An axis: where a value lies on it, and where its ticks are.

/// How the values of an axis are spread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scale {
    /// Evenly, from 0.
    Linear,
    /// Evenly by powers of ten.
    Log,
    /// Quantiles evenly by nines: 90 %, 99 %, 99.9 %.
    Nines,
}

/// An axis that fits its values. Its ends are in the units in which it is even.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Axis {
    scale: Scale,
    low: f64,
    high: f64,
    /// Between ticks.
    step: f64,
}

impl Axis {
    /// Returns the axis for these values; `None` when there is none that it can hold.
    pub(super) fn fit(scale: Scale, values: impl Iterator<Item = f64>) -> Option<Self> {
        let even: Vec<f64> = values.filter_map(|value| scale.even(value)).collect();
        let high = even.iter().copied().reduce(f64::max)?;
        let low = even.iter().copied().reduce(f64::min)?;
        Some(match scale {
            Scale::Linear => {
                let step = nice_step(if high > 0.0 { high } else { 1.0 });
                let up = |value: f64| (value / step - 1e-9).ceil() * step;
                Self { scale, low: 0.0, high: up(high).max(step), step }
            }
            Scale::Log => {
                let low = low.floor();
                Self { scale, low, high: high.ceil().max(low + 1.0), step: 1.0 }
            }
            Scale::Nines => Self { scale, low: 0.0, high: high.max(1.0), step: 1.0 },
        })
    }

    /// Returns where a value lies, from 0 to 1; `None` when the axis cannot hold it.
    pub(super) fn place(&self, value: f64) -> Option<f64> {
        Some((self.scale.even(value)? - self.low) / (self.high - self.low))
    }

    /// Returns the places of the ticks and what stands there.
    pub(super) fn ticks(&self) -> Vec<(f64, String)> {
        let count = ((self.high - self.low) / self.step + 1e-9).floor() as i32;
        let even = (0..=count).map(|tick| self.low + f64::from(tick) * self.step);
        even.map(|even| ((even - self.low) / (self.high - self.low), self.label(even))).collect()
    }

    fn label(&self, even: f64) -> String {
        match self.scale {
            Scale::Linear => decimal(even, self.step),
            Scale::Log => decimal(10_f64.powf(even), 10_f64.powf(even)),
            Scale::Nines if even == 0.0 => "0 %".to_owned(),
            Scale::Nines => {
                let digits = (even as usize).saturating_sub(2);
                format!("{:.digits$} %", 100.0 * (1.0 - 10_f64.powf(-even)))
            }
        }
    }
}

impl Scale {
    /// Returns a value in the units in which the axis is even; `None` when it cannot hold it.
    fn even(self, value: f64) -> Option<f64> {
        let even = match self {
            Self::Linear => value,
            Self::Log => value.log10(),
            Self::Nines => -(1.0 - value).log10(),
        };
        even.is_finite().then_some(even)
    }
}

/// Returns a step of 1, 2 or 5 times a power of ten that cuts the range into four to ten.
fn nice_step(range: f64) -> f64 {
    let power = 10_f64.powf((range / 4.0).log10().floor());
    let steps = range / 4.0 / power;
    power
        * if steps >= 5.0 {
            5.0
        } else if steps >= 2.0 {
            2.0
        } else {
            1.0
        }
}

/// Returns a number with as many digits as its step needs.
fn decimal(number: f64, step: f64) -> String {
    let digits = (-step.log10().floor()).clamp(0.0, 6.0) as usize;
    format!("{number:.digits$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticks(scale: Scale, values: &[f64]) -> Vec<String> {
        let axis = Axis::fit(scale, values.iter().copied()).unwrap();
        axis.ticks().into_iter().map(|(_, label)| label).collect()
    }

    #[test]
    fn ticks_are_round() {
        let cases: [(_, &[f64], &[&str]); 6] = [
            (Scale::Linear, &[3.0, 97.0], &["0", "20", "40", "60", "80", "100"]),
            (Scale::Linear, &[0.9], &["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
            (Scale::Linear, &[0.0], &["0.0", "0.2"]),
            (Scale::Log, &[0.4, 250.0], &["0.1", "1", "10", "100", "1000"]),
            (Scale::Log, &[1.0], &["1", "10"]),
            (Scale::Nines, &[0.0, 0.9995], &["0 %", "90 %", "99 %", "99.9 %"]),
        ];
        for (scale, values, expected) in cases {
            assert_eq!(ticks(scale, values), expected, "{scale:?} {values:?}");
        }
    }

    #[test]
    fn places_are_even_in_the_units_of_the_scale() {
        let cases = [(Scale::Linear, 25.0, 0.25), (Scale::Log, 10.0, 0.5), (Scale::Nines, 0.9, 0.5)];
        for (scale, value, expected) in cases {
            let ends = if scale == Scale::Nines { [0.0, 0.99] } else { [1.0, 100.0] };
            let place = Axis::fit(scale, ends.into_iter()).unwrap().place(value).unwrap();
            assert!((place - expected).abs() < 1e-9, "{scale:?}: {place}");
        }
    }

    #[test]
    fn a_value_that_the_scale_cannot_hold_has_no_place() {
        let log = Axis::fit(Scale::Log, [1.0, 10.0].into_iter()).unwrap();
        assert_eq!((log.place(0.0), log.place(f64::NAN)), (None, None));
        assert_eq!(Axis::fit(Scale::Nines, [1.0].into_iter()), None);
    }
}
