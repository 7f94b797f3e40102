//! Student's t distribution, as far as a 95 % interval needs it.

/// The 97.5 % points for 1 to 30 degrees of freedom.
const POINTS: [f64; 30] = [
    12.706_205, 4.302_653, 3.182_446, 2.776_445, 2.570_582, 2.446_912, 2.364_624, 2.306_004, 2.262_157,
    2.228_139, 2.200_985, 2.178_813, 2.160_369, 2.144_787, 2.131_450, 2.119_905, 2.109_816, 2.100_922,
    2.093_024, 2.085_963, 2.079_614, 2.073_873, 2.068_658, 2.063_899, 2.059_539, 2.055_529, 2.051_831,
    2.048_407, 2.045_230, 2.042_272,
];

/// The same point of the normal distribution.
pub(super) const NORMAL: f64 = 1.959_964;

/// Returns the 97.5 % point with this many degrees of freedom; infinite with none.
///
/// Above the table it is the expansion of Cornish and Fisher in 1 / degrees, off by less than 1e-4 there.
pub fn student(degrees: usize) -> f64 {
    match degrees {
        0 => f64::INFINITY,
        1..=30 => POINTS[degrees - 1],
        many => {
            let (z, many) = (NORMAL, many as f64);
            z + (z.powi(3) + z) / (4.0 * many)
                + (5.0 * z.powi(5) + 16.0 * z.powi(3) + 3.0 * z) / (96.0 * many * many)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_points_are_those_of_the_published_tables() {
        let cases =
            [(1, 12.7062), (2, 4.3027), (4, 2.7764), (9, 2.2622), (30, 2.0423), (40, 2.0211), (120, 1.9799)];
        for (degrees, expected) in cases {
            assert!((student(degrees) - expected).abs() < 1e-4, "{degrees}: {}", student(degrees));
        }
        assert!(student(0).is_infinite());
    }
}
