//! What the mixed forms of int8 share: the integer product, and the outliers' product in floats.

use ndarray::Axis;

use super::int8_dynamic::matrix_of;
use super::quantize::Quantized;
use super::{Pass, PassError};
use crate::edit::Rewrite;
use crate::linear::Linear;
use crate::proto::Value;
use crate::{Graph, Node, Tensor};

pub(super) fn layer_error(pass: &dyn Pass, graph: &Graph, layer: &Linear, reason: String) -> PassError {
    PassError::new(pass, graph.nodes[layer.product].label(), reason)
}

/// Returns the name of the product of an input in integers with a layer's matrix in integers, and the nodes that make it.
pub(super) fn quantized_product(
    graph: &Graph,
    layer: &Linear,
    [integers, scale, zero]: [&str; 3],
    outliers: &[usize],
    rewrite: &mut Rewrite,
) -> Result<(String, Vec<Node>), String> {
    let mut matrix = matrix_of(graph, &layer.weight)?;
    outliers.iter().for_each(|&row| matrix.row_mut(row).fill(0.0));
    let weight = &layer.weight;
    let Quantized { integers: weights, scales } = Quantized::columns(&matrix);
    let weights = rewrite.constant(Tensor::of_array(&format!("{weight}.int8"), &weights));
    let scales = rewrite.constant(Tensor::of_array(&format!("{weight}.scales"), &scales));
    let zeros = rewrite.constant(Tensor::new("int8.zeros", &[layer.width_out], vec![0_i8; layer.width_out]));
    // Each product has its own nodes back to floats: that is the form that runtimes fuse.
    let name = &graph.nodes[layer.product].outputs[0];
    let [left, right, product] = ["input", "matrix", "integers"].map(|part| rewrite.fresh(&format!("{name}.{part}")));
    let nodes = vec![
        Node::new("DequantizeLinear", &[integers, scale, zero], &left),
        Node::new("DequantizeLinear", &[&weights, &scales, &zeros], &right).with("axis", Value::Int(1)),
        Node::new("MatMul", &[&left, &right], &product),
    ];
    Ok((product, nodes))
}

/// The columns of an input that stay in floats.
pub(super) enum Outliers {
    None,
    /// A matrix of these columns, and the shape that its product gets, where the input is no matrix.
    Some { columns: Vec<usize>, matrix: String, leading: Option<String> },
}

impl Outliers {
    /// Takes the columns out of an input.
    pub(super) fn gather(
        input: &str,
        rank: Option<usize>,
        columns: &[usize],
        rewrite: &mut Rewrite,
        nodes: &mut Vec<Node>,
    ) -> Result<Self, String> {
        if columns.is_empty() {
            return Ok(Self::None);
        }
        let rank = rank.ok_or_else(|| format!("the number of sizes of {input} is not known"))?;
        let places = columns.iter().map(|&column| column as i64);
        let places = rewrite.constant(Tensor::new(&format!("{input}.outliers"), &[columns.len()], places));
        let mut named = |part: &str| rewrite.fresh(&format!("{input}.{part}"));
        let [gathered, flat, shape, leading] =
            ["gathered", "gathered.flat", "shape", "shape.leading"].map(&mut named);
        nodes.push(Node::new("Gather", &[input, &places], &gathered).with("axis", Value::Int(-1)));
        let columns = columns.to_vec();
        if rank == 2 {
            return Ok(Self::Some { columns, matrix: gathered, leading: None });
        }
        // Gemm adds the bias on its way, but takes matrices only.
        let rows = rewrite.constant(Tensor::new("outliers.rows", &[2], [-1, columns.len() as i64]));
        nodes.push(Node::new("Reshape", &[&gathered, &rows], &flat));
        nodes.push(Node::new("Shape", &[input], &shape));
        let ends = [("outliers.start", 0_i64), ("outliers.end", -1)];
        let [start, end] = ends.map(|(name, at)| rewrite.constant(Tensor::new(name, &[1], [at])));
        nodes.push(Node::new("Slice", &[&shape, &start, &end], &leading));
        Ok(Self::Some { columns, matrix: flat, leading: Some(leading) })
    }

    /// Adds to a layer's product what the outliers and the bias add, and puts all nodes into their places.
    pub(super) fn add(
        &self,
        graph: &Graph,
        layer: &Linear,
        product: String,
        rewrite: &mut Rewrite,
        mut nodes: Vec<Node>,
    ) -> Result<(), String> {
        let bias = layer.bias.as_ref().map(|(_, bias)| bias.as_str());
        let added = match self {
            Self::None => bias.map(str::to_owned),
            Self::Some { columns, matrix, leading } => {
                let weights = matrix_of(graph, &layer.weight)?.select(Axis(0), columns);
                let weights = rewrite.constant(Tensor::of_array(&format!("{}.outliers", layer.weight), &weights));
                let [part, shape, shaped] = ["outliers", "outliers.shape", "outliers.shaped"]
                    .map(|part| rewrite.fresh(&format!("{}.{part}", layer.output)));
                let inputs: Vec<&str> = [matrix.as_str(), &weights].into_iter().chain(bias).collect();
                nodes.push(Node::new("Gemm", &inputs, &part));
                match leading {
                    None => Some(part),
                    Some(leading) => {
                        let width = Tensor::new("outliers.width", &[1], [layer.width_out as i64]);
                        let width = rewrite.constant(width);
                        nodes.push(Node::new("Concat", &[leading, &width], &shape).with("axis", Value::Int(0)));
                        nodes.push(Node::new("Reshape", &[&part, &shape], &shaped));
                        Some(shaped)
                    }
                }
            }
        };
        match added {
            Some(added) => nodes.push(Node::new("Add", &[&product, &added], &layer.output)),
            // The product was the layer's output.
            None => nodes.iter_mut().flat_map(|node| &mut node.outputs).filter(|name| **name == product).for_each(
                |name| name.clone_from(&layer.output),
            ),
        }
        // All of it can stand where the product stood, since a bias is a constant: layers that share an input then find
        // what the first of them has made of it.
        rewrite.replace(layer.product, nodes);
        if let Some((add, _)) = layer.bias {
            rewrite.replace(add, Vec::new());
        }
        Ok(())
    }
}
