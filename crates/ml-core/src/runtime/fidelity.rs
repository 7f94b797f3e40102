//! How near the outputs of two models are to each other, item by item.

use ndarray::{Array2, ArrayView1, Ix2};

use super::{Signature, Tensor};
use crate::ModelError;

/// Returns the cosine between two vectors; 0 where it is no number, and 1 between two vectors of zeros.
pub fn cosine(one: ArrayView1<'_, f32>, other: ArrayView1<'_, f32>) -> f64 {
    let product = |one: ArrayView1<'_, f32>, other: ArrayView1<'_, f32>| {
        one.iter().zip(other).map(|(one, other)| f64::from(*one) * f64::from(*other)).sum::<f64>()
    };
    let (one_squared, other_squared) = (product(one, one), product(other, other));
    if one_squared == 0.0 && other_squared == 0.0 {
        return 1.0;
    }
    let cosine = product(one, other) / (one_squared * other_squared).sqrt();
    if cosine.is_nan() { 0.0 } else { cosine }
}

/// Returns the index of the largest number: of a row of scores, the prediction. The last of equal ones.
pub fn largest(row: ArrayView1<'_, f32>) -> usize {
    let numbered = row.iter().enumerate();
    numbered.max_by(|(_, one), (_, other)| one.total_cmp(other)).map_or(0, |(index, _)| index)
}

/// How far one item's answers by two models are apart.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Apart {
    /// Whether the prediction is another one: the largest number of the last output, or all of it where it is no floats.
    pub flipped: bool,
    /// One minus the cosine between the first outputs of floats.
    pub distance: f64,
    /// The largest difference of any number in them.
    pub error_max: f64,
}

/// Compares outputs, given in the order of the signature, item by item: the first axis is that of the items.
///
/// # Errors
/// When they are of other shapes or types.
pub(super) fn compare(
    signature: &Signature,
    ones: &[Tensor<'_>],
    others: &[Tensor<'_>],
) -> Result<Vec<Apart>, ModelError> {
    let differ = |index: usize| {
        let name = signature.outputs.get(index).map_or("", |info| info.name.as_str());
        ModelError::new(format!("the outputs {name} differ in shape or type"))
    };
    let (mut nearness, mut flips) = (None, Vec::new());
    for (index, (one, other)) in ones.iter().zip(others).enumerate() {
        if one.shape() != other.shape() {
            return Err(differ(index));
        }
        match (rows(one), rows(other)) {
            (Some(one), Some(other)) => {
                let pairs = || one.outer_iter().zip(other.outer_iter());
                flips = pairs().map(|(one, other)| largest(one) != largest(other)).collect();
                nearness
                    .get_or_insert_with(|| pairs().map(|(one, other)| near(one, other)).collect::<Vec<_>>());
            }
            (None, None) => {
                let rows = one.shape().first().copied().unwrap_or(0);
                flips = (0..rows).map(|row| one.row(row) != other.row(row)).collect();
            }
            // Halves and floats are both floats, and texts are no numbers.
            _ => return Err(differ(index)),
        }
    }
    let nearness = nearness.unwrap_or_else(|| vec![(0.0, 0.0); flips.len()]);
    let apart = nearness.into_iter().zip(flips);
    Ok(apart.map(|((distance, error_max), flipped)| Apart { flipped, distance, error_max }).collect())
}

fn near(one: ArrayView1<'_, f32>, other: ArrayView1<'_, f32>) -> (f64, f64) {
    let errors = one.iter().zip(other).map(|(one, other)| f64::from((one - other).abs()));
    // What is no number is as far away as can be told, but not infinitely: sums of it are kept.
    let finite = |error: f64| if error.is_finite() { error } else { f64::from(f32::MAX) };
    ((1.0 - cosine(one, other)).clamp(0.0, 2.0), errors.map(finite).fold(0.0, f64::max))
}

/// Returns a tensor of floats as a matrix of a row for each item; `None` where it has other elements.
fn rows(tensor: &Tensor<'_>) -> Option<Array2<f32>> {
    let floats = match tensor {
        Tensor::F32(array) => array.to_owned(),
        Tensor::F64(array) => array.mapv(|number| number as f32),
        Tensor::F16(array) => array.mapv(f32::from),
        Tensor::BF16(array) => array.mapv(f32::from),
        _ => return None,
    };
    let rows = floats.shape().first().copied().unwrap_or(1);
    let flat = (rows, floats.len() / rows.max(1));
    floats.into_shape_with_order(flat).ok()?.into_dimensionality::<Ix2>().ok()
}

#[cfg(test)]
mod tests {
    use ndarray::{Array1, array};

    use super::*;

    #[test]
    fn the_cosine_is_always_a_number() {
        for (one, other, expected) in [
            (array![1.0_f32, 0.0], array![2.0_f32, 0.0], 1.0),
            (array![1.0, 0.0], array![0.0, 1.0], 0.0),
            (array![0.0, 0.0], array![0.0, 0.0], 1.0),
            (array![0.0, 0.0], array![0.0, 1.0], 0.0),
            (array![f32::NAN, 0.0], array![0.0, 1.0], 0.0),
        ] {
            assert_eq!(cosine(one.view(), other.view()), expected, "{one} {other}");
        }
    }

    #[test]
    fn items_are_compared_by_the_first_floats_and_the_last_output() {
        let outputs = |embedding: [[f32; 2]; 2], labels: [i64; 2]| -> Vec<Tensor<'static>> {
            vec![
                array![3_i64, 4].into(),
                ndarray::arr2(&embedding).into(),
                Array1::from(labels.to_vec()).into(),
            ]
        };
        let original = outputs([[1.0, 0.0], [0.0, 1.0]], [0, 1]);
        let other = outputs([[1.0, 0.0], [0.5, 1.0]], [0, 0]);
        let apart = compare(&Signature::default(), &original, &other).unwrap();
        assert_eq!(apart[0], Apart { flipped: false, distance: 0.0, error_max: 0.0 });
        assert!(apart[1].flipped && apart[1].error_max == 0.5, "{apart:?}");
        assert!((apart[1].distance - (1.0 - 1.25_f64.sqrt().recip())).abs() < 1e-6, "{apart:?}");
        let broken = outputs([[f32::NAN, 0.0], [0.0, 1.0]], [0, 1]);
        let apart = compare(&Signature::default(), &original, &broken).unwrap();
        assert_eq!((apart[0].distance, apart[0].error_max), (1.0, f64::from(f32::MAX)));
        let shorter: Vec<Tensor<'static>> = vec![array![3_i64].into()];
        assert!(compare(&Signature::default(), &original, &shorter).is_err());
    }

    #[test]
    fn scores_flip_when_another_one_is_the_largest() {
        let scores = |rows: [[f32; 2]; 2]| -> Vec<Tensor<'static>> { vec![ndarray::arr2(&rows).into()] };
        let apart = compare(
            &Signature::default(),
            &scores([[0.6, 0.4], [0.6, 0.4]]),
            &scores([[0.51, 0.49], [0.49, 0.51]]),
        );
        assert_eq!(apart.unwrap().iter().map(|apart| apart.flipped).collect::<Vec<_>>(), [false, true]);
    }
}
