//! Passes: each takes a model and gives one that does the same, or nearly so, for less.
//!
//! A pass is a type with its settings that implements [`Pass`], in a file of its own that begins with where the method
//! comes from. [`Model::rewritten`] applies passes in order and checks what every pass promises.

mod clean;
mod fold;
mod fp16;
mod int8_dynamic;
mod int8_fused;
mod int8_static;
mod int8_tables;
mod mixed;
mod packed;
mod packed_attention;
mod per_token;
mod quantize;

use crate::{Invalid, Model};

pub use clean::Clean;
pub use fold::Fold;
pub use fp16::{Fp16, Fp16Form};
pub use int8_dynamic::Int8Dynamic;
pub use int8_fused::Int8Fused;
pub use int8_static::Int8Static;
pub use int8_tables::Int8Tables;
pub use packed::Packed;
pub use packed_attention::PackedAttention;
pub use per_token::Int8PerToken;

/// The fewest weights of a layer that is worth quantising.
pub const WEIGHTS_MIN: usize = 512;

/// Changes a model, and leaves what callers see of it: inputs, outputs and the axes that vary.
pub trait Pass {
    /// The pass's name, as messages and manifests have it.
    fn name(&self) -> &'static str;

    /// Changes the model.
    ///
    /// # Errors
    /// When the pass cannot handle the model: which node, and why.
    fn apply(&self, model: &mut Model) -> Result<(), PassError>;

    /// Whether the inputs change, which is then the point of the pass.
    fn changes_inputs(&self) -> bool {
        false
    }
}

/// A model that a pass cannot handle.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{pass}: {place}: {reason}")]
pub struct PassError {
    /// The pass.
    pub pass: &'static str,
    /// The node, or the part of the model.
    pub place: String,
    /// Why not.
    pub reason: String,
}

impl PassError {
    pub(crate) fn new(pass: &dyn Pass, place: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { pass: pass.name(), place: place.into(), reason: reason.into() }
    }

    fn invalid(pass: &dyn Pass, Invalid { place, reason }: Invalid) -> Self {
        Self::new(pass, place, reason)
    }
}

impl Model {
    /// Returns the model as the passes leave it, one after the other.
    ///
    /// # Errors
    /// When a pass cannot handle the model, or the model breaks a rule of ONNX.
    pub fn rewritten(&self, passes: &[&dyn Pass]) -> Result<Self, PassError> {
        let mut model = self.clone();
        for &pass in passes {
            model.check().map_err(|invalid| PassError::invalid(pass, invalid))?;
            let before = ends(&model);
            pass.apply(&mut model)?;
            model.check().map_err(|invalid| PassError::invalid(pass, invalid))?;
            let after = ends(&model);
            if before.1 != after.1 || before.0 != after.0 && !pass.changes_inputs() {
                return Err(PassError::new(pass, "the model", "inputs or outputs are no longer the same"));
            }
        }
        Ok(model)
    }
}

type Ends = (Vec<crate::proto::ValueInfo>, Vec<crate::proto::ValueInfo>);

fn ends(model: &Model) -> Ends {
    model.graph.as_ref().map(|graph| (graph.inputs.clone(), graph.outputs.clone())).unwrap_or_default()
}

/// Returns the graph of a model that was checked to have one.
pub(crate) fn graph_of<'m>(pass: &dyn Pass, model: &'m mut Model) -> Result<&'m mut crate::Graph, PassError> {
    model.graph.as_mut().ok_or_else(|| PassError::new(pass, "the model", "it has no graph"))
}

/// Refuses a model whose operators are older than what the pass writes.
pub(crate) fn opset_from(pass: &dyn Pass, model: &Model, least: i64) -> Result<(), PassError> {
    let found = model.opset("").unwrap_or(0);
    if found < least {
        let reason = format!("version {found} of ONNX's operators, at least {least} is needed");
        return Err(PassError::new(pass, "the model", reason));
    }
    Ok(())
}
