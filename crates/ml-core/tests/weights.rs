//! What the sessions of a model share, and the optimised copy that they share it from.
#![allow(clippy::expect_used, reason = "a failed expectation is what a test ends with")]

#[path = "support/onnx.rs"]
mod onnx;

use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::Command;

use ml_core::{Model, ModelOptions, OptimisedCopy, RuntimeChoice, ThreadPlan, ThreadWishes};
use ml_kernels::FloatLinear;
use ml_onnx::operators::LINEAR;
use ml_onnx::proto::{Dim, OperatorSet, ValueInfo};
use ml_onnx::{DataType, Graph, Node, Tensor, WriteOptions};
use ndarray::{Array2, ArrayD};

/// A folder that is removed when the test ends.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("ml-core-weights-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).expect("the temporary folder takes folders");
        Self(path)
    }

    /// Writes a model of `matrices` × 4 MiB.
    fn model(&self, matrices: usize, seed: u32) -> PathBuf {
        let path = self.0.join("model.onnx");
        fs::write(&path, onnx::products(matrices, seed, None).0).expect("the folder takes files");
        path
    }

    fn copies(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.0.join(".optimised")).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

fn load(path: &Path, runners: usize, optimised_copy: OptimisedCopy) -> Model {
    let wishes = ThreadWishes {
        runners: NonZeroUsize::new(runners),
        intra_op: NonZeroUsize::new(1),
        wide: NonZeroUsize::new(2),
        ..ThreadWishes::default()
    };
    let options = ModelOptions {
        runtime: RuntimeChoice::OnnxRuntime,
        threads: ThreadPlan::for_cpus(2, wishes),
        optimised_copy,
        ..ModelOptions::default()
    };
    Model::load(path, &options).expect("the model loads")
}

fn answer(model: &Model) -> ArrayD<f32> {
    let x = Array2::from_shape_fn((3, onnx::WIDTH), |(row, column)| (row + column % 7) as f32);
    let outputs = model.run(vec![("x", (&x).into())]).expect("the model runs");
    outputs.get::<f32>("y").expect("f32").into_owned()
}

/// Expects the same answers but for the order of sums: of a copy, our own operators may compute them.
fn assert_same(found: &ArrayD<f32>, expected: &ArrayD<f32>, name: &str) {
    assert_eq!(found.shape(), expected.shape(), "{name}");
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() <= 1e-4 * (1.0 + expected.abs()), "{name}: {found}, not {expected}");
    }
}

/// What the model answers when it is loaded without a copy.
fn plain_answer(path: &Path) -> ArrayD<f32> {
    answer(&load(path, 1, OptimisedCopy::Never))
}

#[test]
fn the_copy_is_the_model() {
    let folder = Folder::new("same");
    let path = folder.model(2, 1);
    let plain = load(&path, 1, OptimisedCopy::Never);
    assert!(!folder.0.join(".optimised").exists(), "nothing was to be written");
    for start in ["first", "second"] {
        let model = load(&path, 2, OptimisedCopy::BesideModel);
        assert_eq!(model.signature(), plain.signature(), "{start} start");
        assert_same(&answer(&model), &answer(&plain), start);
        let [copy] = &folder.copies()[..] else { panic!("{start} start: {:?}", folder.copies()) };
        let graph =
            ml_onnx::Model::read(&copy.join("graph.onnx")).expect("it is ONNX").graph.expect("a graph");
        let own = graph.nodes.iter().filter(|node| node.is_own(LINEAR)).count();
        assert_eq!(own, if FloatLinear::is_fast() { 2 } else { 0 }, "{start} start");
    }
}

#[test]
fn a_model_that_was_replaced_gets_another_copy() {
    let folder = Folder::new("replaced");
    let path = folder.model(2, 1);
    let before = load(&path, 1, OptimisedCopy::BesideModel);
    let old_copies = folder.copies();
    let modified = fs::metadata(&path).and_then(|metadata| metadata.modified()).expect("a time");

    // The size stays the same, and the time is made to.
    let (old_answer, path) = (answer(&before), folder.model(2, 100));
    let file = fs::File::options().append(true).open(&path).expect("the model is there");
    file.set_modified(modified).expect("the time can be set");

    let after = load(&path, 1, OptimisedCopy::BesideModel);
    assert_same(&answer(&after), &plain_answer(&path), "after");
    assert_ne!(answer(&after), old_answer);
    assert_eq!(answer(&before), old_answer, "who has the old copy keeps it");
    assert_eq!(folder.copies().len(), 1);
    assert_ne!(folder.copies(), old_copies);
}

#[test]
fn a_damaged_copy_is_made_again() {
    let folder = Folder::new("damaged");
    let path = folder.model(2, 1);
    let expected = answer(&load(&path, 1, OptimisedCopy::BesideModel));
    let copy = folder.copies().pop().expect("the copy was made");
    let complete = |file: &str| fs::metadata(copy.join(file)).map(|metadata| metadata.len()).ok();
    let sizes = [complete("graph.onnx"), complete("weights.bin")];
    for (file, content) in [
        ("graph.onnx", Some(&b"this is not a model"[..])),
        ("graph.onnx", Some(b"")),
        ("graph.onnx", None),
        ("weights.bin", Some(b"too short")),
        ("weights.bin", Some(b"")),
        ("weights.bin", None),
    ] {
        // The file is replaced and not cut short, since other tests may have mapped the old one.
        fs::remove_file(copy.join(file)).expect("the file is there");
        if let Some(content) = content {
            fs::write(copy.join(file), content).expect("the folder takes files");
        }
        assert_eq!(answer(&load(&path, 1, OptimisedCopy::BesideModel)), expected, "{file}: {content:?}");
        assert_eq!([complete("graph.onnx"), complete("weights.bin")], sizes, "{file}: {content:?}");
    }
}

/// Writes a model that takes rows of a table of 8 MiB.
fn table_model(folder: &Folder) -> PathBuf {
    let floats: Vec<f32> = (0..TABLE_ROWS * TABLE_WIDTH).map(|n| n as f32).collect();
    let table = Tensor {
        name: "table".to_owned(),
        dims: vec![TABLE_ROWS as i64, TABLE_WIDTH as i64],
        data_type: Some(DataType::Float.number()),
        raw_data: Some(floats.iter().flat_map(|float| float.to_le_bytes()).collect()),
        ..Tensor::default()
    };
    let gather = Node {
        op_type: "Gather".to_owned(),
        inputs: vec!["table".to_owned(), "ids".to_owned()],
        outputs: vec!["rows".to_owned()],
        ..Node::default()
    };
    let sizes = [Dim::named("n"), Dim::fixed(TABLE_WIDTH as i64)];
    let graph = Graph {
        name: "rows of a table".to_owned(),
        nodes: vec![gather],
        initializers: vec![table],
        inputs: vec![ValueInfo::tensor("ids", DataType::Int64, &sizes[..1])],
        outputs: vec![ValueInfo::tensor("rows", DataType::Float, &sizes)],
        ..Graph::default()
    };
    let set = OperatorSet { version: Some(17), ..OperatorSet::default() };
    let model = ml_onnx::Model {
        ir_version: Some(8),
        graph: Some(graph),
        opset_imports: vec![set],
        ..Default::default()
    };
    let path = folder.0.join("model.onnx");
    model.write(&path, WriteOptions::default()).expect("the folder takes files");
    path
}

const TABLE_ROWS: usize = 8192;
const TABLE_WIDTH: usize = 256;

fn rows(model: &Model, ids: &[i64]) -> Result<ArrayD<f32>, ml_core::ModelError> {
    let ids = ndarray::arr1(ids);
    let outputs = model.run(vec![("ids", (&ids).into())])?;
    Ok(outputs.get::<f32>("rows").expect("f32").into_owned())
}

#[cfg(unix)]
#[test]
fn a_large_table_stays_in_its_file() {
    let folder = Folder::new("table");
    let path = table_model(&folder);
    let plain = load(&path, 1, OptimisedCopy::Never);
    let model = load(&path, 2, OptimisedCopy::BesideModel);
    let copy = folder.copies().pop().expect("the copy was made");
    let graph =
        ml_onnx::Model::read_graph(&copy.join("graph.onnx")).expect("it is ONNX").graph.expect("a graph");
    assert!(graph.initializers.is_empty(), "{:?}", graph.initializers);

    let ids = [7, 0, 0, -1, 8191, -8192, 4000];
    assert_eq!(rows(&model, &ids), rows(&plain, &ids));
    assert_eq!(rows(&model, &[]).expect("no rows").shape(), [0, TABLE_WIDTH]);
    for id in [8192, -8193] {
        assert!(rows(&plain, &[0, id]).is_err(), "ONNX Runtime's own refuses it");
        let refused = rows(&model, &[0, id]).expect_err("so does ours").to_string();
        assert!(refused.contains(&format!("there is no row {id} of 8192")), "{refused}");
    }
    assert_eq!(rows(&model, &ids), rows(&plain, &ids), "and goes on");

    fs::remove_file(copy.join("weights.bin")).expect("the file is there");
    fs::write(copy.join("weights.bin"), "too short").expect("the folder takes files");
    assert_eq!(rows(&load(&path, 1, OptimisedCopy::BesideModel), &ids), rows(&plain, &ids), "made again");
}

#[test]
fn where_nothing_can_be_written_the_model_is_loaded_without_a_copy() {
    let folder = Folder::new("closed");
    let path = folder.model(2, 1);
    // Rights would not stop a test that runs as root; a file in the place of the folder stops everyone.
    fs::write(folder.0.join(".optimised"), "not a folder").expect("the folder takes files");
    assert_eq!(answer(&load(&path, 2, OptimisedCopy::BesideModel)), plain_answer(&path));
}

#[test]
fn a_copy_that_was_found_unusable_is_not_tried_again() {
    let folder = Folder::new("unusable");
    let path = folder.model(2, 1);
    let expected = answer(&load(&path, 1, OptimisedCopy::BesideModel));
    let copy = folder.copies().pop().expect("the copy was made");
    fs::remove_file(copy.join("graph.onnx")).expect("the graph is there");
    fs::write(copy.join("unusable.txt"), "a kernel cannot share what it packs")
        .expect("the folder takes files");
    assert_same(&answer(&load(&path, 1, OptimisedCopy::BesideModel)), &expected, "without a copy");
    assert!(!copy.join("graph.onnx").exists());
}

#[test]
fn a_model_that_cannot_run_is_named_at_each_start_and_tried_once() {
    let folder = Folder::new("refused");
    let path = folder.0.join("model.onnx");
    // The weights of a model, and a node of an operator that there is not.
    let model = onnx::products(2, 1, None).0;
    let at = model.windows(6).position(|bytes| bytes == b"MatMul").expect("there is a product");
    let model = [&model[..at], b"MutMal", &model[at + 6..]].concat();
    fs::write(&path, model).expect("the folder takes files");
    for start in ["first", "second"] {
        let options = ModelOptions { runtime: RuntimeChoice::OnnxRuntime, ..ModelOptions::default() };
        let error = Model::load(&path, &options).err().expect("it cannot run").to_string();
        assert!(error.contains("MutMal"), "{start} start: {error}");
        let copy = folder.copies().pop().expect("a note lies in its place");
        assert!(copy.join("unusable.txt").is_file(), "{start} start");
    }
}

#[test]
fn starters_at_the_same_time_make_one_copy() {
    let folder = Folder::new("starters");
    let path = folder.model(2, 1);
    let expected = plain_answer(&path);
    std::thread::scope(|scope| {
        let starters: Vec<_> =
            (0..4).map(|_| scope.spawn(|| answer(&load(&path, 1, OptimisedCopy::BesideModel)))).collect();
        for starter in starters {
            assert_same(&starter.join().expect("no starter fails"), &expected, "one of the starters");
        }
    });
    assert_eq!(folder.copies().len(), 1);
}

#[test]
fn a_model_of_some_kilobytes_gets_no_copy() {
    let folder = Folder::new("small");
    let path = folder.0.join("model.onnx");
    fs::write(&path, onnx::model("Identity", 1, 17)).expect("the folder takes files");
    load(&path, 1, OptimisedCopy::BesideModel);
    assert!(!folder.0.join(".optimised").exists());
}

#[test]
fn weights_in_a_file_of_their_own_are_shared_from_there() {
    let folder = Folder::new("outside");
    let path = folder.0.join("model.onnx");
    let (model, weights) = onnx::products(2, 1, Some("model.onnx.data"));
    fs::write(&path, model).expect("the folder takes files");
    fs::write(folder.0.join("model.onnx.data"), weights).expect("the folder takes files");
    let model = load(&path, 2, OptimisedCopy::BesideModel);
    assert!(!folder.0.join(".optimised").exists(), "no copy is needed");

    let inside = Folder::new("inside");
    assert_eq!(answer(&model), plain_answer(&inside.model(2, 1)));
}

/// Memory is measured in processes of their own, one for each number of runners.
#[cfg(target_os = "linux")]
#[test]
fn a_further_runner_does_not_cost_its_weights() {
    let folder = Folder::new("shared");
    for (form, outside) in [("copy", None), ("outside", Some("weights.data"))] {
        let path = folder.0.join(form).with_extension("onnx");
        let (model, weights) = onnx::products(10, 1, outside);
        fs::write(&path, model).expect("the folder takes files");
        fs::write(folder.0.join("weights.data"), weights).expect("the folder takes files");
        load(&path, 1, OptimisedCopy::BesideModel);
        let [one, four] = [1, 4].map(|runners| resident_bytes_with(&path, runners));
        // Of ten matrices of 4 MiB, a copy for each runner would be 40 MiB; a second one of the first runner too.
        let further = four.saturating_sub(one) / 3;
        assert!(further < 4 << 20, "{form}: {further} bytes for each further runner, {one} for the first");
        assert!(one < 100 << 20, "{form}: {one} bytes for the first runner and the wide session");
    }
}

/// Starts this test program again, to load the model there.
#[cfg(target_os = "linux")]
fn resident_bytes_with(path: &Path, runners: usize) -> usize {
    let program = std::env::current_exe().expect("this program has a path");
    let output = Command::new(program)
        .args(["--exact", "load_and_report", "--ignored", "--nocapture"])
        .envs([("TEST_MODEL", path.as_os_str()), ("TEST_RUNNERS", runners.to_string().as_ref())])
        // Else glibc keeps what was packed and thrown away again, or does not, as it falls.
        .env("MALLOC_MMAP_THRESHOLD_", "1000000")
        .output()
        .expect("this program can be started");
    let output = String::from_utf8_lossy(&output.stdout);
    let report = output.lines().find_map(|line| line.split("resident KiB: ").nth(1));
    report.and_then(|kib| kib.trim().parse::<usize>().ok()).expect("a report") * 1024
}

#[cfg(target_os = "linux")]
#[test]
#[ignore = "the part of another test that needs its own process"]
#[allow(clippy::print_stdout, reason = "the other process reads it")]
fn load_and_report() {
    let path = std::env::var_os("TEST_MODEL").expect("started by the other test");
    let runners = std::env::var("TEST_RUNNERS").ok().and_then(|count| count.parse().ok()).expect("a number");
    let model = load(Path::new(&path), runners, OptimisedCopy::BesideModel);
    answer(&model);
    let status = fs::read_to_string("/proc/self/status").expect("Linux has it");
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("Linux has it");
    println!("resident KiB: {}", resident.trim().trim_end_matches(" kB"));
}
