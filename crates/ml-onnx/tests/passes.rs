//! Passes on a small encoder: what becomes of its nodes, and what they refuse. That answers stay what they were is tested
//! with a runtime, in `ml-bench`.
#![allow(clippy::unwrap_used, reason = "clippy takes the helpers of a test file for no tests")]

use std::collections::HashMap;
use std::path::Path;

use bytes::Bytes;
use ml_onnx::calibrate::Range;
use ml_onnx::passes::{
    Clean, Fold, Fp16, Fp16Form, Int8Dynamic, Int8Fused, Int8PerToken, Int8Static, Int8Tables, Packed,
    PackedAttention, WEIGHTS_MIN,
};
use ml_onnx::proto::{Attribute, Value, ValueInfo};
use ml_onnx::prune::Moments;
use ml_onnx::{DataType, Graph, Model, Node, Pass, Shapes, Tensor, operators};
use ndarray::{Array1, Array2};
use proptest::prelude::*;

fn encoder() -> Model {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/tiny-sentiment/model.onnx");
    Model::read(&path).unwrap()
}

fn graph(model: &Model) -> &Graph {
    model.graph.as_ref().unwrap()
}

fn count(model: &Model, op_type: &str) -> usize {
    graph(model).nodes.iter().filter(|node| node.is(op_type)).count()
}

/// A range for every layer's input, with two outliers where asked for.
fn ranges(model: &Model, outliers: &[usize]) -> HashMap<String, Range> {
    let layers = graph(model).linears(WEIGHTS_MIN);
    let range = || Range { low: -2.0, high: 3.0, outliers: outliers.to_vec() };
    layers.into_iter().map(|layer| (layer.input, range())).collect()
}

fn static_int8(model: &Model, outliers: &[usize]) -> Int8Static {
    Int8Static { ranges: ranges(model, outliers) }
}

fn outliers(model: &Model) -> HashMap<String, Vec<usize>> {
    ranges(model, &[3, 7]).into_iter().map(|(name, range)| (name, range.outliers)).collect()
}

fn per_token(model: &Model) -> Int8PerToken {
    Int8PerToken { outliers: outliers(model) }
}

fn fused(model: &Model) -> Int8Fused {
    Int8Fused { outliers: outliers(model) }
}

fn small_tables() -> Int8Tables {
    Int8Tables { numbers_min: 512 }
}

#[test]
fn no_two_nodes_have_one_name_and_nothing_that_callers_see_changes() {
    let model = encoder();
    let passes: [&dyn Pass; 9] = [
        &Clean,
        &Fold,
        &Int8Dynamic::default(),
        &static_int8(&model, &[3, 7]),
        &per_token(&model),
        &fused(&model),
        &small_tables(),
        &Fp16::new(Fp16Form::Compute),
        &Fp16::new(Fp16Form::Weights),
    ];
    for pass in passes {
        let rewritten = model.rewritten(&[pass]).unwrap();
        // ONNX Runtime refuses files where a name is there twice.
        let mut names: Vec<&str> = graph(&rewritten).nodes.iter().map(|node| node.name.as_str()).collect();
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all, "{}", pass.name());
        assert_eq!(graph(&rewritten).inputs, graph(&model).inputs, "{}", pass.name());
        assert_eq!(graph(&rewritten).outputs, graph(&model).outputs, "{}", pass.name());
        assert_eq!(rewritten.metadata, model.metadata, "{}", pass.name());
    }
}

#[test]
fn layers_that_share_an_input_and_what_follows_them_are_one_node_each() {
    let model = encoder();
    let rewritten = model.rewritten(&[&fused(&model), &Clean]).unwrap();
    let own: Vec<&Node> =
        graph(&rewritten).nodes.iter().filter(|node| node.is_own(operators::INT8_LINEAR)).collect();
    let shown = |node: &Node| {
        let activation = node.attribute("activation").unwrap().s.clone().unwrap();
        (node.outputs.len(), node.inputs.len(), String::from_utf8(activation.to_vec()).unwrap())
    };
    let layer = [(3, "none"), (1, "none"), (1, "gelu"), (1, "none")];
    let layer = layer.map(|(outputs, activation)| (outputs, 6, activation.to_owned()));
    assert_eq!(own.iter().map(|node| shown(node)).collect::<Vec<_>>(), [layer.clone(), layer].concat());
    assert_eq!((count(&rewritten, "Erf"), rewritten.opset(operators::DOMAIN)), (0, Some(operators::VERSION)));
    let output = &own[0].outputs[1];
    assert_eq!(Shapes::of(graph(&rewritten)).get(output), Shapes::of(graph(&model)).get(output));
    assert_eq!(graph(&rewritten).linears(WEIGHTS_MIN).len(), 0);
    let nothing = rewritten.rewritten(&[&Int8Fused::default()]).unwrap_err();
    assert!(nothing.to_string().contains("no MatMul with a constant matrix"), "{nothing}");
}

#[test]
fn packed_attention_is_one_node_and_nothing_pads() {
    let packed = encoder().rewritten(&[&Packed::default()]).unwrap();
    let rewritten = packed.rewritten(&[&PackedAttention::default()]).unwrap();
    let own: Vec<&Node> =
        graph(&rewritten).nodes.iter().filter(|node| node.is_own(operators::PACKED_ATTENTION)).collect();
    assert_eq!(own.len(), 2);
    assert_eq!((own[0].int("heads", 0), own[0].float("scale", 0.0)), (2, 0.25));
    assert_eq!(own[0].inputs[0], "encoder.layer.0.attention.self.query");
    assert_eq!(own[0].inputs[3], "position_ids");
    assert_eq!(count(&rewritten, "Softmax"), count(&packed, "Softmax") - 2);
    assert_eq!(graph(&rewritten).inputs, graph(&packed).inputs);
    let refused = encoder().rewritten(&[&PackedAttention::default()]).unwrap_err();
    assert!(refused.to_string().contains("no packed attention that is known"), "{refused}");
    // Scores that something else than the mask is added to are no attention that the operator computes.
    let mut other = packed;
    let graph_mut = other.graph.as_mut().unwrap();
    for node in graph_mut.nodes.iter_mut().filter(|node| node.is("Softmax")) {
        let scaled = node.inputs[0].replace("masked", "scaled");
        node.inputs[0] = scaled;
    }
    assert!(other.rewritten(&[&PackedAttention::default()]).is_err());
}

#[test]
fn a_gelu_whose_parts_others_take_stays() {
    let mut model = encoder();
    let graph_mut = model.graph.as_mut().unwrap();
    let erf = graph_mut.nodes.iter().position(|node| node.is("Erf")).unwrap();
    let value = graph_mut.nodes[erf].outputs[0].clone();
    graph_mut.outputs.push(ValueInfo::tensor(&value, DataType::Float, &[]));
    let rewritten = model.rewritten(&[&Int8Fused::default()]).unwrap();
    assert_eq!(count(&rewritten, "Erf"), 1);
}

#[test]
fn nodes_of_our_own_operators_are_checked() {
    let model = encoder();
    let rewritten = model.rewritten(&[&fused(&model)]).unwrap();
    let refused = |change: fn(&mut Node)| {
        let mut model = rewritten.clone();
        let nodes = &mut model.graph.as_mut().unwrap().nodes;
        change(nodes.iter_mut().find(|node| node.is_own(operators::INT8_LINEAR)).unwrap());
        model.check().unwrap_err().reason
    };
    assert_eq!(refused(|node| node.op_type = "Other".to_owned()), "there is no such operator in ml.rust");
    assert_eq!(refused(|node| node.attributes.clear()), "its widths [] are not those of 3 outputs");
    assert_eq!(
        refused(|node| node.inputs.truncate(2)),
        "it takes rows, weights and scales, and at most three more"
    );
    assert_eq!(refused(|node| drop(node.inputs.pop())), "columns of outliers and their weights go together");
    assert_eq!(
        refused(|node| node.attributes[0].ints[0] = -1),
        "its widths [-1, 32, 32] are not those of 3 outputs"
    );
}

#[test]
fn layers_and_their_widths_are_found() {
    let model = encoder();
    let layers = graph(&model).linears(WEIGHTS_MIN);
    assert_eq!(layers.len(), 12);
    assert!(layers.iter().all(|layer| (layer.width_in, layer.width_out) == (32, 32) && layer.bias.is_some()));
    assert_eq!(layers[0].output, "encoder.layer.0.attention.self.query");
    assert_eq!(graph(&model).linears(2000).len(), 0);
}

#[test]
fn sizes_of_the_caller_are_followed_by_name() {
    let model = encoder();
    let shapes = Shapes::of(graph(&model));
    let shown = |name: &str| format!("{:?}", shapes.get(name).unwrap()).replace("\"", "");
    let cases = [
        ("positions", "[Fixed(1), Named(sequence)]"),
        ("encoder.layer.1.output.LayerNorm.output", "[Named(batch), Named(sequence), Fixed(32)]"),
        ("encoder.layer.0.attention.self.key.heads", "[Named(batch), Fixed(2), Fixed(16), Named(sequence)]"),
        (
            "encoder.layer.0.attention.self.shares",
            "[Named(batch), Fixed(2), Named(sequence), Named(sequence)]",
        ),
        ("encoder.layer.0.attention.self.context", "[Named(batch), Named(sequence), Fixed(32)]"),
        ("pool.mask_float", "[Named(batch), Named(sequence), Fixed(1)]"),
        ("probabilities", "[Named(batch), Fixed(2)]"),
    ];
    for (name, expected) in cases {
        assert_eq!(shown(name), expected, "{name}");
    }
}

#[test]
fn dynamic_int8_shares_what_layers_share() {
    let model = encoder().rewritten(&[&Int8Dynamic::default(), &Clean]).unwrap();
    // Queries, keys and values take the same input.
    assert_eq!((count(&model, "MatMulInteger"), count(&model, "DynamicQuantizeLinear")), (12, 8));
    assert!(graph(&model).linears(0).is_empty(), "no matrix is left in floats");
    let bytes: usize =
        graph(&model).initializers.iter().filter_map(|tensor| tensor.raw_data.as_ref()).map(Bytes::len).sum();
    assert!(bytes < 12 * 1200 + 112 * 32 * 4 + 66 * 32 * 4 + 4000, "{bytes}");
}

#[test]
fn static_int8_has_one_scale_an_input_and_adds_outliers_in_floats() {
    let plain = encoder().rewritten(&[&static_int8(&encoder(), &[]), &Clean]).unwrap();
    assert_eq!((count(&plain, "QuantizeLinear"), count(&plain, "DequantizeLinear")), (8, 24));
    assert_eq!(count(&plain, "Gemm"), 1, "the head's alone");
    let mixed = encoder().rewritten(&[&static_int8(&encoder(), &[3, 7]), &Clean]).unwrap();
    assert_eq!((count(&mixed, "QuantizeLinear"), count(&mixed, "Gemm")), (8, 1 + 12));
    let weights =
        graph(&mixed).initializers.iter().find(|tensor| tensor.name.contains("query.weight_transposed.int8"));
    let rows: Vec<&[u8]> = weights.unwrap().raw_data.as_ref().unwrap().chunks(32).collect();
    for (row, weights) in rows.iter().enumerate() {
        assert_eq!(weights.iter().all(|weight| *weight == 0), [3, 7].contains(&row), "row {row}");
    }
}

#[test]
fn tables_are_looked_up_in_int8() {
    let model = encoder().rewritten(&[&small_tables(), &Clean]).unwrap();
    let integers =
        graph(&model).initializers.iter().filter(|tensor| tensor.element() == Some(DataType::Int8));
    assert_eq!(integers.map(|tensor| tensor.dims.clone()).collect::<Vec<_>>(), [[112, 32], [64, 32]]);
}

#[test]
fn packed_batches_unpack_only_for_attention_and_pooling() {
    let model = encoder().rewritten(&[&Packed::default(), &Clean]).unwrap();
    let inputs: Vec<&str> = graph(&model).inputs.iter().map(|input| input.name.as_str()).collect();
    assert_eq!(inputs, ["input_ids", "attention_mask", "position_ids", "unpack", "pack"]);
    let gathers = |name: &str| {
        graph(&model).nodes.iter().filter(|node| node.is("Gather") && node.input(1) == Some(name)).count()
    };
    assert_eq!((gathers("unpack"), gathers("pack"), gathers("position_ids")), (2 * 3 + 1, 2, 1));
    let shapes = Shapes::of(graph(&model));
    let states = shapes.get("encoder.layer.1.output.LayerNorm.output").unwrap();
    assert_eq!(states.len(), 2, "{states:?}");
    let packed = model.rewritten(&[&static_int8(&model, &[1])]).unwrap();
    assert_eq!(count(&packed, "QuantizeLinear"), 8);
}

#[test]
fn half_precision_spares_what_does_not_fit() {
    let model = encoder().rewritten(&[&Fp16::new(Fp16Form::Compute), &Clean]).unwrap();
    let floats = graph(&model).initializers.iter().filter(|tensor| tensor.element() == Some(DataType::Float));
    let floats: Vec<&str> = floats.map(|tensor| tensor.name.as_str()).collect();
    // Half precision has no number between 0 and 6e-8.
    assert_eq!(floats, ["pool.least_count", "pool.least_norm"]);
    assert_eq!(graph(&model).outputs, graph(&encoder()).outputs);

    let stored = encoder().rewritten(&[&Fp16::new(Fp16Form::Weights), &Clean]).unwrap();
    assert!(stored.bytes() < encoder().bytes() * 65 / 100, "{} of {}", stored.bytes(), encoder().bytes());
    let mut large = encoder();
    let weight = &mut large.graph.as_mut().unwrap().initializers;
    let weight = weight.iter_mut().find(|tensor| tensor.name.ends_with("query.weight_transposed")).unwrap();
    *weight = Tensor::new(&weight.name, &[32, 32], vec![1e6_f32; 1024]);
    let name = weight.name.clone();
    let stored = large.rewritten(&[&Fp16::new(Fp16Form::Weights)]).unwrap();
    let kept = graph(&stored).initializers.iter().find(|tensor| tensor.name == name).unwrap();
    assert_eq!(kept.element(), Some(DataType::Float), "too large for 16 bits");
}

#[test]
fn folding_finds_matrices_behind_nodes() {
    let mut model = encoder();
    let graph = model.graph.as_mut().unwrap();
    let weight = graph.linears(0)[0].weight.clone();
    let tensor = graph.initializers.iter().position(|tensor| tensor.name == weight).unwrap();
    let tensor = graph.initializers.remove(tensor);
    let transposed: Array2<f32> = tensor.floats().unwrap().into_dimensionality().unwrap().reversed_axes();
    let constant = Node::new("Constant", &[], "stored")
        .with("value", Value::Tensor(Box::new(Tensor::of_array("", &transposed))));
    let same = Node::new("Identity", &["stored"], "same");
    let transpose = Node::new("Transpose", &["same"], &weight).with("perm", Value::Ints(vec![1, 0]));
    graph.nodes.splice(0..0, [constant, same, transpose]);
    assert_eq!(graph.linears(0).len(), 11);
    let folded = model.rewritten(&[&Fold]).unwrap();
    assert_eq!(self::graph(&folded).linears(0).len(), 12);
    let found = self::graph(&folded).initializers.iter().find(|tensor| tensor.name == weight).unwrap();
    assert_eq!(found.floats().unwrap(), tensor.floats().unwrap());
}

#[test]
fn dead_nodes_and_double_constants_are_removed() {
    let mut model = encoder();
    let graph = model.graph.as_mut().unwrap();
    let before = (graph.nodes.len(), graph.initializers.len());
    let half = graph.initializers.iter().find(|tensor| tensor.name == "half").unwrap().clone();
    graph.initializers.push(Tensor { name: "half.again".to_owned(), ..half });
    graph.initializers.push(Tensor::new("unused", &[1], [1.0_f32]));
    let node = graph.nodes.iter_mut().find(|node| node.name == "encoder.layer.1.gelu").unwrap();
    node.inputs[1] = "half.again".to_owned();
    graph.nodes.push(Node::new("Add", &["mask.1", "mask.1"], "dead"));
    let cleaned = model.rewritten(&[&Clean]).unwrap();
    // The mask is unsqueezed twice in the file, and "one" is there for two.
    assert_eq!((self::graph(&cleaned).nodes.len(), self::graph(&cleaned).initializers.len()), before);
}

#[test]
fn what_cannot_be_handled_is_named() {
    let old = |mut model: Model| {
        model.opset_imports[0].version = Some(9);
        model
    };
    let no_mask = |mut model: Model| {
        model.graph.as_mut().unwrap().inputs[1] = ValueInfo::tensor("attention_mask", DataType::Int64, &[]);
        model
    };
    let without_range = Int8Static::default();
    let cases: [(&dyn Pass, Model, &str); 5] = [
        (
            &Int8Dynamic::default(),
            old(encoder()),
            "int8-dynamic: the model: version 9 of ONNX's operators, at least 11 is needed",
        ),
        (
            &Int8Dynamic { weights_min: 1 << 20 },
            encoder(),
            "int8-dynamic: the graph: it has no MatMul with a constant matrix of floats",
        ),
        (
            &without_range,
            encoder(),
            "int8-static: encoder.layer.0.attention.self.query.product (MatMul): no range is known of embeddings.LayerNorm.output",
        ),
        (&Packed::default(), no_mask(encoder()), "packed: the graph: attention_mask is no matrix"),
        (
            &Packed { mask: "mask".to_owned(), ..Packed::default() },
            encoder(),
            "packed: the graph: it has no input mask",
        ),
    ];
    for (pass, model, reason) in cases {
        assert_eq!(model.rewritten(&[pass]).unwrap_err().to_string(), reason);
    }
}

#[test]
fn blocks_are_found_and_made_narrower() {
    let model = encoder();
    let blocks = graph(&model).blocks();
    let kinds: Vec<_> =
        blocks.iter().map(|block| (block.is_attention(), block.group, block.width())).collect();
    assert_eq!(kinds, [(true, 16, 32), (false, 1, 32), (true, 16, 32), (false, 1, 32)]);
    let mut pruned = model.clone();
    for (at, keep) in [(0, 16), (1, 8), (3, 24)] {
        let block = graph(&pruned).blocks()[at].clone();
        let mut moments = Moments::new(32, 32);
        let hidden =
            Array2::from_shape_fn((100, 32), |(row, column)| ((row * 31 + column * 17) % 23) as f32 - 11.0);
        let (weights, bias): (Array2<f32>, Array1<f32>) = block.weights(graph(&pruned)).unwrap();
        moments.add(hidden.view(), (hidden.dot(&weights) + &bias).view());
        let fitted = moments.fit(&weights, &bias, keep, block.group).unwrap();
        pruned.prune(&block, &fitted).unwrap();
    }
    pruned.check().unwrap();
    let widths: Vec<usize> = graph(&pruned).blocks().iter().map(ml_onnx::prune::Block::width).collect();
    assert_eq!(widths, [16, 8, 32, 24]);
    assert!(pruned.bytes() < model.bytes());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Encoders with names, operators, sizes and attributes mixed up: rewritten or refused, but nothing else.
    #[test]
    fn passes_do_not_panic_on_other_graphs(changes in prop::collection::vec((any::<prop::sample::Index>(), 0_u8..9, any::<prop::sample::Index>()), 1..6)) {
        let mut model = encoder();
        for (at, change, other) in changes {
            mix_up(model.graph.as_mut().unwrap(), at, change, other);
        }
        let passes: [&dyn Pass; 11] = [
            &Clean, &Fold, &Int8Dynamic::default(), &static_int8(&model, &[3, 7]), &per_token(&model), &fused(&model), &small_tables(),
            &Packed::default(), &PackedAttention::default(), &Fp16::new(Fp16Form::Compute), &Fp16::new(Fp16Form::Weights),
        ];
        for pass in passes {
            let _ = model.rewritten(&[pass]);
            let _ = model.rewritten(&[&Packed::default(), pass]);
        }
        let _ = (graph(&model).blocks(), Shapes::of(graph(&model)));
    }
}

fn mix_up(graph: &mut Graph, at: prop::sample::Index, change: u8, other: prop::sample::Index) {
    let length = graph.nodes.len();
    if length == 0 || graph.initializers.is_empty() {
        return;
    }
    let from = graph.nodes[other.index(length)].clone();
    let constant = other.index(graph.initializers.len());
    let constant_name = graph.initializers[constant].name.clone();
    let node = &mut graph.nodes[at.index(length)];
    match change {
        0 => node.op_type = from.op_type,
        1 => node.inputs = from.inputs,
        2 => drop(node.inputs.pop()),
        3 => node.inputs.insert(0, constant_name),
        4 => {
            node.attributes = vec![
                Attribute::new("axis", Value::Int(i64::MIN)),
                Attribute::new("axes", Value::Ints(vec![9, -9])),
            ];
        }
        5 => drop(node.outputs.pop()),
        6 => graph.initializers[constant].dims = vec![2, 3],
        7 => graph.initializers[constant] = Tensor::new(&constant_name, &[2], [i64::MAX, i64::MIN]),
        _ => drop(graph.nodes.remove(at.index(length))),
    }
}
