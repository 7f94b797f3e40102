//! Reads, checks, rewrites and writes ONNX files.
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use ml_onnx::{Model, WriteOptions};
//!
//! let model = Model::read("model.onnx".as_ref())?;
//! model.check()?;
//! model.write("copy.onnx".as_ref(), WriteOptions::default())?;
//! # Ok(())
//! # }
//! ```
//!
//! A file is mapped and decoded without copying weights, and nothing that this crate does not know is lost: unknown
//! fields, operators and sets of operators are written back as they were.

mod check;
mod external;
mod file;
pub mod proto;
mod wire;

pub use check::Invalid;
pub use file::{FileError, FileErrorKind, WriteOptions};
pub use proto::{DataType, Graph, Model, Node, Tensor};
pub use wire::{DEPTH_MAX, ELEMENTS_MAX, Packed, Unknown, WireError};
