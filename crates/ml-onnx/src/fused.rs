//! Linear layers in floats as one node each: an operator of our own ([`LINEAR`]) adds the bias and computes the GELU that follows
//! while the sums of the products are in registers.

use crate::edit::{Index, Rewrite};
use crate::gelu::gelu_of;
use crate::linear::is_bias;
use crate::operators::{self, LINEAR};
use crate::proto::Value;
use crate::{DataType, Graph, Model, Node};

/// Columns of a vector of the operator: a layer with fewer would compute more zeros than numbers.
const WIDTH_MIN: usize = 16;

/// Lets each linear layer of at least so many weights be one node of our own operators: `MatMul` or `Gemm` with a constant matrix of
/// floats, the constant that is added to it, and the GELU after that. Returns how many layers that are.
///
/// Such a model is for its runtime: no other knows the operator. Weights stay where they lie, and are not read.
pub fn fuse_linears(model: &mut Model, weights_min: usize) -> usize {
    let Some(graph) = &mut model.graph else { return 0 };
    let (layers, mut rewrite) = (layers(graph, weights_min), Rewrite::new(graph));
    let count = layers.len();
    for layer in &layers {
        layer.nodes.iter().for_each(|at| rewrite.replace(*at, Vec::new()));
        // Where the product stood, the input is there, and so is nothing that needs the output.
        rewrite.replace(layer.nodes[0], vec![layer.node()]);
    }
    if count > 0 {
        rewrite.finish(graph);
        operators::import(model);
    }
    count
}

/// Nodes that are a layer together.
struct Layer<'a> {
    /// Their indices, that of the product first.
    nodes: Vec<usize>,
    input: &'a str,
    weights: &'a str,
    transposed: bool,
    bias: Option<&'a str>,
    gelu: bool,
    output: String,
}

impl Layer<'_> {
    fn node(&self) -> Node {
        let inputs: Vec<&str> = [self.input, self.weights].into_iter().chain(self.bias).collect();
        let activation = if self.gelu { "gelu" } else { "none" };
        let node = Node::own(LINEAR, &inputs, &[&self.output]);
        let node = node.with("activation", Value::Text(activation.to_owned()));
        node.with("transposed", Value::Int(i64::from(self.transposed)))
    }
}

fn layers(graph: &Graph, weights_min: usize) -> Vec<Layer<'_>> {
    let index = Index::new(graph);
    let nodes = graph.nodes.iter().enumerate();
    nodes.filter_map(|(at, node)| layer(&index, at, node, weights_min)).collect()
}

fn layer<'a>(index: &Index<'a>, at: usize, node: &'a Node, weights_min: usize) -> Option<Layer<'a>> {
    let (input, weights) = (node.input(0)?, node.input(1)?);
    let matrix = index.constant(weights).filter(|tensor| tensor.element() == Some(DataType::Float))?;
    let transposed = node.is("Gemm") && node.int("transB", 0) != 0;
    let [rows, columns] = *matrix.sizes().ok()? else { return None };
    let (width_in, width_out) = if transposed { (columns, rows) } else { (rows, columns) };
    if width_out < WIDTH_MIN || width_in.checked_mul(width_out)? < weights_min {
        return None;
    }
    let is_bias = |name: &str| is_bias(index, name, width_out);
    let output = node.only_output()?.to_owned();
    let mut layer = Layer { nodes: vec![at], input, weights, transposed, bias: None, gelu: false, output };
    if node.is("Gemm") {
        if !is_plain(node) || node.input(2).is_some_and(|bias| !is_bias(bias)) {
            return None;
        }
        layer.bias = node.input(2);
    } else if !node.is("MatMul") {
        return None;
    } else if let Some((at, add)) = index.only_consumer(&layer.output) {
        let other = add.inputs.iter().map(String::as_str).find(|name| *name != layer.output);
        let with_gelu = add.is_of("com.microsoft", "BiasGelu");
        if let (Some(bias), Some(output)) = (other.filter(|name| is_bias(name)), add.only_output())
            && (add.is("Add") || with_gelu)
        {
            layer.nodes.push(at);
            (layer.bias, layer.gelu, layer.output) = (Some(bias), with_gelu, output.to_owned());
        }
    }
    if let Some(gelu) = gelu_of(index, &layer.output).filter(|_| !layer.gelu) {
        layer.nodes.extend(gelu.nodes);
        (layer.gelu, layer.output) = (true, gelu.output);
    }
    Some(layer)
}

/// Whether a `Gemm` is but a product of the rows as they lie there, and a sum.
fn is_plain(node: &Node) -> bool {
    let is_one = |name: &str| (node.float(name, 1.0) - 1.0).abs() < f32::EPSILON;
    node.int("transA", 0) == 0 && is_one("alpha") && is_one("beta")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Tensor;
    use crate::proto::{Dim, OperatorSet, ValueInfo};

    /// A graph of these nodes on matrices `w` of 8 × 16 and `t` of 16 × 8, and vectors `b` and `short` of 16 and one.
    fn model(nodes: Vec<Node>) -> Model {
        let zeros = |name: &str, dims: &[usize]| {
            Tensor::new(name, dims, std::iter::repeat_n(0.0_f32, dims.iter().product()))
        };
        let initializers =
            vec![zeros("w", &[8, 16]), zeros("t", &[16, 8]), zeros("b", &[16]), zeros("short", &[1])];
        let value = |name: &str, width| {
            ValueInfo::tensor(name, DataType::Float, &[Dim::named("n"), Dim::fixed(width)])
        };
        let graph = Graph {
            nodes,
            initializers,
            inputs: vec![value("x", 8)],
            outputs: vec![value("y", 16)],
            ..Graph::default()
        };
        let sets = [("", 20), ("com.microsoft", 1)].map(|(domain, version)| {
            let (domain, version) = (Some(domain.to_owned()), Some(version));
            OperatorSet { domain, version, ..OperatorSet::default() }
        });
        Model { graph: Some(graph), opset_imports: sets.to_vec(), ..Model::default() }
    }

    fn microsoft(op_type: &str, inputs: &[&str], output: &str) -> Node {
        Node { domain: "com.microsoft".to_owned(), ..Node::new(op_type, inputs, output) }
    }

    #[test]
    fn a_layer_in_each_of_its_forms_is_one_node() {
        let product = || Node::new("MatMul", &["x", "w"], "p");
        for (name, nodes, inputs, activation) in [
            ("product", vec![Node::new("MatMul", &["x", "w"], "y")], &["x", "w"][..], "none"),
            ("bias", vec![product(), Node::new("Add", &["b", "p"], "y")], &["x", "w", "b"], "none"),
            ("gemm", vec![Node::new("Gemm", &["x", "w", "b"], "y")], &["x", "w", "b"], "none"),
            (
                "turned gemm",
                vec![Node::new("Gemm", &["x", "t", "b"], "y").with("transB", Value::Int(1))],
                &["x", "t", "b"],
                "none",
            ),
            (
                "gelu",
                vec![product(), Node::new("Add", &["p", "b"], "s"), Node::new("Gelu", &["s"], "y")],
                &["x", "w", "b"],
                "gelu",
            ),
            (
                "as the runtime fuses it",
                vec![product(), microsoft("BiasGelu", &["p", "b"], "y")],
                &["x", "w", "b"],
                "gelu",
            ),
            (
                "as it fuses that of a Gemm",
                vec![Node::new("Gemm", &["x", "w", "b"], "s"), microsoft("Gelu", &["s"], "y")],
                &["x", "w", "b"],
                "gelu",
            ),
        ] {
            let mut model = model(nodes);
            assert_eq!(fuse_linears(&mut model, 128), 1, "{name}");
            model.check().unwrap();
            let graph = model.graph.unwrap();
            let [node] = &graph.nodes[..] else { panic!("{name}: {:?}", graph.nodes) };
            assert!(node.is_own(LINEAR), "{name}");
            assert_eq!(node.inputs, inputs, "{name}");
            assert_eq!(node.only_output(), Some("y"), "{name}");
            let said = node.attribute("activation").and_then(|it| it.s.as_deref());
            assert_eq!(said, Some(activation.as_bytes()), "{name}");
            assert_eq!(node.int("transposed", 0) == 1, name == "turned gemm", "{name}");
        }
    }

    #[test]
    fn what_is_more_or_less_than_a_layer_stays() {
        for (name, node) in [
            ("transposed rows", Node::new("Gemm", &["x", "w"], "y").with("transA", Value::Int(1))),
            ("a stretched product", Node::new("Gemm", &["x", "w"], "y").with("alpha", Value::Float(0.5))),
            ("a bias of one number", Node::new("Gemm", &["x", "w", "short"], "y")),
            ("no constant", Node::new("MatMul", &["x", "x"], "y")),
            ("another operator", Node::new("Conv", &["x", "w"], "y")),
        ] {
            assert_eq!(fuse_linears(&mut model(vec![node]), 0), 0, "{name}");
        }
        let product = Node::new("MatMul", &["x", "w"], "y");
        assert_eq!(fuse_linears(&mut model(vec![product.clone()]), 129), 0, "it has 128 weights");
        let mut shared = model(vec![product, Node::new("Add", &["y", "b"], "z")]);
        assert_eq!(fuse_linears(&mut shared, 0), 1);
        let nodes = shared.graph.unwrap().nodes;
        assert_eq!(nodes[0].inputs, ["x", "w"], "the product itself is asked for, so nothing is added to it");
    }
}
