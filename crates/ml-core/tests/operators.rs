//! Our own operators in ONNX Runtime: one thread against two, nodes that fit to nothing, and runtimes that do not know them.
#![allow(clippy::unwrap_used, reason = "clippy takes the helpers of a test file for no tests")]

use std::num::NonZeroUsize;
use std::path::PathBuf;

use ml_core::{LoadError, Model, ModelOptions, OptimisedCopy, RuntimeChoice, ThreadPlan, ThreadWishes};
use ml_onnx::operators::{DOMAIN, INT8_LINEAR, LINEAR, PACKED_ATTENTION, VERSION};
use ml_onnx::proto::{Attribute, Dim, OperatorSet, Value, ValueInfo};
use ml_onnx::{DataType, Graph, Node, Tensor, WriteOptions};
use ndarray::Array2;

const WIDTH: usize = 5;

/// A file that is removed when the test ends.
struct File(PathBuf);

impl Drop for File {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.0));
    }
}

/// A graph of one layer with a GELU and an outlier: two outputs of three and four columns.
fn layer() -> Graph {
    let dims = |last: Dim| [Dim::named("rows"), last];
    let inputs = ["x", "weights", "scales", "bias", "columns", "outliers"];
    let node = Node::own(INT8_LINEAR, &inputs, &["y", "z"])
        .with("widths", Value::Ints(vec![3, 4]))
        .with("activation", Value::Text("gelu".to_owned()));
    Graph {
        name: "layer".to_owned(),
        inputs: vec![ValueInfo::tensor("x", DataType::Float, &dims(Dim::named("width")))],
        outputs: vec![
            ValueInfo::tensor("y", DataType::Float, &dims(Dim::fixed(3))),
            ValueInfo::tensor("z", DataType::Float, &dims(Dim::fixed(4))),
        ],
        nodes: vec![node],
        initializers: vec![
            Tensor::new("weights", &[WIDTH, 7], (0..35).map(|at| (at * 29 % 255) as i8)),
            Tensor::new("scales", &[7], (0..7).map(|at| 0.01 + at as f32 / 1000.0)),
            Tensor::new("bias", &[7], (0..7).map(|at| at as f32 / 10.0)),
            Tensor::new("columns", &[1], [2_i64]),
            Tensor::new("outliers", &[1, 7], (0..7).map(|at| at as f32 / 7.0)),
        ],
        ..Graph::default()
    }
}

fn write(name: &str, graph: Graph) -> File {
    let set = |domain: &str, version| OperatorSet {
        domain: Some(domain.to_owned()),
        version: Some(version),
        ..OperatorSet::default()
    };
    let model = ml_onnx::Model {
        ir_version: Some(8),
        graph: Some(graph),
        opset_imports: vec![set("", 17), set(DOMAIN, VERSION)],
        ..ml_onnx::Model::default()
    };
    let path = std::env::temp_dir().join(format!("ml-core-operators-{}-{name}.onnx", std::process::id()));
    model.write(&path, WriteOptions::default()).unwrap();
    File(path)
}

fn load(file: &File, runtime: RuntimeChoice, threads: usize) -> Result<Model, LoadError> {
    let wishes = ThreadWishes {
        runners: NonZeroUsize::new(1),
        intra_op: NonZeroUsize::new(threads),
        wide: NonZeroUsize::new(threads),
        ..ThreadWishes::default()
    };
    let options = ModelOptions {
        runtime,
        threads: ThreadPlan::for_cpus(threads, wishes),
        optimised_copy: OptimisedCopy::Never,
        ..ModelOptions::default()
    };
    Model::load(&file.0, &options)
}

fn answers(model: &Model, x: &Array2<f32>) -> Result<[Vec<f32>; 2], String> {
    let outputs = model.run(vec![("x", x.into())]).map_err(|error| error.to_string())?;
    Ok(["y", "z"].map(|name| outputs.get::<f32>(name).unwrap().iter().copied().collect()))
}

#[test]
fn threads_share_the_rows_and_give_the_same() {
    let file = write("threads", layer());
    let [one, two] = [1, 2].map(|threads| load(&file, RuntimeChoice::OnnxRuntime, threads).unwrap());
    for rows in [0, 1, 7, 8, 9, 31, 200] {
        let x =
            Array2::from_shape_fn((rows, WIDTH), |(row, column)| ((row * 7 + column * 3) % 11) as f32 - 5.0);
        let (serial, parallel) = (answers(&one, &x).unwrap(), answers(&two, &x).unwrap());
        assert_eq!(serial[0].len(), rows * 3);
        assert_eq!(serial, parallel, "{rows} rows");
    }
}

#[test]
fn rows_of_another_width_are_an_error_of_that_run() {
    let model = load(&write("width", layer()), RuntimeChoice::OnnxRuntime, 1).unwrap();
    let error = answers(&model, &Array2::zeros((2, WIDTH + 1))).unwrap_err();
    assert!(error.contains("not of 5 numbers"), "{error}");
    assert!(answers(&model, &Array2::zeros((2, WIDTH))).is_ok());
}

/// A change to a graph, and what is said of it.
type Hostile = (&'static str, fn(&mut Graph), &'static str);

#[test]
fn nodes_that_do_not_fit_are_refused_when_the_model_is_loaded() {
    let cases: [Hostile; 8] = [
        ("columns", |graph| graph.initializers[3] = Tensor::new("columns", &[1], [9_i64]), "no column 9"),
        (
            "negative",
            |graph| graph.initializers[3] = Tensor::new("columns", &[1], [-1_i64]),
            "there is no -1",
        ),
        (
            "scales",
            |graph| graph.initializers[1] = Tensor::new("scales", &[6], [0.1_f32; 6]),
            "6 scales, not 7",
        ),
        ("vector", |graph| graph.initializers[0] = Tensor::new("weights", &[35], [1_i8; 35]), "no matrix"),
        (
            "bias",
            |graph| graph.initializers[2] = Tensor::new("bias", &[1], [0.1_f32]),
            "1 numbers of the bias",
        ),
        ("widths", |graph| graph.nodes[0].attributes[0].ints = vec![3, i64::MAX], "7 scales, not"),
        ("activation", |graph| graph.nodes[0].attributes[1].s = Some("relu".into()), "no activation"),
        ("missing", |graph| drop(graph.nodes[0].attributes.remove(0)), "no widths"),
    ];
    for (name, change, reason) in cases {
        let mut graph = layer();
        change(&mut graph);
        let error = load(&write(name, graph), RuntimeChoice::OnnxRuntime, 1).err().unwrap().to_string();
        assert!(error.contains(reason), "{name}: {error}");
    }
}

#[test]
fn what_is_packed_must_be_constant() {
    let mut graph = layer();
    // A bias that a caller gives.
    let bias = graph.initializers.remove(2);
    graph.inputs.push(ValueInfo::tensor(&bias.name, DataType::Float, &[Dim::fixed(7)]));
    let model = load(&write("given", graph), RuntimeChoice::OnnxRuntime, 1).unwrap();
    let (x, bias) = (Array2::<f32>::zeros((1, WIDTH)), ndarray::Array1::<f32>::zeros(7));
    let error = model.run(vec![("x", (&x).into()), ("bias", (&bias).into())]).err().unwrap().to_string();
    assert!(error.contains("input 3 is no constant"), "{error}");
}

#[test]
fn other_runtimes_say_what_the_file_needs() {
    let error = load(&write("rten", layer()), RuntimeChoice::Rten, 1).err().unwrap().to_string();
    assert!(error.contains("operators of ml.rust, which run on ONNX Runtime alone"), "{error}");
}

/// A graph of one attention with two heads of two numbers.
fn attention() -> Graph {
    let rows =
        |name: &str| ValueInfo::tensor(name, DataType::Float, &[Dim::named("tokens"), Dim::named(name)]);
    let positions = ValueInfo::tensor("positions", DataType::Int64, &[Dim::named("places")]);
    let node = Node::own(PACKED_ATTENTION, &["q", "k", "v", "positions"], &["y"])
        .with("heads", Value::Int(2))
        .with("scale", Value::Float(0.5));
    Graph {
        name: "attention".to_owned(),
        inputs: vec![rows("q"), rows("k"), rows("v"), positions],
        outputs: vec![rows("y")],
        nodes: vec![node],
        ..Graph::default()
    }
}

fn attend(model: &Model, rows: usize, widths: [usize; 3], positions: &[i64]) -> Result<Vec<f32>, String> {
    let [q, k, v] = widths.map(|width| {
        Array2::from_shape_fn((rows, width), |(row, column)| ((row * 5 + column * 3) % 7) as f32 / 2.0 - 1.0)
    });
    let positions = ndarray::Array1::from_vec(positions.to_vec());
    let inputs =
        vec![("q", (&q).into()), ("k", (&k).into()), ("v", (&v).into()), ("positions", (&positions).into())];
    let outputs = model.run(inputs).map_err(|error| error.to_string())?;
    Ok(outputs.get::<f32>("y").unwrap().iter().copied().collect())
}

#[test]
fn texts_attend_to_themselves_whatever_thread_they_are_on() {
    let file = write("attention", attention());
    let [one, two] = [1, 2].map(|threads| load(&file, RuntimeChoice::OnnxRuntime, threads).unwrap());
    let attend =
        |model: &Model, positions: &[i64]| attend(model, positions.len(), [4; 3], positions).unwrap();
    for positions in [&[][..], &[0], &[0, 1, 2], &[0, 1, 0, 0, 1, 2, 3, 0, 1]] {
        let serial = attend(&one, positions);
        assert_eq!(serial.len(), positions.len() * 4);
        assert_eq!(serial, attend(&two, positions), "{positions:?}");
    }
    // The first text is the same with another after it, and a text of one token is its value.
    assert_eq!(attend(&one, &[0, 1, 2])[..], attend(&one, &[0, 1, 2, 0, 1])[..12]);
    assert_eq!(attend(&one, &[0])[..], [-1.0, 0.5, 2.0, 0.0]);
}

#[test]
fn attention_of_what_does_not_fit_is_an_error_of_that_run() {
    let file = write("hostile-attention", attention());
    for threads in [1, 2] {
        let model = load(&file, RuntimeChoice::OnnxRuntime, threads).unwrap();
        for (rows, widths, positions, reason) in [
            (2, [4, 4, 4], &[1, 2][..], "does not begin a text"),
            (2, [4, 4, 4], &[0, 0, 0], "8 numbers of queries, not 12"),
            (2, [4, 4, 4], &[0], "8 numbers of queries, not 4"),
            (2, [4, 5, 4], &[0, 0], "10 numbers of keys, not 8"),
            (2, [4, 4, 2], &[0, 0], "4 numbers of values, not 8"),
            (2, [3, 3, 3], &[0, 0], "2 numbers of all heads, not 3"),
        ] {
            let error = attend(&model, rows, widths, positions).unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
        assert!(attend(&model, 2, [4; 3], &[0, 1]).is_ok());
    }
    let mut graph = attention();
    graph.nodes[0].attributes.clear();
    let error = load(&write("no-heads", graph), RuntimeChoice::OnnxRuntime, 1).err().unwrap().to_string();
    assert!(error.contains("no heads"), "{error}");
}

const FLOATS_IN: usize = 300;
const FLOATS_OUT: usize = 500;

/// A graph of one layer in floats with a GELU.
fn floats() -> Graph {
    let dims = |last: Dim| [Dim::named("rows"), last];
    let node = Node::own(LINEAR, &["x", "w", "b"], &["y"]).with("activation", Value::Text("gelu".to_owned()));
    let numbers = |count: usize| (0..count).map(|at| (at * 29 % 255) as f32 / 2000.0 - 0.06);
    Graph {
        name: "floats".to_owned(),
        inputs: vec![ValueInfo::tensor("x", DataType::Float, &dims(Dim::named("width")))],
        outputs: vec![ValueInfo::tensor("y", DataType::Float, &dims(Dim::fixed(FLOATS_OUT as i64)))],
        nodes: vec![node],
        initializers: vec![
            Tensor::new("w", &[FLOATS_IN, FLOATS_OUT], numbers(FLOATS_IN * FLOATS_OUT)),
            Tensor::new("b", &[FLOATS_OUT], numbers(FLOATS_OUT)),
        ],
        ..Graph::default()
    }
}

fn products(model: &Model, rows: usize, width: usize) -> Result<Vec<f32>, String> {
    let x = Array2::from_shape_fn((rows, width), |(row, column)| ((row * 7 + column * 3) % 11) as f32 - 5.0);
    let outputs = model.run(vec![("x", (&x).into())]).map_err(|error| error.to_string())?;
    Ok(outputs.get::<f32>("y").unwrap().iter().copied().collect())
}

#[test]
fn threads_share_the_columns_of_floats_and_give_the_same() {
    let file = write("floats", floats());
    let [one, three] = [1, 3].map(|threads| load(&file, RuntimeChoice::OnnxRuntime, threads).unwrap());
    for rows in [0, 1, 2, 9, 130] {
        let (serial, parallel) = (products(&one, rows, FLOATS_IN), products(&three, rows, FLOATS_IN));
        assert_eq!(serial.as_ref().map(Vec::len), Ok(rows * FLOATS_OUT));
        assert_eq!(serial, parallel, "{rows} rows");
    }
    let error = products(&one, 2, FLOATS_IN - 1).unwrap_err();
    assert!(error.contains("not of 300 numbers"), "{error}");
    assert!(products(&one, 2, FLOATS_IN).is_ok(), "and goes on");
}

#[test]
fn layers_in_floats_that_do_not_fit_are_refused() {
    let cases: [Hostile; 3] = [
        ("flat", |graph| graph.initializers[0] = Tensor::new("w", &[3], [0.5_f32; 3]), "no matrix"),
        (
            "short",
            |graph| graph.initializers[1] = Tensor::new("b", &[2], [0.5_f32; 2]),
            "2 numbers of the bias",
        ),
        (
            "tanh",
            |graph| graph.nodes[0].attributes[0].s = Some("tanh".into()),
            "there is no activation \"tanh\"",
        ),
    ];
    for (name, change, reason) in cases {
        let mut graph = floats();
        change(&mut graph);
        let error = load(&write(name, graph), RuntimeChoice::OnnxRuntime, 1).err().unwrap().to_string();
        assert!(error.contains(reason), "{name}: {error}");
    }
}

#[test]
fn a_matrix_of_floats_may_lie_the_other_way() {
    let mut turned = floats();
    let weights = turned.initializers[0].floats().unwrap().into_owned();
    let numbers: Vec<f32> = weights.reversed_axes().iter().copied().collect();
    turned.initializers[0] = Tensor::new("w", &[FLOATS_OUT, FLOATS_IN], numbers);
    turned.nodes[0].attributes.push(Attribute::new("transposed", Value::Int(1)));
    let [plain, turned] = [("plain", floats()), ("turned", turned)]
        .map(|(name, graph)| load(&write(name, graph), RuntimeChoice::OnnxRuntime, 1).unwrap());
    assert_eq!(products(&turned, 3, FLOATS_IN), products(&plain, 3, FLOATS_IN));
    assert!(products(&plain, 3, FLOATS_IN).is_ok());
}
