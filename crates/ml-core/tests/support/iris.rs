//! The iris model of the repository, which every runtime answers alike.

use ml_core::Model;
use ndarray::{Array2, Ix2, array};

/// Checks what the model says of itself, and returns the probabilities of three flowers, one of each kind.
pub fn probabilities(model: &Model) -> Array2<f32> {
    assert_eq!(
        model.signature().to_string(),
        "the model takes features: f32[batch, 4] and gives probabilities: f32[batch, 3]"
    );
    assert_eq!(
        model.signature().metadata.get("labels").map(String::as_str),
        Some("setosa,versicolor,virginica")
    );
    let flowers = array![[5.1_f32, 3.5, 1.4, 0.2], [6.4, 3.2, 4.5, 1.5], [6.3, 3.3, 6.0, 2.5]];
    let outputs = model.run(vec![("features", (&flowers).into())]).expect("the model runs");
    let probabilities = outputs.get::<f32>("probabilities").expect("f32").into_owned();
    probabilities.into_dimensionality::<Ix2>().expect("two axes")
}

/// Returns the largest difference between two answers.
pub fn apart(one: &Array2<f32>, other: &Array2<f32>) -> f32 {
    (one - other).mapv(f32::abs).into_iter().fold(0.0, f32::max)
}
