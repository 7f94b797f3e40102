//! ONNX Runtime, loaded at most once in a process.

use std::path::Path;
use std::sync::OnceLock;

use ort::environment::Environment;

use super::find::{OnnxRuntimeNotFound, find_onnxruntime};

pub(super) struct LoadedRuntime {
    /// Name and version, as the library itself says.
    pub name: String,
    pub environment: Environment,
}

/// Returns the process's ONNX Runtime, loading it from `explicit`, or from where it is found, the first time.
pub(super) fn environment(explicit: Option<&Path>) -> Result<&'static LoadedRuntime, OnnxRuntimeNotFound> {
    static LOADED: OnceLock<Result<LoadedRuntime, OnnxRuntimeNotFound>> = OnceLock::new();
    LOADED.get_or_init(|| load(explicit)).as_ref().map_err(Clone::clone)
}

fn load(explicit: Option<&Path>) -> Result<LoadedRuntime, OnnxRuntimeNotFound> {
    let found = find_onnxruntime(explicit)?;
    let failed = |reason: String| OnnxRuntimeNotFound::at(&found.path, reason);
    let builder = ort::init_from(&found.path).map_err(|error| failed(error.to_string()))?;
    let environment = builder
        .with_name("ml-core")
        .with_telemetry(false)
        .build()
        .map_err(|error| failed(error.message().to_owned()))?;
    // What ONNX Runtime prints by itself bypasses our log; what matters comes back as errors.
    environment.set_log_level(ort::logging::LogLevel::Error);
    tracing::info!(path = %found.path.display(), found = found.place, version = %found.version, "ONNX Runtime loaded");
    Ok(LoadedRuntime { name: format!("ONNX Runtime {}", found.version), environment })
}
