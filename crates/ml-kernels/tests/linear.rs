//! A layer against the same in exact numbers, one path against the other, a row alone against the row among others.
#![allow(clippy::unwrap_used, reason = "clippy takes the helpers of a test file for no tests")]

use ml_kernels::{Activation, Int8Linear, LinearError, Parts, Path};
use proptest::prelude::*;

/// A layer of any size, and rows for it.
#[derive(Debug, Clone)]
struct Case {
    width_in: usize,
    widths_out: Vec<usize>,
    weights: Vec<i8>,
    scales: Vec<f32>,
    bias: Vec<f32>,
    outliers: Vec<usize>,
    outlier_weights: Vec<f32>,
    activation: Activation,
    rows: Vec<f32>,
}

impl Case {
    fn parts(&self) -> Parts<'_> {
        Parts {
            width_in: self.width_in,
            widths_out: &self.widths_out,
            weights: &self.weights,
            scales: &self.scales,
            bias: &self.bias,
            outliers: &self.outliers,
            outlier_weights: &self.outlier_weights,
            activation: self.activation,
        }
    }

    fn run(&self, path: Path, rows: &[f32]) -> Vec<Vec<f32>> {
        let layer = Int8Linear::new(&self.parts()).unwrap().on(path);
        let count = rows.len() / self.width_in;
        let mut outputs: Vec<Vec<f32>> =
            self.widths_out.iter().map(|width| vec![7.0; count * width]).collect();
        layer.run(rows, &mut outputs.iter_mut().map(Vec::as_mut_slice).collect::<Vec<_>>()).unwrap();
        outputs
    }

    /// What comes out in exact numbers of rows that were never quantised, and by how much quantising may change it.
    fn exact(&self, row: &[f32], column: usize) -> (f64, f64) {
        let columns = self.scales.len();
        let inner = || (0..self.width_in).filter(|at| !self.outliers.contains(at));
        let (low, high) = inner()
            .fold((0.0_f64, 0.0_f64), |(low, high), at| (low.min(row[at].into()), high.max(row[at].into())));
        let step = (high - low) / 255.0;
        let (mut sum, mut slack) = (0.0, 0.0);
        for at in inner() {
            let weight = f64::from(self.weights[at * columns + column]) * f64::from(self.scales[column]);
            sum += f64::from(row[at]) * weight;
            // Both the number and the zero are rounded.
            slack += step * 1.01 * weight.abs();
        }
        for (at, outlier) in self.outliers.iter().enumerate() {
            sum += f64::from(row[*outlier]) * f64::from(self.outlier_weights[at * columns + column]);
        }
        sum += self.bias.get(column).copied().map_or(0.0, f64::from);
        (sum, slack + 1e-4 * (1.0 + sum.abs()))
    }
}

fn case() -> impl Strategy<Value = Case> {
    let sizes = (1_usize..80, proptest::collection::vec(1_usize..90, 1..4), 0_usize..5, 1_usize..40);
    (sizes, any::<bool>(), any::<bool>(), any::<u64>()).prop_map(
        |((width_in, widths_out, outliers, rows), bias, gelu, seed)| {
            let mut seed = seed | 1;
            let mut next = || {
                seed ^= seed << 13;
                seed ^= seed >> 7;
                seed ^= seed << 17;
                (seed >> 40) as f32 / (1_u64 << 24) as f32
            };
            let columns = widths_out.iter().sum::<usize>();
            let outliers: Vec<usize> = (0..outliers.min(width_in)).map(|at| (at * 17) % width_in).collect();
            let mut numbers =
                |count: usize, size: f32| -> Vec<f32> { (0..count).map(|_| (next() - 0.4) * size).collect() };
            Case {
                weights: numbers(width_in * columns, 255.0).into_iter().map(|number| number as i8).collect(),
                scales: numbers(columns, 0.02).into_iter().map(f32::abs).collect(),
                bias: if bias { numbers(columns, 2.0) } else { Vec::new() },
                outlier_weights: numbers(outliers.len() * columns, 1.0),
                rows: numbers(rows * width_in, 6.0),
                activation: if gelu { Activation::Gelu } else { Activation::None },
                width_in,
                widths_out,
                outliers,
            }
        },
    )
}

proptest! {
    #[test]
    fn both_paths_are_the_same_to_the_bit(case in case()) {
        prop_assert_eq!(case.run(Path::Fastest, &case.rows), case.run(Path::Portable, &case.rows));
    }

    #[test]
    fn a_row_is_the_same_alone_and_among_others(case in case()) {
        let together = case.run(Path::Fastest, &case.rows);
        for (at, row) in case.rows.chunks(case.width_in).enumerate() {
            let alone = case.run(Path::Fastest, row);
            for ((alone, together), width) in alone.iter().zip(&together).zip(&case.widths_out) {
                prop_assert_eq!(alone.as_slice(), &together[at * width..(at + 1) * width]);
            }
        }
    }

    #[test]
    fn it_is_the_product_but_for_rounding(case in case()) {
        let case = Case { activation: Activation::None, ..case };
        let outputs = case.run(Path::Fastest, &case.rows);
        for (at, row) in case.rows.chunks(case.width_in).enumerate() {
            let mut first = 0;
            for (output, width) in outputs.iter().zip(&case.widths_out) {
                for column in 0..*width {
                    let (exact, slack) = case.exact(row, first + column);
                    let found = f64::from(output[at * width + column]);
                    prop_assert!((found - exact).abs() <= slack, "{found} {exact} ± {slack}");
                }
                first += width;
            }
        }
    }
}

/// One weight of one, so that what goes in comes out.
fn identity(activation: Activation) -> Int8Linear {
    let parts = Parts {
        width_in: 1,
        widths_out: &[1],
        weights: &[0],
        scales: &[1.0],
        outliers: &[0],
        outlier_weights: &[1.0],
        activation,
        ..Parts::default()
    };
    Int8Linear::new(&parts).unwrap()
}

#[test]
fn the_activation_is_that_of_the_error_function() {
    // x · Φ(x) to ten digits, of an independent computation.
    let known: [(f64, f64); 10] = [
        (-6.0, -5.919e-9),
        (-3.0, -0.004_049_694_1),
        (-1.0, -0.158_655_253_9),
        (-0.5, -0.154_268_769_4),
        (-0.01, -0.004_960_106_4),
        (0.0, 0.0),
        (0.3, 0.185_373_426_7),
        (1.0, 0.841_344_746_1),
        (2.5, 2.484_475_836_5),
        (9.0, 9.0),
    ];
    for path in [Path::Fastest, Path::Portable] {
        let layer = identity(Activation::Gelu).on(path);
        for (x, expected) in known {
            let mut out = [0.0];
            layer.run(&[x as f32], &mut [&mut out]).unwrap();
            assert!(
                (f64::from(out[0]) - expected).abs() <= 1e-6 * (1.0 + x.abs()),
                "{path:?}: gelu({x}) = {}",
                out[0]
            );
        }
    }
}

#[test]
fn a_row_with_what_is_no_number_gives_no_numbers_and_leaves_the_others_alone() {
    let parts = Parts {
        width_in: 3,
        widths_out: &[2],
        weights: &[1, 2, 3, 4, 5, 6],
        scales: &[1.0, 1.0],
        ..Parts::default()
    };
    for path in [Path::Fastest, Path::Portable] {
        let layer = Int8Linear::new(&parts).unwrap().on(path);
        for hostile in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut out = [0.0; 6];
            layer.run(&[1.0, 1.0, 1.0, 1.0, hostile, 1.0, 0.0, 0.0, 0.0], &mut [&mut out]).unwrap();
            assert!((out[0] - 9.0).abs() < 0.1 && (out[1] - 12.0).abs() < 0.1, "{out:?}");
            assert!(out[2].is_nan() && out[3].is_nan(), "{out:?}");
            assert_eq!(out[4..], [0.0, 0.0], "a row of zeros");
        }
    }
}

#[test]
fn parts_that_do_not_fit_are_refused() {
    let good = Parts {
        width_in: 2,
        widths_out: &[1, 2],
        weights: &[1; 6],
        scales: &[1.0; 3],
        bias: &[0.0; 3],
        outliers: &[1],
        outlier_weights: &[0.0; 3],
        activation: Activation::None,
    };
    assert!(Int8Linear::new(&good).is_ok());
    for (parts, message) in [
        (Parts { width_in: 0, ..good }, "rows of 0 numbers are wider than 65793"),
        (Parts { width_in: usize::MAX, ..good }, "rows of 18446744073709551615 numbers are wider than 65793"),
        (Parts { widths_out: &[1], ..good }, "there are 3 scales, not 1"),
        (Parts { widths_out: &[usize::MAX, 4], ..good }, "there are 3 scales, not 18446744073709551615"),
        (Parts { weights: &[1; 5], ..good }, "there are 5 weights, not 6"),
        (Parts { bias: &[0.0; 2], ..good }, "there are 2 numbers of the bias, not 3"),
        (Parts { outliers: &[2], ..good }, "there is no column 2 in rows of 2 numbers"),
        (Parts { outlier_weights: &[0.0; 2], ..good }, "there are 2 weights of outliers, not 3"),
    ] {
        assert_eq!(Int8Linear::new(&parts).unwrap_err().to_string(), message);
    }
    let layer = Int8Linear::new(&good).unwrap();
    let run = |rows: &[f32], sizes: &[usize]| {
        let mut outputs: Vec<Vec<f32>> = sizes.iter().map(|&size| vec![0.0; size]).collect();
        layer.run(rows, &mut outputs.iter_mut().map(Vec::as_mut_slice).collect::<Vec<_>>())
    };
    assert_eq!(run(&[1.0; 4], &[2, 4]), Ok(()));
    assert_eq!(run(&[], &[0, 0]), Ok(()));
    let wrong = |part, found, expected| Err(LinearError::Size { part, found, expected });
    assert_eq!(run(&[1.0; 3], &[1, 2]), wrong("numbers of rows", 3, 2));
    assert_eq!(run(&[1.0; 4], &[2]), wrong("outputs", 1, 2));
    assert_eq!(run(&[1.0; 4], &[2, 3]), wrong("numbers of an output", 3, 4));
}
