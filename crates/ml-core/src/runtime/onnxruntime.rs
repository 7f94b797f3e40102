//! The door to ONNX Runtime: found on this machine, loaded once, one session for each runner.

mod environment;
mod find;
mod values;

use std::path::Path;

use ort::session::Session;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};
use ort::value::ValueType;

use self::environment::environment;
pub use self::find::{OnnxRuntimeNotFound, find_onnxruntime};
use super::slots::Slots;
use super::{
    Backend, Dimension, LoadError, LoadErrorKind, ModelOptions, Outputs, Signature, Tensor, TensorInfo,
};
use crate::ModelError;

/// Fusions that make this model form slower on a CPU than the plain nodes they replace.
///
/// `SkipLayerNormFusion` costs 9 to 12 % on int8 encoders and gains nothing in fp32 (all-MiniLM-L6-v2,
/// ONNX Runtime 1.31.1, AVX-512): `SkipLayerNormalization` ran 250 ms where `Add` and `LayerNormalization` ran 91.
const SLOW_FUSIONS: &str = "SkipLayerNormFusion";

struct OnnxRuntime {
    name: String,
    signature: Signature,
    sessions: Slots<Session>,
}

pub(super) fn load(path: &Path, options: &ModelOptions) -> Result<Box<dyn Backend>, LoadError> {
    let loaded = environment(options.onnxruntime_path.as_deref())
        .map_err(|error| LoadError::new(path, LoadErrorKind::NoRuntime(error)))?;
    let mut builder = session_options(&loaded.environment, options.threads.intra_op)
        .map_err(|error| LoadError::unsupported(path, &loaded.name, error.message()))?;
    let mut session =
        || builder.commit_from_file(path).map_err(|error| load_error(path, &loaded.name, &error));
    let first = session()?;
    let signature = signature(&first, path, &loaded.name)?;
    let mut sessions = vec![first];
    for _ in 1..options.threads.runners {
        sessions.push(session()?);
    }
    let sessions = Slots::new(sessions);
    Ok(Box::new(OnnxRuntime { name: loaded.name.clone(), signature, sessions }))
}

/// Options chosen on purpose; each that differs from ONNX Runtime's default has its reason here.
fn session_options(
    environment: &ort::environment::Environment,
    threads: usize,
) -> ort::Result<SessionBuilder> {
    Ok(Session::builder(environment)?
        // ONNX Runtime sizes its pools from the host; our plan knows the cgroup.
        .with_intra_threads(threads)?
        .with_inter_threads(1)?
        .with_parallel_execution(false)?
        .with_optimization_level(GraphOptimizationLevel::All)?
        .with_disabled_optimizers(SLOW_FUSIONS)?
        // Waiting threads sleep: spinning took 28 to 41 % more CPU an item and made two callers slower.
        .with_intra_op_spinning(false)?
        .with_inter_op_spinning(false)?
        // Patterns are kept for each shape that was ever seen; lengths vary here, so they would only pile up.
        .with_memory_pattern(false)?)
}

fn load_error(path: &Path, runtime: &str, error: &ort::Error) -> LoadError {
    match error.code() {
        ort::ErrorCode::InvalidProtobuf => {
            LoadError::new(path, LoadErrorKind::NotOnnx(error.message().to_owned()))
        }
        _ => LoadError::unsupported(path, runtime, error.message()),
    }
}

fn signature(session: &Session, path: &Path, runtime: &str) -> Result<Signature, LoadError> {
    let infos = |outlets: &[ort::value::Outlet]| {
        let infos = outlets
            .iter()
            .map(|outlet| info(outlet).map_err(|reason| LoadError::unsupported(path, runtime, reason)));
        infos.collect::<Result<Vec<_>, _>>()
    };
    let metadata =
        session.metadata().map_err(|error| LoadError::unsupported(path, runtime, error.message()))?;
    let keys = metadata.custom_keys().unwrap_or_default();
    let notes = keys.into_iter().filter_map(|key| Some((metadata.custom(&key)?, key)));
    Ok(Signature {
        inputs: infos(session.inputs())?,
        outputs: infos(session.outputs())?,
        metadata: notes.map(|(value, key)| (key, value)).collect(),
    })
}

fn info(outlet: &ort::value::Outlet) -> Result<TensorInfo, String> {
    let ValueType::Tensor { ty, shape, dimension_symbols } = outlet.dtype() else {
        return Err(format!("{} is {}, not a tensor", outlet.name(), outlet.dtype()));
    };
    let element =
        values::element_type(*ty).ok_or_else(|| format!("{} has elements of type {ty}", outlet.name()))?;
    let sizes =
        shape.iter().zip(dimension_symbols.iter()).map(|(size, symbol)| match usize::try_from(*size) {
            Ok(size) => Dimension::Fixed(size),
            Err(_) => Dimension::Dynamic(symbol.clone()),
        });
    Ok(TensorInfo { name: outlet.name().to_owned(), element, shape: Some(sizes.collect()) })
}

impl Backend for OnnxRuntime {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn run(&self, inputs: Vec<(&str, Tensor<'_>)>) -> Result<Outputs, ModelError> {
        let inputs: Vec<_> =
            inputs.into_iter().map(|(name, tensor)| (name, values::standard_layout(tensor))).collect();
        let values = inputs.iter().map(|(name, tensor)| Ok((*name, values::input(tensor)?)));
        let values = values.collect::<ort::Result<Vec<_>>>().map_err(model_error)?;
        self.sessions.with(|session| {
            let mut outputs = session.run(values).map_err(model_error)?;
            let outputs = self.signature.outputs.iter().filter_map(|info| {
                let value = outputs.remove(&info.name)?;
                Some((info.name.clone(), values::output(value)))
            });
            Ok(Outputs(outputs.collect()))
        })
    }
}

fn model_error(error: ort::Error) -> ModelError {
    ModelError::new(error.message())
}
