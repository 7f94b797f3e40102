//! OpenVINO: another set of kernels for the CPU, in bfloat16 where that has it.
//!
//! The provider takes its options without a word where it does not know them, and leaves to ONNX Runtime's own kernels what it
//! cannot run. So sessions may not fall back, and a test compares its digits with those of f32.

use ort::ep::{ArbitrarilyConfigurableExecutionProvider, OpenVINO};

use crate::ModelError;
use crate::runtime::Tensor;
use crate::runtime::tensor::narrow;

/// Returns the provider for sessions of so many threads on the CPU.
///
/// By itself it computes in f32 and on eight threads.
/// Source: ONNX Runtime's documentation of the provider (`load_config`), OpenVINO's of its CPU device (the properties).
pub fn on_cpu(threads: usize) -> OpenVINO {
    let precision = precision();
    let properties = format!(
        r#"{{"CPU": {{"INFERENCE_PRECISION_HINT": "{precision}", "INFERENCE_NUM_THREADS": "{threads}", "NUM_STREAMS": "1"}}}}"#
    );
    OpenVINO::default().with_device_type("CPU").with_arbitrary_config("load_config", properties)
}

/// Refuses 64-bit integers that need more than 32 bits: OpenVINO computes in 32, and drops the others without a word.
pub fn check(inputs: &[(&str, Tensor<'_>)]) -> Result<(), ModelError> {
    for (name, tensor) in inputs {
        if let Tensor::I64(values) = tensor {
            values.iter().try_for_each(|value| narrow("OpenVINO", name, *value).map(drop))?;
        }
    }
    Ok(())
}

/// Returns the type that it computes in: bfloat16, the upper half of an f32, where the CPU multiplies it.
///
/// Asked for it on another CPU, OpenVINO would compute in f32 without a word.
pub fn precision() -> &'static str {
    if has_bfloat16() { "bf16" } else { "f32" }
}

#[cfg(target_arch = "x86_64")]
fn has_bfloat16() -> bool {
    std::is_x86_feature_detected!("avx512bf16")
}

#[cfg(not(target_arch = "x86_64"))]
fn has_bfloat16() -> bool {
    false
}
