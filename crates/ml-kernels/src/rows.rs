//! Rows in unsigned 8-bit integers, each with a scale and a zero of its own.
//!
//! A number is `scale · (integer − zero)`. The zero is chosen so that the integers hold what lies between the row's smallest and
//! largest number: what comes out of a GELU is hardly ever negative, and then has twice the precision of a symmetric range.

/// The least range of a row whose numbers are told apart: below it, floats divide badly, and nothing depends on it.
const RANGE_MIN: f32 = 1e-30;

/// The largest integer.
pub(crate) const LARGEST: f32 = 255.0;

/// How a row becomes integers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Scale {
    pub(crate) scale: f32,
    pub(crate) inverse: f32,
    pub(crate) zero: f32,
}

impl Scale {
    /// Returns the scale of numbers from `low` ≤ 0 to `high` ≥ 0.
    pub(crate) fn of(low: f32, high: f32) -> Self {
        let range = high - low;
        if range <= RANGE_MIN {
            return Self { scale: 0.0, inverse: 0.0, zero: 0.0 };
        }
        let inverse = LARGEST / range;
        Self { scale: range / LARGEST, inverse, zero: (-low * inverse).round_ties_even().clamp(0.0, LARGEST) }
    }
}

/// Quantised rows.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    /// So many bytes for each row as `stride` says.
    pub(crate) integers: Vec<u8>,
    pub(crate) stride: usize,
    pub(crate) scales: Vec<f32>,
    pub(crate) zeros: Vec<i32>,
    /// The outliers of each row.
    pub(crate) outliers: Vec<f32>,
}

impl Rows {
    /// Makes room for so many rows of so many bytes. What is in them is what was there.
    pub(crate) fn resize(&mut self, rows: usize, stride: usize) {
        self.stride = stride;
        self.integers.resize(rows * stride, 0);
        self.scales.resize(rows, 0.0);
        self.zeros.resize(rows, 0);
    }

    /// Takes the outliers out of rows.
    pub(crate) fn take_outliers(&mut self, rows: &[f32], width: usize, columns: &[usize]) {
        self.outliers.clear();
        self.outliers
            .extend(rows.chunks_exact(width).flat_map(|row| columns.iter().map(|&column| row[column])));
    }

    /// Takes the scale of a row; of one that is not all numbers, the products must not be numbers either.
    pub(crate) fn set(&mut self, row: usize, Scale { scale, zero, .. }: Scale, is_numbers: bool) {
        self.scales[row] = if is_numbers { scale } else { f32::NAN };
        // From 0 to 255, or, of what is no number, 0.
        self.zeros[row] = zero as i32;
    }
}
