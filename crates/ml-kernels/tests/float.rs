//! A layer in floats against the same in exact numbers, one path against the other, a row alone against the row among others.
#![allow(clippy::unwrap_used, reason = "clippy takes the helpers of a test file for no tests")]

use ml_kernels::{Activation, FloatLinear, FloatParts, LinearError, Path};
use proptest::prelude::*;

/// A layer of any size, and rows for it.
#[derive(Debug, Clone)]
struct Case {
    width_in: usize,
    width_out: usize,
    weights: Vec<f32>,
    bias: Vec<f32>,
    activation: Activation,
    rows: Vec<f32>,
}

impl Case {
    fn parts(&self) -> FloatParts<'_> {
        FloatParts {
            width_in: self.width_in,
            width_out: self.width_out,
            weights: &self.weights,
            transposed: false,
            bias: &self.bias,
            activation: self.activation,
        }
    }

    /// Computes rows in so many parts.
    fn run(&self, path: Path, rows: &[f32], parts: usize) -> Vec<f32> {
        let layer = FloatLinear::new(&self.parts()).unwrap().on(path);
        let mut output = vec![7.0; rows.len() / self.width_in * self.width_out];
        for columns in &mut layer.split(&mut output, parts) {
            layer.run(rows, columns).unwrap();
        }
        output
    }
}

fn case() -> impl Strategy<Value = Case> {
    // Rows of more than one block, outputs of more than one panel.
    let sizes = (1_usize..70, 1_usize..200, 0_usize..120);
    (sizes, any::<bool>(), any::<bool>(), any::<u64>()).prop_map(
        |((width_in, width_out, rows), bias, gelu, seed)| {
            let mut seed = seed | 1;
            let mut numbers = |count: usize| -> Vec<f32> {
                let next = || {
                    seed ^= seed << 13;
                    seed ^= seed >> 7;
                    seed ^= seed << 17;
                    (seed >> 40) as f32 / (1_u64 << 23) as f32 - 1.0
                };
                std::iter::repeat_with(next).take(count).collect()
            };
            Case {
                weights: numbers(width_in * width_out),
                bias: if bias { numbers(width_out) } else { Vec::new() },
                rows: numbers(rows * width_in),
                activation: if gelu { Activation::Gelu } else { Activation::None },
                width_in,
                width_out,
            }
        },
    )
}

proptest! {
    #[test]
    fn both_paths_are_the_same_to_the_bit(case in case()) {
        prop_assert_eq!(case.run(Path::Fastest, &case.rows, 1), case.run(Path::Portable, &case.rows, 1));
    }

    #[test]
    fn a_row_is_the_same_alone_and_among_others_and_in_parts(case in case(), parts in 2_usize..5) {
        let together = case.run(Path::Fastest, &case.rows, 1);
        prop_assert_eq!(&case.run(Path::Fastest, &case.rows, parts), &together);
        let rows = case.rows.chunks(case.width_in).zip(together.chunks(case.width_out));
        for (row, together) in rows {
            let alone = case.run(Path::Fastest, row, 1);
            prop_assert_eq!(alone.as_slice(), together);
        }
    }

    #[test]
    fn it_is_the_same_of_a_matrix_that_lies_the_other_way(case in case()) {
        let Case { width_in, width_out, .. } = case;
        let turned = (0..width_in * width_out).map(|at| case.weights[at % width_in * width_out + at / width_in]);
        let turned: Vec<f32> = turned.collect();
        let parts = FloatParts { weights: &turned, transposed: true, ..case.parts() };
        let layer = FloatLinear::new(&parts).unwrap();
        let mut output = vec![0.0; case.rows.len() / width_in * width_out];
        layer.run(&case.rows, &mut layer.split(&mut output, 1)[0]).unwrap();
        prop_assert_eq!(output, case.run(Path::Fastest, &case.rows, 1));
    }

    #[test]
    fn it_is_the_product_but_for_rounding(case in case()) {
        let case = Case { activation: Activation::None, ..case };
        let output = case.run(Path::Fastest, &case.rows, 1);
        let rows = case.rows.chunks(case.width_in).zip(output.chunks(case.width_out));
        for (row, output) in rows {
            for (column, found) in output.iter().enumerate() {
                let weights = case.weights.iter().skip(column).step_by(case.width_out);
                let products = row.iter().zip(weights).map(|(x, w)| f64::from(*x) * f64::from(*w));
                let bias = case.bias.get(column).copied().map_or(0.0, f64::from);
                let exact = products.sum::<f64>() + bias;
                prop_assert!((f64::from(*found) - exact).abs() <= 1e-5 * (1.0 + exact.abs()), "{found} {exact}");
            }
        }
    }
}

#[test]
fn the_gelu_is_that_of_the_sums() {
    let identity = FloatParts {
        width_in: 1,
        width_out: 3,
        weights: &[-1.0, 0.0, 2.0],
        bias: &[0.0, 0.0, 1.0],
        activation: Activation::Gelu,
        ..FloatParts::default()
    };
    let layer = FloatLinear::new(&identity).unwrap();
    let mut output = [0.0; 3];
    layer.run(&[1.0], &mut layer.split(&mut output, 1)[0]).unwrap();
    // x · Φ(x) of -1, 0 and 3.
    for (found, exact) in output.into_iter().zip([-0.158_655_25, 0.0, 2.995_950_3]) {
        assert!((found - exact).abs() < 1e-6, "{found} {exact}");
    }
}

#[test]
fn parts_that_do_not_fit_are_named() {
    let parts =
        FloatParts { width_in: 2, width_out: 3, weights: &[0.0; 6], bias: &[], ..FloatParts::default() };
    for (refused, expected) in [
        (FloatParts { width_in: 0, ..parts }, "a layer of 0 x 3 numbers computes nothing"),
        (FloatParts { width_out: 0, ..parts }, "a layer of 2 x 0 numbers computes nothing"),
        (FloatParts { weights: &[0.0; 5], ..parts }, "there are 5 weights, not 6"),
        (FloatParts { width_in: usize::MAX, ..parts }, &format!("there are 6 weights, not {}", usize::MAX)),
        (FloatParts { bias: &[0.0; 2], ..parts }, "there are 2 numbers of the bias, not 3"),
    ] {
        assert_eq!(FloatLinear::new(&refused).unwrap_err().to_string(), expected);
    }
}

#[test]
fn rows_that_do_not_fit_are_named() {
    let parts =
        FloatParts { width_in: 2, width_out: 3, weights: &[0.0; 6], bias: &[], ..FloatParts::default() };
    let layer = FloatLinear::new(&parts).unwrap();
    let mut output = [0.0; 6];
    let mut split = layer.split(&mut output, 1);
    let expected = LinearError::Size { part: "numbers of rows", found: 3, expected: 4 };
    assert_eq!(layer.run(&[0.0; 3], &mut split[0]).unwrap_err(), expected);
}
