//! Linear layers: a product with a constant matrix, and the constant that is added to it.

use ndarray::Array2;

use crate::edit::Index;
use crate::{DataType, Graph, Node, Tensor};

/// A linear layer of a graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Linear {
    /// The index of the node that multiplies.
    pub product: usize,
    /// The index of the node that adds the bias, and the bias, where it is added by a node of its own.
    pub bias: Option<(usize, String)>,
    /// What it takes: its last axis has `width_in` elements.
    pub input: String,
    /// The name of the matrix.
    pub weight: String,
    /// Elements of an input.
    pub width_in: usize,
    /// Elements of an output.
    pub width_out: usize,
    /// What comes out, the bias added.
    pub output: String,
}

impl Graph {
    /// Returns the linear layers of at least so many weights: `MatMul` with a constant matrix, in floats, and the `Add` of a
    /// constant after it.
    ///
    /// `Gemm` is not among them: exporters write it for small heads, which are not worth changing.
    pub fn linears(&self, weights_min: usize) -> Vec<Linear> {
        let index = Index::new(self);
        let nodes = self.nodes.iter().enumerate();
        let all = nodes.filter_map(|(at, node)| linear(&index, at, node));
        all.filter(|layer| layer.width_in * layer.width_out >= weights_min).collect()
    }
}

fn linear(index: &Index<'_>, at: usize, node: &Node) -> Option<Linear> {
    if !node.is("MatMul") {
        return None;
    }
    let (input, weight) = (node.input(0)?, node.input(1)?);
    let matrix = index.constant(weight).filter(|tensor| tensor.element() == Some(DataType::Float))?;
    let [width_in, width_out] = *matrix.sizes().ok()? else { return None };
    let product = node.only_output()?;
    let bias = bias(index, product, width_out);
    let output = bias.as_ref().map_or(product, |(add, _)| &index.node(*add).outputs[0]).to_owned();
    let (input, weight) = (input.to_owned(), weight.to_owned());
    Some(Linear { product: at, bias, input, weight, width_in, width_out, output })
}

fn bias(index: &Index<'_>, product: &str, width: usize) -> Option<(usize, String)> {
    let (at, add) = index.only_consumer(product).filter(|(_, node)| node.is("Add"))?;
    add.only_output()?;
    let other = if add.input(0) == Some(product) { add.input(1) } else { add.input(0) }?;
    is_bias(index, other, width).then(|| (at, other.to_owned()))
}

/// Whether a value is a constant that can be added to each output of a layer.
pub(crate) fn is_bias(index: &Index<'_>, name: &str, width: usize) -> bool {
    let fits = |tensor: &Tensor| tensor.dims == [width as i64] && tensor.element() == Some(DataType::Float);
    index.constant(name).is_some_and(fits)
}

/// Returns a constant matrix.
pub(crate) fn matrix(tensor: &Tensor) -> Result<Array2<f32>, String> {
    let array = tensor.floats().map_err(|error| format!("{}: {error}", tensor.name))?;
    array.into_dimensionality().map_err(|_| format!("{} is no matrix", tensor.name))
}
