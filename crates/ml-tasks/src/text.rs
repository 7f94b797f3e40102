//! Texts: from a tokenizer to the tensors of a batch, and the tasks that begin so.

pub(crate) mod classification;
pub(crate) mod embedding;
mod encoder;
pub(crate) mod entities;
mod grouping;
mod pooling;
pub(crate) mod reranking;
pub(crate) mod tokenizer;
mod tokens;

pub use self::encoder::Encoder;
pub use self::tokenizer::{Content, Cutting, Direction, TextTokenizer, Tokenized};
pub use self::tokens::Tokens;
