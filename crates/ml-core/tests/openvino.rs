//! OpenVINO, by the ONNX Runtime that brings it: the tests of the runtimes, in a process of its own, which has one library.
//!
//! `python3 scripts/get.py openvino` gets that library. Without it these tests say that they test nothing.
#![allow(clippy::expect_used, reason = "a failed expectation is what a test ends with")]

#[path = "support/carry.rs"]
mod carry;
#[path = "support/iris.rs"]
mod iris;
#[path = "support/onnx.rs"]
mod onnx;

use std::io::Write;
use std::path::{Path, PathBuf};

use half::f16;
use ml_core::{Device, LoadErrorKind, Model, ModelOptions, RuntimeChoice, ThreadPlan, ThreadWishes, cosine};
use ndarray::array;

use carry::{TemporaryFile, round_trip};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The options of a device; `None` where the library is not there, which is said past the test runner: it hides what tests print.
fn options(test: &str, device: Device) -> Option<ModelOptions> {
    let folder = root().join(".ml/onnxruntime-openvino/1.24.1");
    let library = folder.join("libonnxruntime.so.1.24.1");
    if !library.exists() {
        let line = format!("\nSKIPPED {test}, nothing ran on OpenVINO: python3 scripts/get.py openvino\n");
        std::io::stderr().write_all(line.as_bytes()).expect("there is a standard error");
        return None;
    }
    Some(ModelOptions {
        runtime: RuntimeChoice::OnnxRuntime,
        onnxruntime_path: Some(library),
        device,
        threads: ThreadPlan::for_cpus(2, ThreadWishes::default()),
        ..ModelOptions::default()
    })
}

#[test]
fn openvino_carries_its_types_there_and_back() {
    let Some(options) = options("openvino_carries_its_types_there_and_back", Device::OpenVino) else {
        return;
    };
    round_trip(&options, 1, &array![1.5_f32, -0.0, f32::MIN]);
    round_trip(&options, 10, &array![f16::from_f32(1.5), f16::MAX, f16::MIN_POSITIVE_SUBNORMAL]);
    round_trip(&options, 7, &array![1_i64, i64::from(i32::MIN), i64::from(i32::MAX)]);
    round_trip(&options, 6, &array![1_i32, i32::MIN, i32::MAX]);
    round_trip(&options, 5, &array![1_i16, i16::MIN, i16::MAX]);
    round_trip(&options, 3, &array![1_i8, i8::MIN, i8::MAX]);
    round_trip(&options, 12, &array![1_u32, 0, u32::MAX]);
    round_trip(&options, 4, &array![1_u16, 0, u16::MAX]);
    round_trip(&options, 2, &array![1_u8, 0, u8::MAX]);
    round_trip(&options, 9, &array![true, false, true]);
}

#[test]
fn openvino_refuses_integers_that_it_would_cut() {
    let Some(options) = options("openvino_refuses_integers_that_it_would_cut", Device::OpenVino) else {
        return;
    };
    let file = TemporaryFile::new("openvino-wide.onnx", &onnx::model("Identity", 7, 17));
    let model = Model::load(&file.0, &options).expect("the model loads");
    let error = model.run(vec![("x", (&array![1_i64 << 40]).into())]).err().expect("2^40 does not fit");
    assert_eq!(error.reason, "input x holds 1099511627776; OpenVINO takes 32-bit integers");
}

#[test]
fn what_openvino_cannot_run_is_an_error_and_no_silent_fall_back() {
    let test = "what_openvino_cannot_run_is_an_error_and_no_silent_fall_back";
    let Some(options) = options(test, Device::OpenVino) else { return };
    let texts = TemporaryFile::new("texts.onnx", &onnx::model("Identity", 8, 17));
    let error = Model::load(&texts.0, &options).err().expect("OpenVINO has no texts");
    assert!(matches!(error.kind, LoadErrorKind::NoDevice(_)), "{error}");
    assert!(error.to_string().contains("the device openvino cannot be had: "), "{error}");
    let on_cpu = ModelOptions { device: Device::Cpu, ..options };
    assert!(Model::load(&texts.0, &on_cpu).is_ok(), "ONNX Runtime's own kernels have them");
}

/// What it computes in is seen in its answers: those in bfloat16 are near those in f32, and not within its rounding.
#[test]
fn openvino_answers_as_the_cpu_does_in_the_precision_that_it_names() {
    let test = "openvino_answers_as_the_cpu_does_in_the_precision_that_it_names";
    let Some(options) = options(test, Device::OpenVino) else { return };
    let run = |device| {
        let options = ModelOptions { device, ..options.clone() };
        let model = Model::load(root().join("examples/models/iris/model.onnx"), &options).expect("it loads");
        assert_eq!(model.device(), device);
        (model.runtime().to_owned(), iris::probabilities(&model))
    };
    let ((name, own), (plain, expected)) = (run(Device::OpenVino), run(Device::Cpu));
    let difference = iris::apart(&own, &expected);
    let alike = cosine(own.flatten().view(), expected.flatten().view());
    assert!(alike > 0.9999, "{own} is not {expected}: {alike}");
    match name.strip_prefix(&format!("{plain}, OpenVINO in ")) {
        Some("bf16") => assert!(difference > 1e-5, "{difference} is too little for bf16: it computed in f32"),
        Some("f32") => assert!(difference < 1e-5, "{difference} is too much for f32"),
        other => panic!("{name}: {other:?}"),
    }
}
