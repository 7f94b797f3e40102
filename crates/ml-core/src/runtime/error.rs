//! Why a model could not be loaded: the file, and the reason.

use std::path::{Path, PathBuf};

use super::{NoDevice, NoTvm, OnnxRuntimeNotFound, VariantError};

/// A model that could not be loaded.
#[derive(Debug, thiserror::Error)]
#[error("{}: {kind}", path.display())]
pub struct LoadError {
    /// The model file.
    pub path: PathBuf,
    /// What is wrong with it.
    #[source]
    pub kind: LoadErrorKind,
}

/// What is wrong with a model file, or with the machine that should run it.
#[derive(Debug, thiserror::Error)]
pub enum LoadErrorKind {
    /// There is no such file, or it cannot be read.
    #[error("cannot read the file: {0}")]
    Unreadable(String),
    /// The file is not an ONNX model.
    #[error("not an ONNX model: {0}")]
    NotOnnx(String),
    /// The model is ONNX, but the runtime cannot run it: an opset, operator or type that it does not know.
    #[error("{runtime} cannot run this model: {reason}")]
    Unsupported {
        /// The runtime's name and version.
        runtime: String,
        /// What the runtime said.
        reason: String,
    },
    /// The model runs, but does not take or give what its user needs.
    #[error("the wrong model: {0}")]
    WrongSignature(String),
    /// The device that was named cannot be had.
    #[error(transparent)]
    NoDevice(#[from] NoDevice),
    /// The variant that was named cannot serve.
    #[error(transparent)]
    NoVariant(#[from] VariantError),
    /// ONNX Runtime was asked for and is not there.
    #[error(transparent)]
    NoRuntime(#[from] OnnxRuntimeNotFound),
    /// A model compiled by TVM was asked for, and nothing here runs one.
    #[error(transparent)]
    NoTvm(#[from] NoTvm),
}

impl LoadError {
    pub(super) fn new(path: &Path, kind: LoadErrorKind) -> Self {
        Self { path: path.to_owned(), kind }
    }

    pub(super) fn unsupported(path: &Path, runtime: &str, reason: impl ToString) -> Self {
        let (runtime, reason) = (runtime.to_owned(), reason.to_string());
        Self::new(path, LoadErrorKind::Unsupported { runtime, reason })
    }
}

/// Refuses what no runtime could read, so that the message does not depend on the runtime.
pub(super) fn check_file(path: &Path) -> Result<(), LoadError> {
    let unreadable = |reason: String| LoadError::new(path, LoadErrorKind::Unreadable(reason));
    let metadata = std::fs::metadata(path).map_err(|error| unreadable(error.to_string()))?;
    if metadata.is_dir() {
        return Err(unreadable("it is a folder".to_owned()));
    }
    if metadata.len() == 0 {
        return Err(LoadError::new(path, LoadErrorKind::NotOnnx("the file is empty".to_owned())));
    }
    Ok(())
}
