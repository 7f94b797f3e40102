//! 8-bit integers: symmetric, so that zero is zero and a product needs no correction.

use ndarray::{Array1, Array2, Axis};

/// The largest integer that is used; −128 is left out, so that both sides are the same.
const LARGEST: f32 = 127.0;

/// A matrix as integers, with a scale for each column or row.
pub(crate) struct Quantized {
    pub(crate) integers: Array2<i8>,
    pub(crate) scales: Array1<f32>,
}

impl Quantized {
    /// Quantises each column, the way of a matrix that inputs are multiplied with: a column is an output channel.
    pub(crate) fn columns(matrix: &Array2<f32>) -> Self {
        Self::along(matrix, Axis(0))
    }

    /// Quantises each row, the way of a table that rows are looked up in.
    pub(crate) fn rows(matrix: &Array2<f32>) -> Self {
        Self::along(matrix, Axis(1))
    }

    fn along(matrix: &Array2<f32>, axis: Axis) -> Self {
        let largest = matrix.fold_axis(axis, 0.0_f32, |largest, number| largest.max(number.abs()));
        // Zeros alone have no scale of their own; any will do.
        let scales = largest.mapv(|largest| if largest > 0.0 { largest / LARGEST } else { 1.0 });
        let wide = scales.view().insert_axis(axis);
        let integer = |number: f32| number.round_ties_even().clamp(-LARGEST, LARGEST) as i8;
        Self { integers: (matrix / &wide).mapv(integer), scales }
    }
}

/// Scale and zero of unsigned integers that hold the numbers from `low` to `high`.
pub(crate) fn unsigned(low: f32, high: f32) -> (f32, u8) {
    // Zero itself must be held exactly: it is what padding is made of.
    let (low, high) = (low.min(0.0), high.max(0.0));
    let scale = ((high - low) / 255.0).max(1e-8);
    (scale, (-low / scale).round().clamp(0.0, 255.0) as u8)
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn each_column_or_row_fills_the_integers() {
        let matrix = array![[1.0_f32, -0.5], [-2.0, 0.25], [0.0, 0.0]];
        let columns = Quantized::columns(&matrix);
        assert_eq!(columns.integers, array![[64_i8, -127], [-127, 64], [0, 0]]);
        assert_eq!(columns.scales, array![2.0 / 127.0, 0.5 / 127.0]);
        let rows = Quantized::rows(&matrix);
        assert_eq!(rows.integers, array![[127_i8, -64], [-127, 16], [0, 0]]);
        assert_eq!(rows.scales, array![1.0 / 127.0, 2.0 / 127.0, 1.0]);
    }

    #[test]
    fn zero_is_held_exactly() {
        for (low, high, expected) in
            [(-1.0, 2.0, 85), (0.0, 2.0, 0), (0.5, 2.0, 0), (-3.0, -1.0, 255), (0.0, 0.0, 0)]
        {
            let (scale, zero) = unsigned(low, high);
            assert!(scale > 0.0);
            assert_eq!(zero, expected, "{low} to {high}");
        }
    }
}
