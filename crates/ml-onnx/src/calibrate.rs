//! Calibration: what numbers a model's inner values take, on real inputs.
//!
//! The model is run elsewhere: [`Model::probe`](crate::Model::probe) gives one whose outputs are the values that are asked for,
//! and what comes out is added to [`Columns`] in a first run over the data and to [`Histogram`] in a second.

mod histogram;

use ndarray::ArrayView2;

use crate::proto::{Dim, ValueInfo};
use crate::{DataType, Model};

pub use histogram::{Histogram, RangeMethod};

/// The least and the largest number of each column (feature) of a value.
#[derive(Debug, Clone, PartialEq)]
pub struct Columns {
    /// The least.
    pub low: Vec<f32>,
    /// The largest.
    pub high: Vec<f32>,
}

/// What calibration has found about a layer's input.
#[derive(Debug, Clone, PartialEq)]
pub struct Range {
    /// The least number that integers shall hold.
    pub low: f32,
    /// The largest.
    pub high: f32,
    /// Columns with numbers far beyond: they are not in the range, and stay in floats.
    pub outliers: Vec<usize>,
}

impl Model {
    /// Returns the model with inner values as its outputs, floats of unknown sizes.
    pub fn probe(&self, values: &[&str]) -> Self {
        let mut model = self.clone();
        if let Some(graph) = &mut model.graph {
            graph.outputs = values
                .iter()
                .map(|name| {
                    let mut info = ValueInfo::tensor(name, DataType::Float, &[Dim::default()]);
                    // No shape at all: the number of sizes is not known either.
                    let tensor = info.kind.as_mut().and_then(|kind| kind.tensor.as_mut());
                    tensor.into_iter().for_each(|tensor| tensor.shape = None);
                    info
                })
                .collect();
            crate::edit::remove_unused(graph);
        }
        model
    }
}

impl Columns {
    /// Begins with nothing seen.
    pub fn new(width: usize) -> Self {
        Self { low: vec![f32::INFINITY; width], high: vec![f32::NEG_INFINITY; width] }
    }

    /// Takes rows in.
    pub fn add(&mut self, rows: ArrayView2<'_, f32>) {
        for row in rows.outer_iter() {
            for ((number, low), high) in row.iter().zip(&mut self.low).zip(&mut self.high) {
                *low = low.min(*number);
                *high = high.max(*number);
            }
        }
    }

    /// Returns the columns that have a number beyond the threshold, at most so many: the largest of them.
    ///
    /// LLM.int8() (Dettmers et al., 2022) keeps these in floats; its threshold is 6.
    pub fn outliers(&self, threshold: f32, columns_max: usize) -> Vec<usize> {
        let size = |at: usize| self.high[at].max(-self.low[at]);
        let mut outliers: Vec<usize> = (0..self.low.len()).filter(|&at| size(at) > threshold).collect();
        outliers.sort_by(|&one, &other| size(other).total_cmp(&size(one)));
        outliers.truncate(columns_max);
        outliers.sort_unstable();
        outliers
    }

    /// Returns the least and the largest number of the columns that are not left out.
    pub fn range(&self, without: &[usize]) -> (f32, f32) {
        let kept = || (0..self.low.len()).filter(|at| without.binary_search(at).is_err());
        let low = kept().map(|at| self.low[at]).fold(f32::INFINITY, f32::min);
        let high = kept().map(|at| self.high[at]).fold(f32::NEG_INFINITY, f32::max);
        (low, high)
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn outliers_are_the_largest_columns_beyond_the_threshold() {
        let mut columns = Columns::new(4);
        columns.add(array![[1.0_f32, -7.0, 2.0, 0.0], [0.0, 1.0, 9.0, 6.5]].view());
        assert_eq!(columns.outliers(6.0, 64), [1, 2, 3]);
        assert_eq!(columns.outliers(6.0, 2), [1, 2]);
        assert_eq!(columns.range(&[1, 2]), (0.0, 6.5));
        assert_eq!(columns.range(&[]), (-7.0, 9.0));
    }
}
