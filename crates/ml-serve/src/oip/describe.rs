//! What a model says about itself in the protocol's words.

use ml_core::{Dimension, TensorInfo};
use serde::Serialize;
use utoipa::ToSchema;

use super::inputs::Contract;
use super::{EXTENSIONS, datatype};

/// What a server says about itself.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ServerMetadata<'a> {
    pub name: &'a str,
    pub version: &'a str,
    pub extensions: [&'static str; EXTENSIONS.len()],
}

impl<'a> ServerMetadata<'a> {
    pub fn of(name: &'a str) -> Self {
        Self { name, version: env!("CARGO_PKG_VERSION"), extensions: EXTENSIONS }
    }
}

/// What a model says about itself.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ModelMetadata<'a> {
    pub name: &'a str,
    pub versions: Vec<String>,
    pub platform: &'a str,
    pub inputs: Vec<TensorMetadata<'a>>,
    pub outputs: Vec<TensorMetadata<'a>>,
}

/// A tensor of a model: sizes of -1 are the caller's.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TensorMetadata<'a> {
    pub name: &'a str,
    pub datatype: &'static str,
    pub shape: Vec<i64>,
}

impl<'a> Contract<'a> {
    /// `versions` are those that are ready, or the one that was asked for.
    pub fn metadata(self, versions: Vec<String>) -> ModelMetadata<'a> {
        let signature = self.pipeline.offered();
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
            versions,
            platform: &self.pipeline.settled().config.platform,
            inputs: tensors(&signature.inputs),
            outputs: tensors(&signature.outputs),
        }
    }
}

/// Returns the sizes of a tensor, -1 where the caller chooses.
pub(super) fn sizes(info: &TensorInfo) -> Vec<i64> {
    info.shape.iter().flatten().map(size).collect()
}

fn size(dimension: &Dimension) -> i64 {
    match dimension {
        Dimension::Fixed(size) => i64::try_from(*size).unwrap_or(i64::MAX),
        Dimension::Dynamic(_) => -1,
    }
}
