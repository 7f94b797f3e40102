//! Linear layers in int8: a node's constants become a packed layer, and its rows are computed by all threads of the session.

use std::hash::Hasher;
use std::sync::Arc;

use ml_kernels::{Activation, Int8Linear, Parts};
use ml_onnx::operators::INT8_LINEAR;
use ort::Error;
use ort::operator::{ComputeContext, Kernel, KernelContext, Operator, OperatorInput, OperatorOutput};
use ort::value::{DynTensorValueType, TensorElementType, ValueRefMut};
use twox_hash::XxHash3_64;
use zerocopy::IntoBytes;

use super::{Constant, Shared, activation, each_share, leading, numbers, refused, unsigned};

/// The fewest rows that are worth a thread.
const ROWS_MIN: usize = 4;

/// The inputs that may be left out.
const OPTIONAL: std::ops::Range<usize> = 3..6;

/// [`INT8_LINEAR`], for sessions of so many threads.
pub struct Int8 {
    pub threads: usize,
    pub packed: Shared<Int8Linear>,
}

/// A node of it.
pub struct Node {
    layer: Arc<Int8Linear>,
    threads: usize,
    /// Of the inputs that may be left out, whether they were there to be packed.
    packed: Vec<bool>,
}

impl Operator for Int8 {
    type Kernel<'attr> = Node;

    fn name(&self) -> &str {
        INT8_LINEAR
    }

    fn inputs(&self) -> impl IntoIterator<Item = OperatorInput> {
        use TensorElementType::{Float32, Int8, Int64};
        [
            OperatorInput::required(Float32),
            OperatorInput::required(Int8),
            OperatorInput::required(Float32),
            OperatorInput::optional(Float32),
            OperatorInput::optional(Int64),
            OperatorInput::optional(Float32),
        ]
    }

    fn outputs(&self) -> impl IntoIterator<Item = OperatorOutput> {
        [OperatorOutput::variadic(1).homogenous(TensorElementType::Float32)]
    }

    fn create_kernel<'attr>(&self, node: &KernelContext<'attr>) -> ort::Result<Node> {
        let constant = |at: usize| node.constant_input::<DynTensorValueType>(at);
        let (weights, scales) = (constant(1)?, constant(2)?);
        let optional: Vec<Option<Constant<'_>>> = OPTIONAL.map(|at| constant(at).ok()).collect();
        let [bias, outliers, outlier_weights] = optional.as_slice() else {
            return Err(Error::new("it takes six inputs"));
        };
        let [rows, _] = **weights.shape() else { return Err(Error::new("the weights are no matrix")) };
        let widths: Vec<i64> = node.get("widths").ok_or_else(|| Error::new("it has no widths"))?;
        let parts = Parts {
            width_in: unsigned(&[rows])?[0],
            widths_out: &unsigned(&widths)?,
            weights: weights.try_extract_tensor()?.1,
            scales: scales.try_extract_tensor()?.1,
            bias: numbers(bias.as_ref())?,
            outliers: &unsigned(numbers(outliers.as_ref())?)?,
            outlier_weights: numbers(outlier_weights.as_ref())?,
            activation: activation(node)?,
        };
        let layer = self.packed.get(content(&parts), |arena| Int8Linear::new_in(&parts, arena))?;
        let packed = optional.iter().map(Option::is_some).collect();
        Ok(Node { layer, threads: self.threads, packed })
    }
}

impl Kernel for Node {
    fn compute(&mut self, context: &ComputeContext) -> ort::Result<()> {
        for (at, packed) in OPTIONAL.zip(&self.packed) {
            if !packed && context.input(at)?.is_some() {
                return Err(Error::new(format!("input {at} is no constant")));
            }
        }
        let rows = context.input(0)?.ok_or_else(|| Error::new("there are no rows"))?;
        let (shape, rows) = rows.try_extract_tensor::<f32>()?;
        let leading = leading(shape, self.layer.width_in())?;
        let widths = self.layer.widths_out();
        if context.num_outputs()? != widths.len() {
            return Err(Error::new(format!("there are not {} outputs", widths.len())));
        }
        let output = |(at, width): (usize, &usize)| {
            let shape: Vec<i64> = leading.iter().copied().chain([*width as i64]).collect();
            context.output(at, shape)?.ok_or_else(|| Error::new(format!("output {at} is left out")))
        };
        let mut outputs =
            widths.iter().enumerate().map(output).collect::<ort::Result<Vec<ValueRefMut<'_>>>>()?;
        let outputs = outputs.iter_mut().map(|output| Ok(output.try_extract_tensor_mut::<f32>()?.1));
        self.run(context, rows, outputs.collect::<ort::Result<_>>()?)
    }
}

/// Rows for a thread, and where their outputs go.
struct Share<'a> {
    rows: &'a [f32],
    outputs: Vec<&'a mut [f32]>,
}

impl Node {
    fn run(&self, context: &ComputeContext, rows: &[f32], mut outputs: Vec<&mut [f32]>) -> ort::Result<()> {
        let count = rows.len() / self.layer.width_in();
        let shares = self.threads.min(count / ROWS_MIN);
        if shares <= 1 {
            return self.layer.run(rows, &mut outputs).map_err(refused);
        }
        each_share(context, self.shares(count.div_ceil(shares), rows, outputs), |share| {
            self.layer.run(share.rows, &mut share.outputs)
        })
    }

    fn shares<'a>(&self, count: usize, rows: &'a [f32], outputs: Vec<&'a mut [f32]>) -> Vec<Share<'a>> {
        let widths = self.layer.widths_out();
        let parts = outputs.into_iter().zip(widths).map(|(output, width)| output.chunks_mut(count * width));
        let mut parts: Vec<_> = parts.collect();
        let rows = rows.chunks(count * self.layer.width_in());
        let share = |rows| Share { rows, outputs: parts.iter_mut().flat_map(Iterator::next).collect() };
        rows.map(share).collect()
    }
}

/// Returns what layers are known by: two of one model with the same parts are the same.
fn content(parts: &Parts<'_>) -> u64 {
    let Parts { width_in, widths_out, weights, scales, bias, outliers, outlier_weights, activation } = *parts;
    let mut hasher = XxHash3_64::new();
    let mut part = |bytes: &[u8]| {
        hasher.write_usize(bytes.len());
        hasher.write(bytes);
    };
    part(width_in.as_bytes());
    part(widths_out.as_bytes());
    part(weights.as_bytes());
    part(scales.as_bytes());
    part(bias.as_bytes());
    part(outliers.as_bytes());
    part(outlier_weights.as_bytes());
    part(&[u8::from(activation == Activation::Gelu)]);
    hasher.finish()
}
