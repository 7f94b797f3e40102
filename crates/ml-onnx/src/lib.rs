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

pub mod calibrate;
mod check;
mod edit;
mod external;
mod file;
mod fused;
mod gelu;
mod linear;
pub mod operators;
pub mod passes;
pub mod proto;
pub mod prune;
mod shapes;
mod stored;
mod wire;

/// What the fuzz target in `fuzz/` sees more than others.
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing {
    /// Returns a model as the bytes of a file.
    pub fn encoded(model: &crate::Model) -> std::io::Result<Vec<u8>> {
        let mut stream = crate::wire::Stream::new(Vec::new());
        crate::wire::Message::put(model, &mut stream);
        stream.finish()
    }
}

pub use check::Invalid;
pub use external::beside;
pub use file::{FileError, FileErrorKind, WriteOptions};
pub use fused::fuse_linears;
pub use linear::Linear;
pub use passes::{Pass, PassError};
pub use proto::{DataType, Graph, Model, Node, Tensor};
pub use shapes::{Shapes, Size};
pub use stored::leave_rows_stored;
pub use wire::{DEPTH_MAX, ELEMENTS_MAX, Packed, Unknown, WireError};
