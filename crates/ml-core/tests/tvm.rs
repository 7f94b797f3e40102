//! Models that TVM has compiled: what the tests of the other runtimes ask of those. They are compiled here, which needs what
//! `scripts/tvm/run` installs; without it nothing is tested, and each test says so.
#![allow(clippy::expect_used, reason = "a failed expectation is what a test ends with")]

#[path = "support/carry.rs"]
mod carry;
#[path = "support/iris.rs"]
mod iris;
#[path = "support/onnx.rs"]
mod onnx;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use ml_core::{
    Element, LoadErrorKind, Model, ModelOptions, RuntimeChoice, Tensor, ThreadPlan, ThreadWishes, cosine,
};
use ndarray::{Array1, Array2, array};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn options(runtime: RuntimeChoice) -> ModelOptions {
    let threads = ThreadPlan::for_cpus(2, ThreadWishes::default());
    ModelOptions { runtime, threads, ..ModelOptions::default() }
}

/// ONNX's numbers of the element types that TVM takes.
const TYPES: [u64; 10] = [1, 11, 3, 5, 6, 7, 2, 4, 12, 13];

/// The folder of the compiled models: one that returns what it gets for each type, and those of the repository. All are compiled by one
/// Python, which takes some seconds to start. `None` where TVM is not installed.
static COMPILED: LazyLock<Option<PathBuf>> = LazyLock::new(|| {
    let python = repository().join(".ml/tvm-python/bin/python");
    if !python.exists() {
        return None;
    }
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("tvm");
    std::fs::create_dir_all(&folder).expect("the build's folder takes another");
    let write = |name: &str, content: &[u8]| std::fs::write(folder.join(name), content).expect("so it does");
    for data_type in TYPES {
        write(&format!("same-{data_type}.onnx"), &onnx::model("Identity", data_type, 17));
    }
    let read = |path: &str| std::fs::read(repository().join(path)).expect("it is in the repository");
    write("encoder.onnx", &read("tests/data/tiny-sentiment/model.onnx"));
    write("iris.onnx", &read("examples/models/iris/model.onnx"));
    let models = TYPES.iter().map(|data_type| format!("same-{data_type}.onnx"));
    let models =
        models.chain(["encoder.onnx".to_owned(), "iris.onnx".to_owned()]).map(|name| folder.join(name));
    let compiled =
        Command::new(python).arg(repository().join("scripts/tvm/compile.py")).args(models).output();
    let compiled = compiled.expect("python starts");
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    Some(folder)
});

/// Returns a compiled model's file, or says that its test is left out.
fn compiled(name: &str) -> Option<PathBuf> {
    let found = COMPILED.as_ref().map(|folder| folder.join(name));
    if found.is_none() {
        // Past the test harness, which would keep it to itself.
        let told = std::io::stderr().write_all(b"LEFT OUT: TVM is not installed, run scripts/tvm/run\n");
        told.expect("stderr is open");
    }
    found
}

fn load(name: &str) -> Option<Model> {
    Some(Model::load(compiled(name)?, &options(RuntimeChoice::Tvm)).expect("the model loads"))
}

/// Sends an array through a model that returns it unchanged.
fn round_trip<T>(data_type: u64, values: &Array1<T>)
where
    T: Element + PartialEq + std::fmt::Debug,
    for<'a> Tensor<'a>: From<&'a Array1<T>> + From<ndarray::ArrayView1<'a, T>>,
{
    let Some(model) = load(&format!("same-{data_type}.so")) else { return };
    carry::returns(&model, values);

    let none = Array1::from(Vec::<T>::new());
    let error = model.run(vec![("x", (&none).into())]).err().expect("no rows are refused");
    assert_eq!(error.reason, "input x is empty: TVM takes none that are");
}

#[test]
fn tvm_carries_its_types_there_and_back() {
    round_trip(1, &array![1.5_f32, -0.0, f32::MIN]);
    round_trip(11, &array![1.5_f64, f64::MAX, -3.0]);
    round_trip(3, &array![1_i8, i8::MIN, i8::MAX]);
    round_trip(5, &array![1_i16, i16::MIN, i16::MAX]);
    round_trip(6, &array![1_i32, i32::MIN, i32::MAX]);
    round_trip(7, &array![1_i64, i64::MIN, i64::MAX]);
    round_trip(2, &array![1_u8, 0, u8::MAX]);
    round_trip(4, &array![1_u16, 0, u16::MAX]);
    round_trip(12, &array![1_u32, 0, u32::MAX]);
    round_trip(13, &array![1_u64, 0, u64::MAX]);
}

#[test]
fn an_output_is_taken_as_it_lies_in_memory_and_outlives_the_model() {
    let Some(model) = load("same-6.so") else { return };
    let mut outputs = model.run(vec![("x", (&array![1_i32, -2]).into())]).expect("the model runs");
    let output = outputs.take("y").expect("there is one");
    drop((outputs, model));
    let expected: Vec<u8> = [1_i32, -2].iter().flat_map(|number| number.to_ne_bytes()).collect();
    assert_eq!(output.bytes(), Some(&*expected));
    assert_eq!(output.tensor(), Ok(array![1_i32, -2].into()));
}

#[test]
fn tvm_gives_the_answers_and_the_signature_of_the_onnx_file() {
    let Some(onnx) = compiled("iris.onnx") else { return };
    let answers = [RuntimeChoice::Rten, RuntimeChoice::Tvm].map(|runtime| {
        let model =
            Model::load(&onnx, &options(runtime)).expect("the model loads, by the ONNX file's name, too");
        iris::probabilities(&model)
    });
    let difference = iris::apart(&answers[0], &answers[1]);
    assert!(difference < 1e-6, "the runtimes differ by {difference}");
}

/// Runs the encoder on texts of these many tokens, padded to the longest, and returns their embeddings.
fn embeddings(model: &Model, lengths: &[usize]) -> Array2<f32> {
    let width = lengths.iter().copied().max().unwrap_or(0);
    let shape = (lengths.len(), width);
    let mask = Array2::from_shape_fn(shape, |(row, column)| i64::from(column < lengths[row]));
    let ids = Array2::from_shape_fn(shape, |(row, column)| (3 + 7 * row + 5 * column) as i64 % 50) * &mask;
    let types = Array2::<i64>::zeros(shape);
    let inputs: [(&str, Tensor<'_>); 3] = [
        ("input_ids", (&ids).into()),
        ("attention_mask", (&mask).into()),
        ("token_type_ids", (&types).into()),
    ];
    let outputs = model.run(inputs.to_vec()).expect("the model runs");
    let embeddings = outputs.get::<f32>("sentence_embedding").expect("f32");
    embeddings.into_owned().into_dimensionality().expect("a row for each text")
}

#[test]
fn an_encoder_answers_as_on_rten_whatever_the_lengths_and_on_many_threads() {
    let Some(onnx) = compiled("encoder.onnx") else { return };
    let [own, other] = [RuntimeChoice::Tvm, RuntimeChoice::Rten]
        .map(|runtime| Model::load(&onnx, &options(runtime)).expect("the model loads"));
    std::thread::scope(|scope| {
        for seed in 0..4 {
            let (own, other) = (&own, &other);
            scope.spawn(move || {
                for lengths in [vec![1], vec![seed + 2, 5], vec![17, 3, 9], vec![16; 5], vec![40, 33]] {
                    let (own, other) = (embeddings(own, &lengths), embeddings(other, &lengths));
                    for (own, other) in own.outer_iter().zip(other.outer_iter()) {
                        let cosine = cosine(own, other);
                        assert!(cosine > 0.999_999, "{lengths:?}: {cosine}");
                    }
                }
            });
        }
    });
}

/// ONNX Runtime refuses these; code without checks would read whatever lies behind a table.
#[test]
fn no_input_reads_outside_of_a_table() {
    let Some(model) = load("encoder.so") else { return };
    let run = |ids: Array2<i64>| {
        let mask = Array2::<i64>::ones(ids.dim());
        let types = Array2::<i64>::zeros(ids.dim());
        let inputs: [(&str, Tensor<'_>); 3] = [
            ("input_ids", (&ids).into()),
            ("attention_mask", (&mask).into()),
            ("token_type_ids", (&types).into()),
        ];
        let outputs = model.run(inputs.to_vec())?;
        outputs.get::<f32>("sentence_embedding").map(|embeddings| embeddings.mapv(f32::is_nan).into_owned())
    };
    let wrong = run(array![[1, 1 << 40], [1, 2], [i64::MIN, 1]]).expect("it runs");
    let rows: Vec<bool> = wrong.outer_iter().map(|row| row.iter().all(|is_nan| *is_nan)).collect();
    assert_eq!(rows, [true, false, true], "only who asks for what is not there gets no number");
    let long = run(Array2::ones((1, 100_000))).expect_err("no position has this number");
    assert!(
        long.reason.starts_with("input input_ids has 100000 in sequence: the model's tables end at "),
        "{long:?}"
    );
}

#[test]
fn wrong_inputs_are_named() {
    let Some(model) = load("same-1.so") else { return };
    let (x, other) = (array![1.0_f32], array![1_u8]);
    let matrix = array![[1.0_f32]];
    let takes = "the model takes x: f32[n] and gives y: f32[n]";
    for (inputs, expected) in [
        (vec![], format!("input x is missing; {takes}")),
        (vec![("x", Tensor::from(&x)), ("z", (&x).into())], format!("there is no input z; {takes}")),
        (vec![("x", (&other).into())], "input x is u8, not f32".to_owned()),
        (vec![("x", (&matrix).into())], "input x has the shape [1, 1], not x: f32[n]".to_owned()),
    ] {
        assert_eq!(model.run(inputs).err().map(|error| error.reason), Some(expected));
    }
}

/// The shapes of the inputs must fit each other, too, which the signature does not say.
#[test]
fn inputs_of_different_lengths_are_refused() {
    let Some(model) = load("encoder.so") else { return };
    let (ids, mask) = (Array2::<i64>::ones((2, 7)), Array2::<i64>::ones((2, 5)));
    let inputs: [(&str, Tensor<'_>); 3] =
        [("input_ids", (&ids).into()), ("attention_mask", (&mask).into()), ("token_type_ids", (&ids).into())];
    assert!(model.run(inputs.to_vec()).is_err());
    assert_eq!(embeddings(&model, &[3]).nrows(), 1, "the session is as good as before");
}

#[test]
fn load_errors_name_the_file_and_the_reason() {
    let Some(onnx) = compiled("iris.onnx") else { return };
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("tvm-errors");
    std::fs::create_dir_all(&folder).expect("the build's folder takes another");
    let write = |name: &str, content: &[u8]| {
        let path = folder.join(name);
        std::fs::write(&path, content).expect("the folder takes files");
        path
    };
    let never_compiled = write("never.onnx", &onnx::model("Identity", 1, 17));
    let changed = write("changed.onnx", &onnx::model("Identity", 1, 17));
    std::fs::copy(onnx.with_extension("so"), folder.join("changed.so")).expect("it is there");
    let prose = write("prose.so", b"this is not a model, it is a sentence");
    for (path, reason) in [
        (never_compiled, "it was not compiled yet: scripts/tvm/run"),
        (changed, "it has changed since it was compiled: scripts/tvm/run"),
        (prose, "TVM cannot run this model"),
        (folder.join("missing.so"), "cannot read the file"),
    ] {
        let error = Model::load(&path, &options(RuntimeChoice::Tvm)).err().expect("it cannot be loaded");
        assert!(!matches!(error.kind, LoadErrorKind::NoTvm(_)), "{error}");
        assert!(error.to_string().contains(reason), "{error} should say {reason}");
    }
}
