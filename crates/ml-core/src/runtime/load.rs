//! Loading: on which device, which form of the model, by which runtime.

use std::path::Path;
use std::sync::Arc;

use ml_onnx::operators::DOMAIN;

use super::shadow::Shadow;
use super::variants::{self, Here};
use super::{
    Backend, Device, LoadError, LoadErrorKind, Loaded, Machine, Model, ModelOptions, NoDevice, ORIGINAL,
    RuntimeChoice, Variant, error, onnxruntime, rten, tvm,
};
use crate::ThreadPlan;

impl Model {
    /// Loads an ONNX file, or the variant of it that the options choose.
    ///
    /// With [`RuntimeChoice::Auto`], a machine without ONNX Runtime gets rten, unless the options name a library; which
    /// one runs, and what the other would gain, is logged. With [`Device::Auto`], a device that fails falls back to the CPU, and the
    /// log says why.
    ///
    /// # Errors
    /// A [`LoadError`] names the file and the reason: no such file, not ONNX, an opset or operator that the
    /// runtime does not know, no runtime, no such variant, no such device.
    pub fn load(path: impl AsRef<Path>, options: &ModelOptions) -> Result<Self, LoadError> {
        let original = path.as_ref();
        let device = device(options).map_err(|error| LoadError::new(original, error.into()))?;
        let on = |device| load_on(original, &ModelOptions { device, ..options.clone() });
        match on(device) {
            Err(LoadError { kind: LoadErrorKind::NoDevice(error), .. })
                if options.device == Device::Auto && device != Device::Cpu =>
            {
                tracing::warn!(%error, "the CPU computes instead");
                on(Device::Cpu)
            }
            loaded => loaded,
        }
    }
}

/// Finds the device that is meant.
fn device(options: &ModelOptions) -> Result<Device, NoDevice> {
    let found = match options.runtime {
        RuntimeChoice::Rten | RuntimeChoice::Tvm => None,
        RuntimeChoice::OnnxRuntime | RuntimeChoice::Auto => {
            onnxruntime::device(options.onnxruntime_path.as_deref(), options.device)
        }
    };
    match (found, options.runtime) {
        (Some(device), _) => device,
        // That there is none is the error of the load.
        (None, RuntimeChoice::OnnxRuntime) => Ok(Device::Cpu),
        (None, RuntimeChoice::Tvm) => options.device.on_cpu_only(tvm::NAME),
        (None, _) => options.device.on_cpu_only(rten::NAME),
    }
}

fn load_on(original: &Path, options: &ModelOptions) -> Result<Model, LoadError> {
    let (path, variant) = variants::choose(original, &options.variant, || here(options))
        .map_err(|error| LoadError::new(original, LoadErrorKind::NoVariant(error)))?;
    let backend = load_backend(&path, options)?;
    let passed_over: Vec<String> = variant.passed_over.iter().map(ToString::to_string).collect();
    tracing::info!(
        model = %path.display(),
        variant = variant.name,
        why = variant.why,
        passed_over = passed_over.join("; "),
        runtime = backend.name(),
        device = %backend.device(),
        sessions = backend.runs_at_once(),
        threads_per_session = options.threads.intra_op,
        threads_of_lone_run = options.threads.wide,
        "model loaded"
    );
    let shadow = (options.shadow_share > 0.0).then(|| load_shadow(original, &variant, options));
    let shadow = shadow.transpose()?.flatten();
    Ok(Model(Arc::new(Loaded { path, variant, backend, shadow })))
}

/// Finds out what a variant must suit. ONNX Runtime is looked for here, as it is when a model is loaded.
fn here(options: &ModelOptions) -> Here {
    let found = match options.runtime {
        RuntimeChoice::Rten => None,
        RuntimeChoice::Tvm => Some(tvm::NAME.to_owned()),
        RuntimeChoice::OnnxRuntime | RuntimeChoice::Auto => {
            onnxruntime::name(options.onnxruntime_path.as_deref())
        }
    };
    Here {
        machine: Machine::here(),
        runtime: found.unwrap_or_else(|| rten::NAME.to_owned()),
        device: options.device.to_string(),
        packed: options.packed_batches,
    }
}

fn load_backend(path: &Path, options: &ModelOptions) -> Result<Box<dyn Backend>, LoadError> {
    error::check_file(path)?;
    match options.runtime {
        RuntimeChoice::Rten => on_rten(path, options),
        RuntimeChoice::Tvm => tvm::load(path, options),
        RuntimeChoice::OnnxRuntime => onnxruntime::load(path, options),
        RuntimeChoice::Auto => load_auto(path, options),
    }
}

/// Loads by rten, which knows no operators of ours: what it says of them would not say what to do.
fn on_rten(path: &Path, options: &ModelOptions) -> Result<Box<dyn Backend>, LoadError> {
    let has_own = |path| ml_onnx::Model::read_graph(path).is_ok_and(|model| model.opset(DOMAIN).is_some());
    match rten::load(path, options) {
        Err(LoadError { kind: LoadErrorKind::Unsupported { .. }, .. }) if has_own(path) => {
            let reason = format!("it has operators of {DOMAIN}, which run on ONNX Runtime alone");
            Err(LoadError::unsupported(path, rten::NAME, reason))
        }
        loaded => loaded,
    }
}

fn load_auto(path: &Path, options: &ModelOptions) -> Result<Box<dyn Backend>, LoadError> {
    match onnxruntime::load(path, options) {
        Err(LoadError { kind: LoadErrorKind::NoRuntime(not_found), .. })
            // Who names a library wants that one.
            if options.onnxruntime_path.is_none() =>
        {
            tracing::warn!(
                %not_found,
                "running on rten, in pure Rust; ONNX Runtime would add its contributed operators, half \
                 precision and other devices, and about 1.15 times the speed on batches"
            );
            on_rten(path, options)
        }
        loaded => loaded,
    }
}

/// Loads the original beside a variant, on the CPU; `None` where it serves itself.
fn load_shadow(
    original: &Path,
    variant: &Variant,
    options: &ModelOptions,
) -> Result<Option<Shadow>, LoadError> {
    if variant.name == ORIGINAL {
        tracing::info!(model = %original.display(), "no shadow: the original serves");
        return Ok(None);
    }
    let path = original.to_owned();
    let threads = ThreadPlan { runners: 1, intra_op: 1, wide: 1, ..options.threads };
    let options = ModelOptions { threads, device: Device::Cpu, ..options.clone() };
    let share = options.shadow_share;
    tracing::info!(model = %original.display(), share, "the original repeats a share of the runs");
    Shadow::start(share, move || load_backend(&path, &options)).map(Some)
}
