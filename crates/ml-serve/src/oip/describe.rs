//! What a model says about itself in the protocol's words.

use ml_core::{Dimension, TensorInfo};
use serde::Serialize;

use super::inputs::Contract;
use super::{EXTENSIONS, VERSION, datatype};

/// What a server says about itself.
#[derive(Debug, Serialize)]
pub(crate) struct ServerMetadata<'a> {
    pub name: &'a str,
    pub version: &'a str,
    pub extensions: [&'static str; EXTENSIONS.len()],
}

impl Default for ServerMetadata<'_> {
    fn default() -> Self {
        Self { name: "ml-serve", version: env!("CARGO_PKG_VERSION"), extensions: EXTENSIONS }
    }
}

/// What a model says about itself.
#[derive(Debug, Serialize)]
pub(crate) struct ModelMetadata<'a> {
    pub name: &'a str,
    pub versions: Vec<&'a str>,
    pub platform: &'static str,
    pub inputs: Vec<TensorMetadata<'a>>,
    pub outputs: Vec<TensorMetadata<'a>>,
}

/// A tensor of a model: sizes of -1 are the caller's.
#[derive(Debug, Serialize)]
pub(crate) struct TensorMetadata<'a> {
    pub name: &'a str,
    pub datatype: &'static str,
    pub shape: Vec<i64>,
}

impl<'a> Contract<'a> {
    pub fn metadata(self) -> ModelMetadata<'a> {
        let signature = self.pipeline.signature();
        let tensors = |infos: &'a [TensorInfo]| {
            let tensor = |info: &'a TensorInfo| TensorMetadata {
                name: &info.name,
                datatype: datatype::name(info.element),
                shape: sizes(info),
            };
            infos.iter().map(tensor).collect()
        };
        ModelMetadata {
            name: self.name,
            versions: vec![VERSION],
            platform: self.platform(),
            inputs: tensors(&signature.inputs),
            outputs: tensors(&signature.outputs),
        }
    }

    /// Triton's word for what runs the model, as far as it has one.
    pub fn platform(self) -> &'static str {
        if self.backend() == "rten" { "rten_onnx" } else { "onnxruntime_onnx" }
    }

    /// The runtime's name.
    pub fn backend(self) -> &'static str {
        if self.pipeline.model().runtime().starts_with("rten") { "rten" } else { "onnxruntime" }
    }

    /// Most rows of a request, and 0 for a model that knows no rows.
    pub fn batch_size_max(self) -> usize {
        if self.pipeline.batched() { self.rows_max } else { 0 }
    }
}

/// Returns the sizes of a tensor, -1 where the caller chooses.
pub(super) fn sizes(info: &TensorInfo) -> Vec<i64> {
    info.shape.iter().flatten().map(size).collect()
}

pub(super) fn size(dimension: &Dimension) -> i64 {
    match dimension {
        Dimension::Fixed(size) => i64::try_from(*size).unwrap_or(i64::MAX),
        Dimension::Dynamic(_) => -1,
    }
}
