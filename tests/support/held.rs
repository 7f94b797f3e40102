//! A server whose model a test holds by the hand: each batch is told to the test, and runs when the test lets it.
//!
//! It is an example only to cargo, which so builds it with the others. The test's end is `keeper.rs`.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::process::ExitCode;

use ml_core::{Facts, ModelError, Pipeline, Rejection};

struct Held {
    /// Where the test listens.
    keeper: String,
}

impl Pipeline for Held {
    type Input = String;
    type Features = String;
    type Prediction = String;
    type Output = String;

    fn validate(&self, _: &String) -> Result<(), Rejection> {
        Ok(())
    }

    fn clean(&self, text: String, _: &Facts) -> Result<String, Rejection> {
        Ok(text)
    }

    fn predict_batch(&self, batch: &[String]) -> Result<Vec<String>, ModelError> {
        let mut keeper = TcpStream::connect(&self.keeper).map_err(ModelError::new)?;
        writeln!(keeper, "{}", batch.join(" ")).map_err(ModelError::new)?;
        let mut verdict = String::new();
        BufReader::new(keeper).read_line(&mut verdict).map_err(ModelError::new)?;
        match verdict.trim() {
            "pass" => Ok(batch.iter().map(|text| text.to_uppercase()).collect()),
            _ => Err(ModelError::new("the test wants it to fail")),
        }
    }

    fn format(&self, text: String) -> String {
        text
    }

    fn example(&self) -> Option<String> {
        Some("example".to_owned())
    }
}

fn main() -> ExitCode {
    ml_serve::main(|server| {
        let keeper = std::env::var("HELD_BY").map_err(|_| "HELD_BY must say where the test listens")?;
        Ok(server.pipeline("held", Held { keeper }))
    })
}
