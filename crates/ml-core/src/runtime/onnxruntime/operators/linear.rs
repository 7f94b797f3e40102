//! Linear layers in floats: a node's constants become a packed layer, and the columns of its output are computed by all threads
//! of the session.

use std::hash::Hasher;
use std::sync::Arc;

use ml_kernels::{Activation, FloatLinear, FloatParts};
use ml_onnx::operators::LINEAR;
use ort::Error;
use ort::operator::{ComputeContext, Kernel, KernelContext, Operator, OperatorInput, OperatorOutput};
use ort::value::{DynTensorValueType, TensorElementType};
use twox_hash::XxHash3_64;
use zerocopy::IntoBytes;

use super::{Shared, activation, each_share, leading, numbers, refused, unsigned};

/// The fewest products that are worth a thread.
const PRODUCTS_MIN: usize = 1 << 16;

/// The place of the bias.
const BIAS: usize = 2;

/// [`LINEAR`], for sessions of so many threads.
pub struct Linear {
    pub threads: usize,
    pub packed: Shared<FloatLinear>,
}

/// A node of it.
pub struct Node {
    layer: Arc<FloatLinear>,
    threads: usize,
    has_bias: bool,
}

impl Operator for Linear {
    type Kernel<'attr> = Node;

    fn name(&self) -> &str {
        LINEAR
    }

    fn inputs(&self) -> impl IntoIterator<Item = OperatorInput> {
        let float = TensorElementType::Float32;
        [OperatorInput::required(float), OperatorInput::required(float), OperatorInput::optional(float)]
    }

    fn outputs(&self) -> impl IntoIterator<Item = OperatorOutput> {
        [OperatorOutput::required(TensorElementType::Float32)]
    }

    fn create_kernel<'attr>(&self, node: &KernelContext<'attr>) -> ort::Result<Node> {
        let weights = node.constant_input::<DynTensorValueType>(1)?;
        let bias = node.constant_input::<DynTensorValueType>(BIAS).ok();
        let [rows, columns] = unsigned(weights.shape())?[..] else {
            return Err(Error::new("the weights are no matrix"));
        };
        let transposed = node.get::<i64>("transposed").is_some_and(|flag| flag != 0);
        let (width_in, width_out) = if transposed { (columns, rows) } else { (rows, columns) };
        let parts = FloatParts {
            width_in,
            width_out,
            weights: weights.try_extract_tensor()?.1,
            transposed,
            bias: numbers(bias.as_ref())?,
            activation: activation(node)?,
        };
        let layer = self.packed.get(content(&parts), |arena| FloatLinear::new_in(&parts, arena))?;
        Ok(Node { layer, threads: self.threads, has_bias: bias.is_some() })
    }
}

impl Kernel for Node {
    fn compute(&mut self, context: &ComputeContext) -> ort::Result<()> {
        if !self.has_bias && context.input(BIAS)?.is_some() {
            return Err(Error::new("the bias is no constant"));
        }
        let rows = context.input(0)?.ok_or_else(|| Error::new("there are no rows"))?;
        let (shape, rows) = rows.try_extract_tensor::<f32>()?;
        let width_out = self.layer.width_out();
        let leading = leading(shape, self.layer.width_in())?;
        let shape: Vec<i64> = leading.iter().copied().chain([width_out as i64]).collect();
        let output = context.output(0, shape)?;
        let mut output = output.ok_or_else(|| Error::new("the output is left out"))?;
        let (_, output) = output.try_extract_tensor_mut()?;
        let worth = rows.len().saturating_mul(width_out) / PRODUCTS_MIN;
        let mut shares = self.layer.split(output, self.threads.min(worth));
        match &mut shares[..] {
            [whole] => self.layer.run(rows, whole).map_err(refused),
            _ => each_share(context, shares, |columns| self.layer.run(rows, columns)),
        }
    }
}

/// Returns what layers are known by: two of one model with the same parts are the same.
fn content(parts: &FloatParts<'_>) -> u64 {
    let FloatParts { width_in, width_out, weights, transposed, bias, activation } = *parts;
    let mut hasher = XxHash3_64::new();
    let flags = [transposed, activation == Activation::Gelu].map(usize::from);
    hasher.write([width_in, width_out, bias.len(), flags[0], flags[1]].as_bytes());
    hasher.write(weights.as_bytes());
    hasher.write(bias.as_bytes());
    hasher.finish()
}
