//! Both runtimes: every tensor type there and back, the same answers, and load errors that name file and reason.
#![allow(clippy::expect_used, reason = "a failed expectation is what a test ends with")]

#[path = "support/carry.rs"]
mod carry;
#[path = "support/iris.rs"]
mod iris;
#[path = "support/onnx.rs"]
mod onnx;

use std::io::Write;
use std::path::{Path, PathBuf};

use half::{bf16, f16};
use ml_core::{
    Device, Element, LoadErrorKind, Model, ModelOptions, RuntimeChoice, Tensor, ThreadPlan, ThreadWishes,
};
use ndarray::{Array1, array};

use carry::TemporaryFile;

fn options(runtime: RuntimeChoice) -> ModelOptions {
    ModelOptions {
        runtime,
        threads: ThreadPlan::for_cpus(2, ThreadWishes::default()),
        ..ModelOptions::default()
    }
}

/// Sends an array through a model that returns it unchanged, on one of the runtimes.
fn round_trip<T>(runtime: RuntimeChoice, data_type: u64, values: &Array1<T>)
where
    T: Element + PartialEq + std::fmt::Debug,
    for<'a> Tensor<'a>: From<&'a Array1<T>> + From<ndarray::ArrayView1<'a, T>>,
{
    carry::round_trip(&options(runtime), data_type, values);
}

#[test]
fn onnxruntime_carries_every_type_there_and_back() {
    let runtime = RuntimeChoice::OnnxRuntime;
    round_trip(runtime, 1, &array![1.5_f32, -0.0, f32::MIN]);
    round_trip(runtime, 10, &array![f16::from_f32(1.5), f16::MAX, f16::MIN_POSITIVE_SUBNORMAL]);
    round_trip(runtime, 11, &array![1.5_f64, f64::MAX, -3.0]);
    round_trip(runtime, 7, &array![1_i64, i64::MIN, i64::MAX]);
    round_trip(runtime, 6, &array![1_i32, i32::MIN, i32::MAX]);
    round_trip(runtime, 2, &array![1_u8, 0, u8::MAX]);
    round_trip(runtime, 3, &array![1_i8, i8::MIN, i8::MAX]);
    round_trip(runtime, 16, &array![bf16::from_f32(1.5), bf16::MAX, bf16::MIN_POSITIVE_SUBNORMAL]);
    round_trip(runtime, 5, &array![1_i16, i16::MIN, i16::MAX]);
    round_trip(runtime, 4, &array![1_u16, 0, u16::MAX]);
    round_trip(runtime, 12, &array![1_u32, 0, u32::MAX]);
    round_trip(runtime, 13, &array![1_u64, 0, u64::MAX]);
    round_trip(runtime, 9, &array![true, false, true]);
    round_trip(runtime, 8, &array!["plain".to_owned(), String::new(), "ünï ✓".to_owned()]);
}

/// Texts are bytes: neither is a zero their end, nor need they be UTF-8.
#[test]
fn texts_go_through_onnxruntime_byte_for_byte() {
    let texts = array![b"plain".to_vec(), b"a\0b".to_vec(), vec![0, 1, 2, 255], Vec::new(), vec![0]];
    round_trip(RuntimeChoice::OnnxRuntime, 8, &texts);

    let file = TemporaryFile::new("bytes.onnx", &onnx::model("Identity", 8, 17));
    let model = Model::load(&file.0, &options(RuntimeChoice::OnnxRuntime)).expect("the model loads");
    let outputs = model.run(vec![("x", (&texts).into())]).expect("the model runs");
    let error = outputs.get::<String>("y").expect_err("not all of them are UTF-8");
    assert_eq!(error.reason, "output y has a text that is not UTF-8");
}

/// An output can be kept without being copied, in the memory of its runtime.
#[test]
fn an_output_is_taken_as_it_lies_in_memory() {
    for runtime in [RuntimeChoice::OnnxRuntime, RuntimeChoice::Rten] {
        let file = TemporaryFile::new(&format!("take-{runtime:?}.onnx"), &onnx::model("Identity", 6, 17));
        let model = Model::load(&file.0, &options(runtime)).expect("the model loads");
        let mut outputs = model.run(vec![("x", (&array![1_i32, -2]).into())]).expect("the model runs");
        let output = outputs.take("y").expect("there is one");
        let expected: Vec<u8> = [1_i32, -2].iter().flat_map(|number| number.to_ne_bytes()).collect();
        assert_eq!(output.bytes(), Some(&*expected));
        assert_eq!(output.tensor(), Ok(array![1_i32, -2].into()));
        assert!(outputs.take("y").is_err(), "it is gone");
    }
}

#[test]
fn rten_carries_its_types_there_and_back() {
    let runtime = RuntimeChoice::Rten;
    round_trip(runtime, 1, &array![1.5_f32, -0.0, f32::MIN]);
    round_trip(runtime, 6, &array![1_i32, i32::MIN, i32::MAX]);
    round_trip(runtime, 2, &array![1_u8, 0, u8::MAX]);
    round_trip(runtime, 3, &array![1_i8, i8::MIN, i8::MAX]);
}

#[test]
fn rten_takes_wider_integers_that_fit_and_refuses_those_that_do_not() {
    let file = TemporaryFile::new("wide.onnx", &onnx::model("Identity", 7, 17));
    let model = Model::load(&file.0, &options(RuntimeChoice::Rten)).expect("the model loads");
    let outputs = model.run(vec![("x", (&array![7_i64, -7]).into())]).expect("small numbers fit");
    assert_eq!(outputs.get::<i32>("y").expect("rten has 32 bits"), array![7, -7].into_dyn());
    let error = model.run(vec![("x", (&array![1_i64 << 40]).into())]).err().expect("2^40 does not fit");
    assert_eq!(error.reason, "input x holds 1099511627776; rten takes 32-bit integers");
}

#[test]
fn both_runtimes_give_the_answers_of_the_reference() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/models/iris");
    let answers = [RuntimeChoice::OnnxRuntime, RuntimeChoice::Rten].map(|runtime| {
        // A GPU multiplies in TensorFloat-32, which has three digits.
        let options = ModelOptions { device: Device::Cpu, ..options(runtime) };
        let model = Model::load(folder.join("model.onnx"), &options).expect("the model loads");
        iris::probabilities(&model)
    });
    let difference = iris::apart(&answers[0], &answers[1]);
    assert!(difference < 1e-6, "the runtimes differ by {difference}");
    for (row, species) in answers[0].outer_iter().zip([0, 1, 2]) {
        assert!(row[species] > 0.9, "{row}");
    }
}

#[test]
fn wrong_inputs_are_named() {
    let file = TemporaryFile::new("inputs.onnx", &onnx::model("Identity", 1, 17));
    for runtime in [RuntimeChoice::OnnxRuntime, RuntimeChoice::Rten] {
        let model = Model::load(&file.0, &options(runtime)).expect("the model loads");
        let (x, other) = (array![1.0_f32], array![1_u8]);
        let matrix = array![[1.0_f32]];
        let takes = "the model takes x: f32[n] and gives y: f32[n]";
        for (inputs, expected) in [
            (vec![], format!("input x is missing; {takes}")),
            (vec![("x", Tensor::from(&x)), ("z", (&x).into())], format!("there is no input z; {takes}")),
            (vec![("x", (&other).into())], "input x is u8, not f32".to_owned()),
            (vec![("x", (&matrix).into())], "input x has the shape [1, 1], not x: f32[n]".to_owned()),
        ] {
            assert_eq!(model.run(inputs).err().map(|error| error.reason), Some(expected), "{runtime:?}");
        }
        let outputs = model.run(vec![("x", (&x).into())]).expect("the model runs");
        assert_eq!(outputs.get::<f32>("q").expect_err("no q").reason, "the model has no output q; it has y");
        assert_eq!(outputs.get::<i64>("y").expect_err("not i64").reason, "output y is f32, not i64");
    }
}

#[test]
fn load_errors_name_the_file_and_the_reason() {
    let folder = std::env::temp_dir();
    let empty = TemporaryFile::new("empty.onnx", b"");
    let prose = TemporaryFile::new("prose.onnx", b"this is not a model, it is a sentence");
    let operator = TemporaryFile::new("operator.onnx", &onnx::model("Frobnicate", 1, 17));
    let opset = TemporaryFile::new("opset.onnx", &onnx::model("Identity", 1, 999));
    let missing = folder.join("no-such-model.onnx");
    for runtime in [RuntimeChoice::OnnxRuntime, RuntimeChoice::Rten] {
        for (path, reason) in [
            (&missing, "cannot read the file"),
            (&folder, "it is a folder"),
            (&empty.0, "not an ONNX model: the file is empty"),
            (&prose.0, "not an ONNX model"),
            (&operator.0, "Frobnicate"),
        ] {
            let error = Model::load(path, &options(runtime)).err().expect("it cannot be loaded").to_string();
            assert!(error.starts_with(&path.display().to_string()), "{runtime:?}: {error}");
            assert!(error.contains(reason), "{runtime:?}: {error} should say {reason}");
        }
    }
    // rten ignores opset numbers, and runs whatever operators it knows.
    let error =
        Model::load(&opset.0, &options(RuntimeChoice::OnnxRuntime)).err().expect("opset 999").to_string();
    assert!(error.contains("pset 999"), "{error}");
}

#[test]
fn a_model_with_other_tensors_than_expected_is_refused() {
    let file = TemporaryFile::new("signature.onnx", &onnx::model("Identity", 1, 17));
    let model = Model::load(&file.0, &options(RuntimeChoice::Rten)).expect("the model loads");
    assert!(model.expect(&["x"], &["y"]).is_ok());
    for (inputs, outputs, reason) in [
        (&["x", "mask"][..], &["y"][..], "it has no input mask"),
        (&["x"], &["logits"], "it has no output logits"),
        (&[], &["y"], "it needs the input x, which nothing fills"),
    ] {
        let error = model.expect(inputs, outputs).expect_err("another signature").to_string();
        assert!(error.contains("signature.onnx: the wrong model") && error.contains(reason), "{error}");
    }
}

#[test]
fn a_missing_library_says_where_it_was_looked_for_and_how_to_get_it() {
    let path = Path::new("/no/such/libonnxruntime.so");
    let error = ml_core::find_onnxruntime(Some(path)).expect_err("there is none").to_string();
    for part in ["/no/such/libonnxruntime.so", "no such file", "scripts/get.py onnxruntime", "ORT_DYLIB_PATH"]
    {
        assert!(error.contains(part), "{error} should say {part}");
    }
    let text = TemporaryFile::new("libonnxruntime.so", b"not a library");
    let error = ml_core::find_onnxruntime(Some(&text.0)).expect_err("not a library").to_string();
    assert!(error.contains("not an ONNX Runtime for this system"), "{error}");
}

#[cfg(not(feature = "tvm"))]
#[test]
fn a_program_without_tvm_says_how_it_is_built_with_it() {
    let file = TemporaryFile::new("tvm.onnx", &onnx::model("Identity", 1, 17));
    let error =
        Model::load(&file.0, &options(RuntimeChoice::Tvm)).err().expect("it is not built in").to_string();
    assert!(error.ends_with("built without TVM: build it with the cargo feature `tvm`"), "{error}");
}

/// Builds a library that says it is ONNX Runtime, and of which version, but can do nothing.
fn library_that_says(version: &str) -> TemporaryFile {
    const SOURCE: &str = r#"
        #[repr(C)]
        pub struct Base(extern "C" fn(u32) -> *const u8, extern "C" fn() -> *const u8);
        extern "C" fn api(_: u32) -> *const u8 { std::ptr::null() }
        extern "C" fn version() -> *const u8 { b"VERSION\0".as_ptr() }
        static BASE: Base = Base(api, version);
        #[no_mangle]
        pub extern "C" fn OrtGetApiBase() -> &'static Base { &BASE }
    "#;
    let source = TemporaryFile::new(&format!("{version}.rs"), SOURCE.replace("VERSION", version).as_bytes());
    let library = TemporaryFile::new(&format!("{version}.so"), b"");
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let options = ["--edition", "2021", "--crate-type", "cdylib", "--crate-name", "old", "-o"];
    let built = std::process::Command::new(rustc).args(options).args([&library.0, &source.0]).output();
    let built = built.expect("there is a rustc beside cargo");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    library
}

#[test]
fn a_library_of_another_version_is_refused_with_what_it_takes() {
    for (version, reason) in [
        ("1.17.3", "version 1.17 is too old"),
        ("2.0.0", "not an ONNX Runtime for this system"),
        ("nonsense", "not an ONNX Runtime for this system"),
    ] {
        let library = library_that_says(version);
        let error = ml_core::find_onnxruntime(Some(&library.0)).expect_err("another version").to_string();
        for part in ["no ONNX Runtime 1.22 or newer", reason, "python3 -m pip install onnxruntime"] {
            assert!(error.contains(part), "{version}: {error} should say {part}");
        }
    }
}

fn iris() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/models/iris/model.onnx")
}

/// On a device that is named the model runs, or the error says what there is instead.
#[test]
fn a_device_that_cannot_be_had_is_an_error_that_says_what_there_is() {
    let load =
        |runtime, device| Model::load(iris(), &ModelOptions { runtime, device, ..ModelOptions::default() });
    for runtime in [RuntimeChoice::Rten, RuntimeChoice::OnnxRuntime] {
        for device in [Device::Auto, Device::Cpu] {
            assert_ne!(load(runtime, device).unwrap().device(), Device::Auto);
        }
        assert_eq!(load(runtime, Device::Cpu).unwrap().device(), Device::Cpu);
        for device in [Device::Cuda(0), Device::TensorRt, Device::OpenVino, Device::CoreMl, Device::DirectMl]
        {
            match load(runtime, device) {
                Ok(model) => assert_eq!(model.device(), device),
                Err(error) => {
                    let text = error.to_string();
                    assert!(matches!(error.kind, LoadErrorKind::NoDevice(_)), "{text}");
                    assert!(text.contains(&format!("the device {device} cannot be had: ")), "{text}");
                }
            }
        }
    }
    let refused = |runtime, device| load(runtime, device).err().unwrap().to_string();
    let error = refused(RuntimeChoice::Rten, Device::Cuda(9));
    assert!(error.contains("the device cuda:9 cannot be had: rten 0.27 offers cpu"), "{error}");
    // One for another system, which no library here was built for.
    let elsewhere = if cfg!(windows) { Device::CoreMl } else { Device::DirectMl };
    let error = refused(RuntimeChoice::OnnxRuntime, elsewhere);
    let expected = format!("the device {elsewhere} cannot be had: this ONNX Runtime 1.");
    assert!(error.contains(&expected) && error.contains(" offers cpu"), "{error}");
}

/// Needs a GPU and an ONNX Runtime built for it; where one is missing it says so, past the test runner, which hides what tests print.
#[test]
fn cuda_answers_as_the_cpu_does() {
    let runtime = RuntimeChoice::OnnxRuntime;
    let load = |device| Model::load(iris(), &ModelOptions { runtime, device, ..ModelOptions::default() });
    let on_gpu = match load(Device::Cuda(0)) {
        Ok(model) => model,
        Err(error) => {
            let (text, has_gpu) = (error.to_string(), Path::new("/dev/nvidia0").exists());
            assert!(!has_gpu || text.contains(" offers "), "there is a GPU and a library for it: {text}");
            assert_eq!(load(Device::Auto).expect("the CPU is there").device(), Device::Cpu);
            let line = format!("\nSKIPPED cuda_answers_as_the_cpu_does, nothing ran on a GPU: {text}\n");
            std::io::stderr().write_all(line.as_bytes()).expect("there is a standard error");
            return;
        }
    };
    assert_eq!(load(Device::Auto).unwrap().device(), Device::Cuda(0));
    assert_eq!(on_gpu.runs_at_once(), 1, "it has one queue for all work");
    let flowers = array![[5.1_f32, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]];
    let probabilities = |model: &Model| {
        let outputs = model.run(vec![("features", flowers.view().into())]).unwrap();
        outputs.get::<f32>("probabilities").unwrap().to_owned()
    };
    let (gpu, cpu) = (probabilities(&on_gpu), probabilities(&load(Device::Cpu).unwrap()));
    std::thread::scope(|threads| {
        let again = [(); 8].map(|()| threads.spawn(|| probabilities(&load(Device::Cuda(0)).unwrap())));
        again.into_iter().for_each(|loaded| assert_eq!(loaded.join().unwrap(), gpu));
    });
    assert!(gpu.iter().zip(&cpu).all(|(one, other)| (one - other).abs() < 1e-4), "{gpu} is not {cpu}");
}
