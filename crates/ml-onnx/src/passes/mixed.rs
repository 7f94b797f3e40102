//! What the mixed forms of int8 share: the integer product, and the outliers' product in floats.

use std::collections::HashMap;

use ndarray::Axis;

use super::int8_dynamic::matrix_of;
use super::quantize::Quantized;
use super::{Pass, PassError, WEIGHTS_MIN};
use crate::edit::Rewrite;
use crate::linear::Linear;
use crate::proto::Value;
use crate::shapes::{Shapes, Size};
use crate::{Graph, Node, Tensor};

/// An input in integers: the names of the value, of its scale and of its zero, and of what the product is stretched by
/// where each row has its own.
#[derive(Clone)]
pub(super) struct Integers {
    pub(super) value: String,
    pub(super) scale: String,
    pub(super) zero: String,
    pub(super) stretch: Option<String>,
}

/// Layers being replaced.
pub(super) struct Mixed<'g> {
    pub(super) graph: &'g Graph,
    pub(super) rewrite: Rewrite,
    shapes: Shapes,
    inputs: HashMap<String, (Integers, Option<Outliers>)>,
    /// The names of vectors of sizes: all but the last, and with a last one.
    leading: Vec<(Vec<Size>, String)>,
    wide: HashMap<(String, usize), String>,
}

/// The columns of an input that stay in floats, as a matrix, and the sizes of its rows where the input is no matrix.
#[derive(Clone)]
struct Outliers {
    matrix: String,
    leading: Option<String>,
}

/// What is added to a product.
enum Added {
    /// A value that is computed.
    Value(String),
    /// The bias.
    Bias(String),
    /// Nothing.
    Nothing,
}

impl<'g> Mixed<'g> {
    pub(super) fn new(graph: &'g Graph) -> Self {
        let (rewrite, shapes) = (Rewrite::new(graph), Shapes::of(graph));
        Self { graph, rewrite, shapes, inputs: HashMap::new(), leading: Vec::new(), wide: HashMap::new() }
    }

    /// Replaces every layer. `quantize` says which columns of an input are outliers, and makes integers of it.
    pub(super) fn layers(
        &mut self,
        pass: &dyn Pass,
        quantize: impl Fn(&Linear, &[usize], &mut Rewrite, &mut Vec<Node>) -> Integers,
        outliers: impl Fn(&str) -> Result<Vec<usize>, String>,
    ) -> Result<(), PassError> {
        let layers = self.graph.linears(WEIGHTS_MIN);
        if layers.is_empty() {
            return Err(PassError::new(
                pass,
                "the graph",
                "it has no MatMul with a constant matrix of floats",
            ));
        }
        for layer in layers {
            let replaced = outliers(&layer.input).and_then(|columns| self.layer(&layer, &columns, &quantize));
            replaced
                .map_err(|reason| PassError::new(pass, self.graph.nodes[layer.product].label(), reason))?;
        }
        Ok(())
    }

    fn layer(
        &mut self,
        layer: &Linear,
        columns: &[usize],
        quantize: impl Fn(&Linear, &[usize], &mut Rewrite, &mut Vec<Node>) -> Integers,
    ) -> Result<(), String> {
        if let Some(column) = columns.iter().find(|column| **column >= layer.width_in) {
            return Err(format!("{} has no column {column}", layer.input));
        }
        let mut nodes = Vec::new();
        let (integers, outliers) = match self.inputs.get(&layer.input) {
            Some(known) => known.clone(),
            None => {
                let integers = quantize(layer, columns, &mut self.rewrite, &mut nodes);
                let outliers = (!columns.is_empty())
                    .then(|| self.outliers(&layer.input, columns, &mut nodes))
                    .transpose()?;
                self.inputs.insert(layer.input.clone(), (integers.clone(), outliers.clone()));
                (integers, outliers)
            }
        };
        let mut product = self.product(layer, &integers, columns, &mut nodes)?;
        if let Some(stretch) = &integers.stretch {
            let stretched = self.rewrite.fresh(&format!("{product}.stretched"));
            nodes.push(Node::new("Mul", &[&product, stretch], &stretched));
            product = stretched;
        }
        let bias = layer.bias.as_ref().map(|(_, bias)| bias.clone());
        let added = match (outliers, bias) {
            (Some(outliers), bias) => {
                Added::Value(self.outliers_product(layer, &outliers, columns, bias, &mut nodes)?)
            }
            (None, Some(bias)) => Added::Bias(bias),
            (None, None) => Added::Nothing,
        };
        match added {
            Added::Value(value) => nodes.push(Node::new("Add", &[&product, &value], &layer.output)),
            Added::Bias(bias) if self.shapes.get(&layer.input).is_some_and(|shape| shape.len() == 2) => {
                // The product of matrices and the Add of a constant ONNX Runtime would join to a Gemm, which it then
                // computes in floats. The difference to the negated bias is the same to the bit.
                let negated = negated(self.graph, &bias)?;
                let negated = self.rewrite.constant(negated);
                nodes.push(Node::new("Sub", &[&product, &negated], &layer.output));
            }
            Added::Bias(bias) => nodes.push(Node::new("Add", &[&product, &bias], &layer.output)),
            Added::Nothing => {
                nodes.last_mut().into_iter().for_each(|node| node.outputs[0].clone_from(&layer.output));
            }
        }
        // All of it can stand where the product stood, since a bias is a constant: layers that share an input then find
        // what the first of them has made of it.
        self.rewrite.replace(layer.product, nodes);
        if let Some((add, _)) = layer.bias {
            self.rewrite.replace(add, Vec::new());
        }
        Ok(())
    }

    /// The product of an input in integers with a layer's matrix in integers.
    fn product(
        &mut self,
        layer: &Linear,
        integers: &Integers,
        outliers: &[usize],
        nodes: &mut Vec<Node>,
    ) -> Result<String, String> {
        let mut matrix = matrix_of(self.graph, &layer.weight)?;
        outliers.iter().for_each(|&row| matrix.row_mut(row).fill(0.0));
        let weight = &layer.weight;
        let Quantized { integers: weights, scales } = Quantized::columns(&matrix);
        let rewrite = &mut self.rewrite;
        let weights = rewrite.constant(Tensor::of_array(&format!("{weight}.int8"), &weights));
        let scales = rewrite.constant(Tensor::of_array(&format!("{weight}.scales"), &scales));
        let zeros = vec![0_i8; layer.width_out];
        let zeros = rewrite.constant(Tensor::new("int8.zeros", &[layer.width_out], zeros));
        let name = &self.graph.nodes[layer.product].outputs[0];
        let parts = ["input", "matrix", "integers"];
        let [left, right, product] = parts.map(|part| rewrite.fresh(&format!("{name}.{part}")));
        // Each product has its own nodes back to floats: that is the form that runtimes fuse.
        let Integers { value, scale, zero, .. } = integers;
        nodes.push(Node::new("DequantizeLinear", &[value, scale, zero], &left));
        let right_node = Node::new("DequantizeLinear", &[&weights, &scales, &zeros], &right);
        nodes.push(right_node.with("axis", Value::Int(1)));
        nodes.push(Node::new("MatMul", &[&left, &right], &product));
        Ok(product)
    }

    /// Takes the outliers' columns out of an input.
    fn outliers(
        &mut self,
        input: &str,
        columns: &[usize],
        nodes: &mut Vec<Node>,
    ) -> Result<Outliers, String> {
        let shape =
            self.shapes.get(input).ok_or_else(|| format!("the number of sizes of {input} is not known"))?;
        let leading = shape[..shape.len().saturating_sub(1)].to_vec();
        let places = columns.iter().map(|&column| column as i64);
        let places = Tensor::new(&format!("{input}.outliers"), &[columns.len()], places);
        let places = self.rewrite.constant(places);
        let gathered = self.rewrite.fresh(&format!("{input}.gathered"));
        nodes.push(Node::new("Gather", &[input, &places], &gathered).with("axis", Value::Int(-1)));
        if leading.len() == 1 {
            return Ok(Outliers { matrix: gathered, leading: None });
        }
        // Gemm adds the bias on its way, but takes matrices only.
        let rows = self.rewrite.constant(Tensor::new("outliers.rows", &[2], [-1, columns.len() as i64]));
        let matrix = self.rewrite.fresh(&format!("{gathered}.flat"));
        nodes.push(Node::new("Reshape", &[&gathered, &rows], &matrix));
        let leading = Some(self.leading(input, leading, nodes));
        Ok(Outliers { matrix, leading })
    }

    /// Returns the vector of all sizes of an input but the last, which many inputs have in common.
    fn leading(&mut self, input: &str, sizes: Vec<Size>, nodes: &mut Vec<Node>) -> String {
        let same = |known: &[Size]| {
            known.len() == sizes.len() && known.iter().zip(&sizes).all(|(one, other)| one.equals(other))
        };
        if let Some((_, name)) = self.leading.iter().find(|(known, _)| same(known)) {
            return name.clone();
        }
        let [shape, leading] =
            ["shape", "shape.leading"].map(|part| self.rewrite.fresh(&format!("{input}.{part}")));
        let ends = [("outliers.start", 0_i64), ("outliers.end", -1)];
        let [start, end] = ends.map(|(name, at)| self.rewrite.constant(Tensor::new(name, &[1], [at])));
        nodes.push(Node::new("Shape", &[input], &shape));
        nodes.push(Node::new("Slice", &[&shape, &start, &end], &leading));
        self.leading.push((sizes, leading.clone()));
        leading
    }

    /// The product of the outliers in floats, the bias added.
    fn outliers_product(
        &mut self,
        layer: &Linear,
        outliers: &Outliers,
        columns: &[usize],
        bias: Option<String>,
        nodes: &mut Vec<Node>,
    ) -> Result<String, String> {
        let weights = matrix_of(self.graph, &layer.weight)?.select(Axis(0), columns);
        let weights = Tensor::of_array(&format!("{}.outliers", layer.weight), &weights);
        let weights = self.rewrite.constant(weights);
        let parts = ["outliers", "outliers.shaped"];
        let [part, shaped] = parts.map(|part| self.rewrite.fresh(&format!("{}.{part}", layer.output)));
        let inputs: Vec<&str> =
            [&outliers.matrix, &weights].into_iter().chain(&bias).map(String::as_str).collect();
        nodes.push(Node::new("Gemm", &inputs, &part));
        let Some(leading) = &outliers.leading else { return Ok(part) };
        let shape = self.wide(leading, layer.width_out, nodes);
        nodes.push(Node::new("Reshape", &[&part, &shape], &shaped));
        Ok(shaped)
    }

    fn wide(&mut self, leading: &str, width: usize, nodes: &mut Vec<Node>) -> String {
        if let Some(shape) = self.wide.get(&(leading.to_owned(), width)) {
            return shape.clone();
        }
        let last = self.rewrite.constant(Tensor::new("outliers.width", &[1], [width as i64]));
        let shape = self.rewrite.fresh(&format!("{leading}.{width}"));
        nodes.push(Node::new("Concat", &[leading, &last], &shape).with("axis", Value::Int(0)));
        self.wide.insert((leading.to_owned(), width), shape.clone());
        shape
    }
}

fn negated(graph: &Graph, name: &str) -> Result<Tensor, String> {
    let tensor = graph.initializers.iter().find(|tensor| tensor.name == name);
    let floats = tensor.ok_or_else(|| format!("there is no constant {name}"))?.floats();
    let floats = floats.map_err(|error| format!("{name}: {error}"))?;
    Ok(Tensor::of_array(&format!("{name}.negated"), &floats.mapv(|number| -number)))
}
