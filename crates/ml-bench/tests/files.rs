//! ONNX files of many origins, read and written back by `ml-onnx`: ONNX Runtime gives the same bits for both.
//!
//! `python3 scripts/get.py files` gets them; without them only the repository's own are looked at, and a line says so.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "clippy takes the helpers of a test file for no tests"
)]

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use ml_core::{
    Dimension, ElementType, Model, ModelOptions, OptimisedCopy, RuntimeChoice, Tensor, TensorInfo,
    ThreadPlan, ThreadWishes,
};
use ml_onnx::WriteOptions;
use ndarray::{ArrayD, IxDyn};

/// What varies is one of these, the first with which the file runs; the first axis is 1 where it varies.
const SIZES: [usize; 7] = [1, 4, 64, 512, 576, 10, 3];

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn onnx_files(folder: &Path, into: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> =
        std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() && !path.ends_with(".optimised") {
            onnx_files(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "onnx") {
            into.push(path);
        }
    }
}

fn load(path: &Path) -> Result<Model, String> {
    let one = Some(NonZeroUsize::MIN);
    let wishes = ThreadWishes { runners: one, intra_op: one, wide: one, ..ThreadWishes::default() };
    let options = ModelOptions {
        runtime: RuntimeChoice::OnnxRuntime,
        threads: ThreadPlan::for_cpus(1, wishes),
        optimised_copy: OptimisedCopy::Never,
        ..ModelOptions::default()
    };
    Model::load(path, &options).map_err(|error| error.to_string())
}

fn input(info: &TensorInfo, size: usize) -> Option<Tensor<'static>> {
    let shape: Vec<usize> = info
        .shape
        .as_ref()?
        .iter()
        .enumerate()
        .map(|(axis, dimension)| match dimension {
            Dimension::Fixed(size) => *size,
            // A batch, or a state's batch after its number of layers.
            Dimension::Dynamic(_) if axis == 0 || info.name == "state" => 1,
            Dimension::Dynamic(_) => size,
        })
        .collect();
    let shape = IxDyn(&shape);
    let mut seed = 1_u32;
    let mut number = || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    let whole = if info.name == "sr" { 16_000 } else { 1 };
    Some(match info.element {
        ElementType::F32 => ArrayD::from_shape_simple_fn(shape, number).into(),
        ElementType::F64 => ArrayD::from_shape_simple_fn(shape, || f64::from(number())).into(),
        ElementType::I64 => ArrayD::from_elem(shape, i64::from(whole)).into(),
        ElementType::I32 => ArrayD::from_elem(shape, whole).into(),
        ElementType::Bool => ArrayD::from_elem(shape, true).into(),
        _ => return None,
    })
}

/// The outputs as bits, so that NaN is NaN.
fn run(model: &Model, size: usize) -> Result<Vec<String>, String> {
    let infos = &model.signature().inputs;
    let inputs = infos.iter().map(|info| {
        let input = input(info, size).ok_or_else(|| format!("no value is known for the input {info}"))?;
        Ok((info.name.as_str(), input))
    });
    let outputs = model.run(inputs.collect::<Result<_, String>>()?).map_err(|error| error.to_string())?;
    let bits = |info: &TensorInfo| {
        Ok(match outputs.tensor(&info.name).map_err(|error| error.to_string())? {
            Tensor::F32(array) => format!("{:?}", array.mapv(f32::to_bits).iter().collect::<Vec<_>>()),
            Tensor::F64(array) => format!("{:?}", array.mapv(f64::to_bits).iter().collect::<Vec<_>>()),
            other => format!("{other:?}"),
        })
    };
    model.signature().outputs.iter().map(bits).collect()
}

/// Runs a model with the first size that works.
fn first_run(model: &Model) -> Result<(usize, Vec<String>), String> {
    let mut last = String::new();
    for size in SIZES {
        match run(model, size) {
            Ok(outputs) => return Ok((size, outputs)),
            Err(error) => last = error,
        }
    }
    Err(last)
}

#[test]
fn what_is_written_back_gives_the_same_bits() {
    let mut files = Vec::new();
    for folder in ["tests/data", "examples/models", ".ml/files"] {
        onnx_files(&repository().join(folder), &mut files);
    }
    let own = files.iter().filter(|file| !file.components().any(|part| part.as_os_str() == ".ml")).count();
    if own == files.len() {
        eprintln!("only {own} files are there: get the others with python3 scripts/get.py files");
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("files");
    std::fs::create_dir_all(&folder).unwrap();
    let (mut ran, mut same_bytes, mut unknown) = (0, 0, Vec::<String>::new());
    for file in &files {
        let copy = folder.join("copy.onnx");
        let model = ml_onnx::Model::read(file).unwrap();
        model.check().unwrap();
        model.write(&copy, WriteOptions::default()).unwrap();
        same_bytes += usize::from(std::fs::read(file).unwrap() == std::fs::read(&copy).unwrap());
        // The weights of a second copy lie in a file of their own.
        let outside = folder.join("outside.onnx");
        model.write(&outside, WriteOptions { inline_bytes_max: 0 }).unwrap();
        let (size, expected) = match load(file).and_then(|model| first_run(&model)) {
            Ok(ran) => ran,
            Err(reason) => {
                unknown.push(format!("{}: {reason}", file.display()));
                continue;
            }
        };
        for copy in [&copy, &outside] {
            let written = load(copy).and_then(|model| run(&model, size));
            assert!(
                written.as_ref() == Ok(&expected),
                "{} is another model when written back",
                file.display()
            );
        }
        ran += 1;
    }
    eprintln!("{ran} of {} files give the same bits, {same_bytes} are the same bytes", files.len());
    unknown.iter().for_each(|file| eprintln!("not run: {file}"));
    // Of ours, the inputs of one point into each other, and the other takes images of one size.
    assert!(ran + 2 >= own && (files.len() == own || ran >= 150), "only {ran} of {} files ran", files.len());
}
