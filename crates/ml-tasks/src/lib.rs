//! Ready-made tasks: pipelines for models as Hugging Face's tools export them, without code for any of them.
//!
//! Each is an ordinary [`Pipeline`](ml_core::Pipeline), made of a loaded model and the folder that its settings lie in:
//!
//! ```no_run
//! use ml_core::{Engine, Model, ModelOptions};
//! use ml_tasks::{EmbeddingInput, Folder, TaskOptions, TextEmbedding};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let model = Model::load("all-MiniLM-L6-v2/onnx/model.onnx", &ModelOptions::default())?;
//! let folder = Folder::new("all-MiniLM-L6-v2");
//! let engine = Engine::new(TextEmbedding::new(model, &folder, &TaskOptions::default())?);
//! let answer = engine.predict_blocking(EmbeddingInput::new("The soup was warm."))?;
//! println!("{} tokens, {} numbers", answer.tokens, answer.embedding.len());
//! # Ok(())
//! # }
//! ```
//!
//! The files are read as they are written there: `config.json`, `tokenizer.json`, `tokenizer_config.json`,
//! `sentence_bert_config.json`, `modules.json` and its pooling, `preprocessor_config.json`.

mod error;
mod folder;
mod image;
mod options;
mod scores;
pub mod text;

pub use self::error::TaskError;
pub use self::folder::{Folder, Task};
pub use self::image::{Classified, EXAMPLE_IMAGE_BASE64, ImageClassification, ImageInput};
pub use self::options::{Aggregation, Pooling, TaskOptions};
pub use self::scores::LabelScore;
pub use self::text::classification::{Classification, ClassificationInput, TextClassification};
pub use self::text::embedding::{Embedding, EmbeddingInput, TextEmbedding};
pub use self::text::entities::{Entities, Entity, EntityInput, TokenClassification};
pub use self::text::reranking::{Ranked, Reranking, RerankingInput};
pub use self::text::tokenizer::{Content, Cutting, Direction};
