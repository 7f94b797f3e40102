//! A compiled model: a session for each runner, each of one thread.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::described::Described;
use super::session::{self, Session};
use super::{NAME, library, values};
use crate::ModelError;
use crate::runtime::slots::Slots;
use crate::runtime::{
    Backend, Device, Dimension, LoadError, LoadErrorKind, ModelOptions, Outputs, Signature, Tensor,
    TensorInfo, content_digest,
};

struct Tvm {
    name: String,
    signature: Signature,
    limits: BTreeMap<String, usize>,
    sessions: Slots<Session>,
}

/// Loads a library that `scripts/tvm/run` has made, or, for any other file, the one beside it that ends in `.so`.
pub(in crate::runtime) fn load(path: &Path, options: &ModelOptions) -> Result<Box<dyn Backend>, LoadError> {
    library::load().map_err(|error| LoadError::new(path, error.into()))?;
    let file = library_of(path);
    let refused = |reason: String| LoadError::unsupported(&file, NAME, reason);
    if !file.is_file() {
        return Err(refused(format!("it was not compiled yet: scripts/tvm/run {}", path.display())));
    }
    let failed = |error: tvm_ffi::Error| refused(error.message().trim().to_owned());
    let opened = session::open(&file).map_err(failed)?;
    let started = (0..options.threads.runners.max(1)).map(|_| Session::start(&opened));
    let (sessions, signatures): (Vec<_>, Vec<_>) =
        started.collect::<tvm_ffi::Result<Vec<_>>>().map_err(failed)?.into_iter().unzip();
    let json = signatures.into_iter().next().unwrap_or_default();
    let described = Described::read(&json).map_err(refused)?;
    if file != path {
        check_content(path, &described)?;
    }
    Ok(Box::new(Tvm {
        name: format!("{NAME} {}", described.version),
        signature: described.signature().map_err(refused)?,
        limits: described.limits,
        sessions: Slots::new(sessions),
    }))
}

fn library_of(path: &Path) -> PathBuf {
    path.with_extension("so")
}

/// Refuses a library that was compiled from another content of the ONNX file.
fn check_content(path: &Path, described: &Described) -> Result<(), LoadError> {
    let content = content_digest(path)
        .map_err(|error| LoadError::new(path, LoadErrorKind::Unreadable(error.to_string())))?;
    if content == described.content {
        return Ok(());
    }
    let reason = format!("it has changed since it was compiled: scripts/tvm/run {}", path.display());
    Err(LoadError::unsupported(path, NAME, reason))
}

impl Backend for Tvm {
    fn name(&self) -> &str {
        &self.name
    }

    fn device(&self) -> Device {
        Device::Cpu
    }

    fn runs_at_once(&self) -> usize {
        self.sessions.len()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn run(&self, inputs: Vec<(&str, Tensor<'_>)>) -> Result<Outputs, ModelError> {
        let inputs = self.signature.inputs.iter().map(|info| self.input(info, &inputs));
        let inputs = inputs.collect::<Result<Vec<_>, _>>()?;
        let outputs = self.sessions.with(|session| session.run(&inputs)).map_err(values::model_error)?;
        let names = self.signature.outputs.iter().map(|info| info.name.clone());
        Ok(Outputs(names.zip(outputs.into_iter().map(values::output)).collect()))
    }
}

impl Tvm {
    /// Makes an input of TVM's of the one with this name, which is there: the signature was checked.
    fn input(&self, info: &TensorInfo, given: &[(&str, Tensor<'_>)]) -> Result<tvm_ffi::Tensor, ModelError> {
        let name = &info.name;
        let tensor = given.iter().find(|(known, _)| known == name).map(|(_, tensor)| tensor);
        let tensor = tensor.ok_or_else(|| ModelError::new(format!("input {name} is missing")))?;
        for (size, dimension) in tensor.shape().iter().zip(info.shape.iter().flatten()) {
            let Dimension::Dynamic(dimension) = dimension else { continue };
            // The code's loops start without asking, and the allocator wants no memory of no size.
            if *size == 0 {
                return Err(ModelError::new(format!("input {name} is empty: TVM takes none that are")));
            }
            if let Some(most) = self.limits.get(dimension).filter(|most| size > most) {
                let reason =
                    format!("input {name} has {size} in {dimension}: the model's tables end at {most}");
                return Err(ModelError::new(reason));
            }
        }
        values::input(name, tensor)
    }
}
