//! The door to ONNX Runtime: found on this machine, loaded once, a session for each runner and a wide one.

mod copy;
mod environment;
mod find;
mod graph;
mod openvino;
mod operators;
mod provider;
mod sessions;
mod texts;
mod values;
mod weights;

use std::path::Path;

use ort::session::Session;
use ort::value::ValueType;

use self::environment::environment;
pub use self::find::{OnnxRuntimeNotFound, find_onnxruntime};
use self::sessions::Sessions;
use self::weights::Mapping;
use super::elastic::Elastic;
use super::{
    Backend, Device, Dimension, LoadError, LoadErrorKind, ModelOptions, NoDevice, Outputs, Signature, Tensor,
    TensorInfo,
};
use crate::ModelError;

struct OnnxRuntime {
    name: String,
    device: Device,
    signature: Signature,
    sessions: Elastic<Session>,
    /// What the sessions read. Fields are dropped in their order, so that it is there for as long as they are.
    _weights: Vec<Mapping>,
}

pub(super) fn load(path: &Path, options: &ModelOptions) -> Result<Box<dyn Backend>, LoadError> {
    let runtime = environment(options.onnxruntime_path.as_deref())
        .map_err(|error| LoadError::new(path, LoadErrorKind::NoRuntime(error)))?;
    let device =
        provider::resolve(runtime, options.device).map_err(|error| LoadError::new(path, error.into()))?;
    let name = provider::name(runtime, device);
    let options = &ModelOptions { device, ..options.clone() };
    let Sessions { narrow, wide, weights } =
        sessions::build(runtime, path, options).map_err(|error| load_error(path, &name, device, &error))?;
    let signature = match narrow.first() {
        Some(session) => signature(session, path, &name)?,
        None => Signature::default(),
    };
    let sessions = Elastic::new(narrow, wide);
    Ok(Box::new(OnnxRuntime { name, device, signature, sessions, _weights: weights }))
}

/// Returns the name and version of the ONNX Runtime that is found.
pub(super) fn name(explicit: Option<&Path>) -> Option<String> {
    environment(explicit).ok().map(|runtime| runtime.name.clone())
}

/// Finds the device that is meant; `None` where there is no ONNX Runtime.
pub(super) fn device(explicit: Option<&Path>, wanted: Device) -> Option<Result<Device, NoDevice>> {
    environment(explicit).ok().map(|runtime| provider::resolve(runtime, wanted))
}

fn load_error(path: &Path, runtime: &str, device: Device, error: &ort::Error) -> LoadError {
    match error.code() {
        ort::ErrorCode::InvalidProtobuf => {
            LoadError::new(path, LoadErrorKind::NotOnnx(error.message().to_owned()))
        }
        // Whether it is the device or the model cannot be told; on the CPU it can.
        _ if device != Device::Cpu => {
            LoadError::new(path, NoDevice { device, reason: error.message().to_owned() }.into())
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

    fn device(&self) -> Device {
        self.device
    }

    fn runs_at_once(&self) -> usize {
        self.sessions.at_once()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn run(&self, inputs: Vec<(&str, Tensor<'_>)>) -> Result<Outputs, ModelError> {
        let inputs: Vec<_> =
            inputs.into_iter().map(|(name, tensor)| (name, values::standard_layout(tensor))).collect();
        if self.device == Device::OpenVino {
            openvino::check(&inputs)?;
        }
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
