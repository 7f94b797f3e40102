//! Serves the sentiment of a text, and its sentence embedding, from a model folder.
//!
//! `scripts/demo` gets the model and runs this; by hand it is
//! `cargo run --release --example sentiment -- .ml/models/sentiment`.

mod pipeline;

use std::error::Error;
use std::process::ExitCode;

use ml_serve::{ModelInfo, Server};

use self::pipeline::Sentiment;

fn main() -> ExitCode {
    ml_serve::main(serve)
}

fn serve(server: Server) -> Result<Server, Box<dyn Error + Send + Sync>> {
    let [entry] = server.config().models.as_slice() else {
        return Err(
            "name one model folder, with tokenizer.json and model.onnx in it, and variants of the model"
                .into(),
        );
    };
    let sentiment = Sentiment::load(&entry.path, &server.model_options_of(entry))?;
    let info = ModelInfo {
        description: Some(
            "whether a text speaks well or ill of something, and its sentence embedding".to_owned(),
        ),
        example: Some(serde_json::json!({"text": "I loved every minute of it."})),
        ..ModelInfo::of(sentiment.model())
    };
    Ok(server.pipeline_with("sentiment", info, sentiment, |engine| engine))
}
