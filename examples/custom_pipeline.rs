//! Your own pipeline behind HTTP: implement `Pipeline`, give it a name, run.
//!
//! Run it with `cargo run --example custom_pipeline`, then
//! `curl localhost:8080/models/shout/predict -H content-type:application/json -d '"hello"'`.

use ml_core::{Facts, ModelError, Pipeline, Rejection};

struct Shout;

impl Pipeline for Shout {
    type Input = String;
    type Features = String;
    type Prediction = String;
    type Output = String;

    fn validate(&self, text: &String) -> Result<(), Rejection> {
        if text.is_empty() { Err(Rejection::new("text", "not_empty")) } else { Ok(()) }
    }

    fn clean(&self, text: String, _: &Facts) -> Result<String, Rejection> {
        Ok(text.trim().to_owned())
    }

    fn predict_batch(&self, batch: &[String]) -> Result<Vec<String>, ModelError> {
        Ok(batch.iter().map(|text| text.to_uppercase()).collect())
    }

    fn format(&self, text: String) -> String {
        text + "!"
    }

    fn example(&self) -> Option<String> {
        Some("hello".to_owned())
    }
}

fn main() -> std::process::ExitCode {
    ml_serve::main(|server| Ok(server.pipeline("shout", Shout)))
}
