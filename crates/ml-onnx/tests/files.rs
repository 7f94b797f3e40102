//! Files: what is read is written back, and what is broken is refused.
#![allow(clippy::unwrap_used, reason = "clippy takes the helpers of a test file for no tests")]

use std::path::{Path, PathBuf};

use bytes::Bytes;
use ml_onnx::{Model, WriteOptions};
use proptest::prelude::*;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Files that the repository carries.
fn models() -> Vec<PathBuf> {
    let names = ["tests/data/tiny-sentiment/model.onnx", "tests/data/tiny-sentiment/packed.onnx"];
    let mut models: Vec<_> = names.iter().map(|name| repository().join(name)).collect();
    for folder in std::fs::read_dir(repository().join("examples/models")).unwrap() {
        let folder = folder.unwrap().path();
        let files = if folder.is_dir() { std::fs::read_dir(folder).unwrap().collect() } else { Vec::new() };
        models.extend(
            files
                .into_iter()
                .map(|file| file.unwrap().path())
                .filter(|file| file.extension().is_some_and(|end| end == "onnx")),
        );
    }
    models
}

fn scratch(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

#[test]
fn what_is_read_is_written_back_byte_for_byte() {
    let folder = scratch("files");
    for path in models() {
        let model = Model::read(&path).unwrap();
        model.check().unwrap();
        let copy = folder.join("copy.onnx");
        model.write(&copy, WriteOptions::default()).unwrap();
        assert!(std::fs::read(&path).unwrap() == std::fs::read(&copy).unwrap(), "{}", path.display());
    }
}

#[test]
fn fields_that_are_not_known_are_kept_in_their_places() {
    // Model: ir_version 8, producer "me" (2), a field 99 of the future with 4 bytes, one with 8, a message; graph last.
    let bytes = [
        &[0x08, 8][..],
        &[0x12, 2, b'm', b'e'],
        // Graph: a name, and a doc_string (10).
        &[0x3a, 7, 0x12, 1, b'g', 0x52, 2, b'h', b'i'],
        &[0x9d, 6, 1, 2, 3, 4],
        &[0xa1, 6, 1, 2, 3, 4, 5, 6, 7, 8],
        &[0xaa, 6, 2, 0xff, 0xfe],
    ]
    .concat();
    let model = Model::from_bytes(Bytes::from(bytes.clone())).unwrap();
    let copy = scratch("unknown").join("copy.onnx");
    model.write(&copy, WriteOptions::default()).unwrap();
    assert_eq!(std::fs::read(copy).unwrap(), bytes);
}

#[test]
fn weights_go_into_a_file_of_their_own_and_come_back() {
    let folder = scratch("outside");
    let path = repository().join("tests/data/tiny-sentiment/model.onnx");
    let model = Model::read(&path).unwrap();
    let outside = folder.join("outside.onnx");
    model.write(&outside, WriteOptions { inline_bytes_max: 10_000 }).unwrap();
    let graph = Model::read_graph(&outside).unwrap().graph.unwrap();
    assert!(graph.initializers.iter().any(|tensor| tensor.is_outside()));
    assert!(std::fs::metadata(&outside).unwrap().len() < std::fs::metadata(&path).unwrap().len() / 2);
    assert!(Model::read(&outside).unwrap() == model);
}

#[test]
fn files_outside_of_the_models_folder_are_refused() {
    let folder = scratch("escape");
    let model = Model::read(&repository().join("tests/data/tiny-sentiment/model.onnx")).unwrap();
    let path = folder.join("model.onnx");
    model.write(&path, WriteOptions { inline_bytes_max: 10_000 }).unwrap();
    for (location, reason) in [
        ("../model.onnx.data", "not in the folder of the model"),
        ("/etc/passwd", "not in the folder of the model"),
        ("", "not in the folder of the model"),
        ("none.data", "No such file"),
        ("model.onnx", "are not within model.onnx"),
    ] {
        let mut changed = Model::read_graph(&path).unwrap();
        let tensors =
            changed.graph.as_mut().unwrap().initializers.iter_mut().filter(|tensor| tensor.is_outside());
        for tensor in tensors {
            tensor.external_data[0].value = Some(location.to_owned());
        }
        let broken = folder.join("broken.onnx");
        changed.write(&broken, WriteOptions::default()).unwrap();
        let error = Model::read(&broken).unwrap_err().to_string();
        assert!(error.contains("broken.onnx: tensor ") && error.contains(reason), "{location}: {error}");
    }
}

#[test]
fn broken_files_are_refused_with_the_reason() {
    let nested = (0..200).fold(Vec::new(), |inner: Vec<u8>, _| {
        // A node (1) of a graph has an attribute (5), which has a graph (6).
        let wrap = |tag: u8, body: Vec<u8>| {
            let (low, high) = (body.len() as u8 & 0x7f | 0x80, (body.len() >> 7) as u8);
            [vec![tag, low, high], body].concat()
        };
        wrap(0x0a, wrap(0x2a, wrap(0x32, inner)))
    });
    let nested = [vec![0x3a, nested.len() as u8 & 0x7f | 0x80, (nested.len() >> 7) as u8], nested].concat();
    let cases: [(&[u8], &str); 6] = [
        (&[0x3a, 5, 0x12, 1], "field 7 ends 3 bytes after its message"),
        (&[0x3a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], "a number at byte 1"),
        (&[0x38, 1], "field 7 of ModelProto has the wire type 0"),
        (&[0x3b], "field 7 of ModelProto has the wire type 3"),
        (&[0x3a, 3, 0x12, 1, 0xff], "field 2 of GraphProto is not UTF-8"),
        (&nested, "messages are nested deeper than 100"),
    ];
    for (bytes, reason) in cases {
        let error = Model::from_bytes(Bytes::copy_from_slice(bytes)).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}, not {reason}");
    }
}

#[test]
fn broken_rules_are_refused_with_their_place() {
    let model = Model::read(&repository().join("tests/data/tiny-sentiment/model.onnx")).unwrap();
    type Break = fn(&mut Model);
    let cases: [(Break, &str); 7] = [
        (|model| model.graph = None, "the model: it has no graph"),
        (
            |model| model.opset_imports.clear(),
            "mask.1 (Unsqueeze): no version is given for the operators of \"\"",
        ),
        (|model| graph(model).nodes.swap(0, 1), "mask.2 (Unsqueeze): its input mask.1 is not made before it"),
        (
            |model| graph(model).nodes[1].outputs[0] = "mask.1".to_owned(),
            "mask.2 (Unsqueeze): mask.1 is made twice",
        ),
        (|model| graph(model).outputs[0].name = "none".to_owned(), "none: nothing makes this output"),
        (|model| graph(model).initializers[0].dims.push(2), "elements, it has"),
        (
            |model| graph(model).initializers[0].dims = vec![i64::MAX, 8],
            "its sizes are [9223372036854775807, 8]",
        ),
    ];
    for (break_it, reason) in cases {
        let mut broken = model.clone();
        break_it(&mut broken);
        let error = broken.check().unwrap_err().to_string();
        assert!(error.contains(reason), "{error}, not {reason}");
    }
}

fn graph(model: &mut Model) -> &mut ml_onnx::Graph {
    model.graph.as_mut().unwrap()
}

proptest! {
    /// Real files with bytes changed, cut or doubled: read and checked or refused, but nothing else.
    #[test]
    fn damaged_files_do_no_harm(
        which in 0_usize..8,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..12),
        cut in prop::option::of(any::<prop::sample::Index>()),
        doubled in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let models = models();
        let mut bytes = std::fs::read(&models[which % models.len()]).unwrap();
        // Most bytes are weights; half of the changes hit the first kilobytes, where the nodes are.
        for (number, (at, byte)) in changes.iter().enumerate() {
            let within = if number % 2 == 0 { bytes.len().min(8192) } else { bytes.len() };
            bytes[at.index(within)] = *byte;
        }
        if let Some(at) = cut {
            bytes.truncate(at.index(bytes.len()));
        }
        if let Some(at) = doubled && !bytes.is_empty() {
            let tail = bytes[at.index(bytes.len())..].to_vec();
            bytes.extend(tail);
        }
        if let Ok(model) = Model::from_bytes(Bytes::from(bytes)) {
            let _ = model.check();
            let _ = model.bytes();
            for tensor in model.graph.iter().flat_map(|graph| &graph.initializers) {
                let _ = (tensor.floats(), tensor.integers(), tensor.external());
            }
        }
    }

    #[test]
    fn noise_does_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(model) = Model::from_bytes(Bytes::from(bytes)) {
            let _ = model.check();
        }
    }
}
