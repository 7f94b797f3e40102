//! A first pipeline: four measurements of an iris in, its species out, without a server.
//!
//! Run it with `cargo run --example quickstart`: the model is a small file beside this one, and where no ONNX
//! Runtime is installed it runs on rten, in pure Rust.

use ml_core::{Engine, Facts, Model, ModelError, ModelOptions, Pipeline, Rejection};
use ndarray::Array2;
use ordered_float::NotNan;
use serde::{Deserialize, Serialize};

const SPECIES: [&str; 3] = ["setosa", "versicolor", "virginica"];

/// A centimetre value: `NotNan` makes floats comparable, so that equal flowers are computed once.
type Centimetres = NotNan<f32>;

/// What a caller sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
struct Flower {
    sepal_length_cm: Centimetres,
    sepal_width_cm: Centimetres,
    petal_length_cm: Centimetres,
    petal_width_cm: Centimetres,
}

/// What the caller gets back.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Answer {
    species: &'static str,
    probability: f32,
}

struct Iris {
    model: Model,
}

impl Iris {
    fn load(options: &ModelOptions) -> Result<Self, ml_core::LoadError> {
        let model =
            Model::load(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/models/iris/model.onnx"), options)?;
        model.expect(&["features"], &["probabilities"])?;
        Ok(Self { model })
    }
}

impl Pipeline for Iris {
    type Input = Flower;
    type Features = [f32; 4];
    type Prediction = [f32; 3];
    type Output = Answer;

    fn validate(&self, flower: &Flower) -> Result<(), Rejection> {
        let fields = [
            ("sepal_length_cm", flower.sepal_length_cm),
            ("sepal_width_cm", flower.sepal_width_cm),
            ("petal_length_cm", flower.petal_length_cm),
            ("petal_width_cm", flower.petal_width_cm),
        ];
        match fields.into_iter().find(|(_, value)| !(0.0..=30.0).contains(&value.into_inner())) {
            Some((field, value)) => Err(Rejection::new(field, "range").value(value).limit("0 to 30 cm")),
            None => Ok(()),
        }
    }

    fn clean(&self, flower: Flower, _: &Facts) -> Result<[f32; 4], Rejection> {
        let Flower { sepal_length_cm, sepal_width_cm, petal_length_cm, petal_width_cm } = flower;
        Ok([sepal_length_cm, sepal_width_cm, petal_length_cm, petal_width_cm].map(NotNan::into_inner))
    }

    fn predict_batch(&self, batch: &[[f32; 4]]) -> Result<Vec<[f32; 3]>, ModelError> {
        let features = Array2::from(batch.to_vec());
        let outputs = self.model.run(vec![("features", features.into())])?;
        let probabilities = outputs.get::<f32>("probabilities")?;
        probabilities
            .outer_iter()
            .map(|row| {
                row.iter().copied().collect::<Vec<_>>().try_into().map_err(|row| {
                    ModelError::new(format!("probabilities for three species were expected, got {row:?}"))
                })
            })
            .collect()
    }

    fn format(&self, probabilities: [f32; 3]) -> Answer {
        let (species, probability) = SPECIES.into_iter().zip(probabilities).fold(
            (SPECIES[0], f32::NEG_INFINITY),
            |best, candidate| if candidate.1 > best.1 { candidate } else { best },
        );
        Answer { species, probability }
    }

    fn models(&self) -> Vec<&Model> {
        vec![&self.model]
    }

    fn example(&self) -> Option<Flower> {
        Some(flower([5.1, 3.5, 1.4, 0.2]))
    }
}

fn flower(values: [f32; 4]) -> Flower {
    let [sepal_length_cm, sepal_width_cm, petal_length_cm, petal_width_cm] =
        values.map(|value| NotNan::new(value).unwrap_or_default());
    Flower { sepal_length_cm, sepal_width_cm, petal_length_cm, petal_width_cm }
}

#[expect(clippy::print_stdout, reason = "printing is what this example is for")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let iris = Iris::load(&ModelOptions::default())?;
    println!("running on {}\n", iris.model.runtime());

    let engine = Engine::new(iris);
    let flowers = vec![
        flower([5.1, 3.5, 1.4, 0.2]),
        flower([6.4, 3.2, 4.5, 1.5]),
        flower([-1.0, 3.0, 5.8, 2.2]), // No flower has this length: only this item is refused.
        flower([6.3, 3.3, 6.0, 2.5]),
        flower([5.1, 3.5, 1.4, 0.2]), // Equal to the first one, and computed once with it.
    ];
    for (number, result) in engine.predict_many_blocking(flowers).into_iter().enumerate() {
        match result {
            Ok(Answer { species, probability }) => println!("{number}: {species:<12} {probability:.3}"),
            Err(error) => println!("{number}: {} ({error})", error.code()),
        }
    }
    Ok(())
}
