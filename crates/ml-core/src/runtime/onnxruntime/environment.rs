//! ONNX Runtime, loaded at most once in a process.

use std::path::Path;
use std::ptr;
use std::sync::OnceLock;

use ort::environment::Environment;
use ort::memory::{AllocationDevice, AllocatorType, MemoryInfo, MemoryType};
use ort::{AsPointer, Error};

use super::find::{OnnxRuntimeNotFound, find_onnxruntime};
use super::provider;

/// A piece of the arena that is larger than what was asked for by this much is cut. By ONNX Runtime's default, 128 MiB, it
/// hardly ever is: all-MiniLM-L6-v2 under load then took 36 MB instead of 20.
const ARENA_DEAD_BYTES_MAX: i32 = 64 << 10;

pub(super) struct LoadedRuntime {
    /// Name and version, as the library itself says.
    pub name: String,
    pub environment: Environment,
    /// Whether sessions can take their working memory from one arena.
    pub has_arena: bool,
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
    tracing::info!(
        path = %found.path.display(),
        found = found.place,
        version = %found.version,
        offers = provider::offered(),
        "ONNX Runtime loaded"
    );
    let arena = register_arena(&environment);
    if let Err(error) = &arena {
        tracing::debug!(%error, "each session has working memory of its own");
    }
    let name = format!("ONNX Runtime {}", found.version);
    Ok(LoadedRuntime { name, environment, has_arena: arena.is_ok() })
}

/// Registers an arena for the working memory of all sessions.
///
/// An arena keeps the most that was ever in use. The wide session and the narrow ones are busy at different times, so
/// that together they need less than the sum of what each needs. Growing in powers of two is ONNX Runtime's default;
/// growing by what is asked for took more than twice the memory, since lengths vary and the pieces never fit again.
fn register_arena(environment: &Environment) -> ort::Result<()> {
    let cpu = MemoryInfo::new(AllocationDevice::CPU, 0, AllocatorType::Arena, MemoryType::Default)?;
    let api = ort::api();
    let (no_limit, default) = (0, -1);
    let mut config = ptr::null_mut();
    // SAFETY: The numbers are within what the function allows, and `config` is where the result is to go.
    unsafe {
        let create = api.CreateArenaCfg;
        Error::result_from_status(create(no_limit, default, default, ARENA_DEAD_BYTES_MAX, &raw mut config))
    }?;
    // SAFETY: The three pointers are valid: the environment and `cpu` are borrowed, `config` was made above. The
    // function keeps none of them, and is safe to call from any thread.
    let registered = unsafe {
        let status = (api.CreateAndRegisterAllocator)(environment.ptr().cast_mut(), cpu.ptr(), config);
        Error::result_from_status(status)
    };
    // SAFETY: Made above, released once, and not used again.
    unsafe { (api.ReleaseArenaCfg)(config) };
    registered
}
