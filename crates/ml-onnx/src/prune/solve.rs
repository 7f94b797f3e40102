//! Linear algebra on symmetric positive definite matrices, by Cholesky's decomposition.

use ndarray::{Array2, ArrayView1, s};

/// A lower triangular matrix whose product with its transpose is the one decomposed.
pub(super) struct Cholesky(Array2<f64>);

impl Cholesky {
    /// Decomposes a matrix; none where it is not positive definite.
    pub(super) fn of(matrix: &Array2<f64>) -> Option<Self> {
        let size = matrix.nrows();
        let mut lower = Array2::<f64>::zeros((size, size));
        for row in 0..size {
            for column in 0..=row {
                let known = dot(lower.slice(s![row, ..column]), lower.slice(s![column, ..column]));
                let rest = matrix[(row, column)] - known;
                if row == column {
                    // What is no number is not positive either.
                    if rest.is_nan() || rest <= 0.0 {
                        return None;
                    }
                    lower[(row, row)] = rest.sqrt();
                } else {
                    lower[(row, column)] = rest / lower[(column, column)];
                }
            }
        }
        Some(Self(lower))
    }

    /// Returns what the matrix has to be multiplied with to give `right`.
    pub(super) fn solve(&self, right: &Array2<f64>) -> Array2<f64> {
        let (lower, size) = (&self.0, self.0.nrows());
        let mut solved = right.clone();
        for row in 0..size {
            let (above, mut below) = solved.view_mut().split_at(ndarray::Axis(0), row);
            let mut own = below.row_mut(0);
            for (column, known) in above.outer_iter().enumerate() {
                own.scaled_add(-lower[(row, column)], &known);
            }
            own /= lower[(row, row)];
        }
        for row in (0..size).rev() {
            let (mut above, below) = solved.view_mut().split_at(ndarray::Axis(0), row + 1);
            let mut own = above.row_mut(row);
            for (after, known) in below.outer_iter().enumerate() {
                own.scaled_add(-lower[(row + 1 + after, row)], &known);
            }
            own /= lower[(row, row)];
        }
        solved
    }

    /// Returns the inverse of the matrix.
    pub(super) fn inverse(&self) -> Array2<f64> {
        self.solve(&Array2::eye(self.0.nrows()))
    }
}

fn dot(one: ArrayView1<'_, f64>, other: ArrayView1<'_, f64>) -> f64 {
    one.dot(&other)
}

/// Adds to the diagonal a share of its own mean, so that no direction is without length.
pub(super) fn with_ridge(mut matrix: Array2<f64>, share: f64) -> (Array2<f64>, f64) {
    let mean = matrix.diag().sum() / matrix.nrows().max(1) as f64;
    // A matrix of zeros gets a ridge too.
    let ridge = (share * mean).max(f64::MIN_POSITIVE);
    matrix.diag_mut().mapv_inplace(|number| number + ridge);
    (matrix, ridge)
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn systems_are_solved() {
        let matrix = array![[4.0, 2.0, 0.5], [2.0, 5.0, 1.0], [0.5, 1.0, 3.0]];
        let cholesky = Cholesky::of(&matrix).unwrap();
        let right = array![[1.0, 0.0], [2.0, 1.0], [3.0, -1.0]];
        let back = matrix.dot(&cholesky.solve(&right));
        assert!((&back - &right).iter().all(|rest| rest.abs() < 1e-12), "{back}");
        let identity = matrix.dot(&cholesky.inverse());
        assert!((&identity - &Array2::<f64>::eye(3)).iter().all(|rest| rest.abs() < 1e-12), "{identity}");
        assert!(Cholesky::of(&array![[1.0, 2.0], [2.0, 1.0]]).is_none());
    }
}
