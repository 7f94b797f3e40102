//! Attention of packed texts: where each text begins is read from the tokens' positions, and texts are shared by the threads.

use ml_kernels::{Path, Tokens};
use ml_onnx::operators::PACKED_ATTENTION;
use ort::Error;
use ort::operator::{ComputeContext, Kernel, KernelContext, Operator, OperatorInput, OperatorOutput};
use ort::value::TensorElementType;

use super::{each_share, refused};

/// [`PACKED_ATTENTION`], for sessions of so many threads.
pub struct Attention {
    pub threads: usize,
}

/// A node of it.
pub struct Node {
    attention: ml_kernels::Attention,
    threads: usize,
}

impl Operator for Attention {
    type Kernel<'attr> = Node;

    fn name(&self) -> &str {
        PACKED_ATTENTION
    }

    fn inputs(&self) -> impl IntoIterator<Item = OperatorInput> {
        use TensorElementType::{Float32, Int64};
        [Float32, Float32, Float32, Int64].map(OperatorInput::required)
    }

    fn outputs(&self) -> impl IntoIterator<Item = OperatorOutput> {
        [OperatorOutput::required(TensorElementType::Float32)]
    }

    fn create_kernel<'attr>(&self, node: &KernelContext<'attr>) -> ort::Result<Node> {
        let heads = node.get::<i64>("heads").and_then(|heads| usize::try_from(heads).ok());
        let heads = heads.ok_or_else(|| Error::new("it has no heads"))?;
        let scale = node.get::<f32>("scale").ok_or_else(|| Error::new("it has no scale"))?;
        Ok(Node {
            attention: ml_kernels::Attention { heads, scale, path: Path::Fastest },
            threads: self.threads,
        })
    }
}

impl Kernel for Node {
    fn compute(&mut self, context: &ComputeContext) -> ort::Result<()> {
        let input =
            |at: usize| context.input(at)?.ok_or_else(|| Error::new(format!("input {at} is left out")));
        let (queries, keys, values, positions) = (input(0)?, input(1)?, input(2)?, input(3)?);
        let (shape, queries) = queries.try_extract_tensor::<f32>()?;
        let width = match **shape {
            [_, width] => usize::try_from(width).unwrap_or(0),
            _ => return Err(Error::new(format!("queries of the shape {shape:?} are no matrix"))),
        };
        let tokens = Tokens {
            queries,
            keys: keys.try_extract_tensor()?.1,
            values: values.try_extract_tensor()?.1,
            width,
        };
        let texts = lengths(positions.try_extract_tensor()?.1)?;
        let output = context.output(0, shape.to_vec())?;
        let mut output = output.ok_or_else(|| Error::new("the output is left out"))?;
        self.run(context, &texts, &tokens, output.try_extract_tensor_mut()?.1)
    }
}

/// Texts for a thread, and where their outputs go.
struct Share<'a> {
    texts: &'a [usize],
    tokens: Tokens<'a>,
    output: &'a mut [f32],
}

impl Node {
    fn run(
        &self,
        context: &ComputeContext,
        texts: &[usize],
        tokens: &Tokens<'_>,
        output: &mut [f32],
    ) -> ort::Result<()> {
        let (count, numbers) = (texts.iter().sum::<usize>(), output.len());
        let fits = [tokens.queries, tokens.keys, tokens.values].iter().all(|rows| rows.len() == numbers);
        if self.threads <= 1 || texts.len() <= 1 || !fits || count * tokens.width != numbers {
            // What does not fit is refused there.
            return self.attention.run(texts, tokens, output).map_err(refused);
        }
        each_share(context, shares(self.threads, texts, tokens, output), |share| {
            self.attention.run(share.texts, &share.tokens, share.output)
        })
    }
}

/// Gives each of some threads texts with about as many tokens; the tokens fit to the texts.
fn shares<'a>(
    threads: usize,
    texts: &'a [usize],
    tokens: &Tokens<'a>,
    mut output: &'a mut [f32],
) -> Vec<Share<'a>> {
    let some = texts.iter().sum::<usize>().div_ceil(threads);
    let (mut shares, mut first_text, mut first) = (Vec::new(), 0, 0);
    while first_text < texts.len() {
        let (mut end_text, mut count) = (first_text, 0);
        while end_text < texts.len() && (count == 0 || count + texts[end_text] <= some) {
            count += texts[end_text];
            end_text += 1;
        }
        let place = first * tokens.width..(first + count) * tokens.width;
        let (own, rest) = output.split_at_mut(count * tokens.width);
        output = rest;
        shares.push(Share {
            texts: &texts[first_text..end_text],
            tokens: Tokens {
                queries: &tokens.queries[place.clone()],
                keys: &tokens.keys[place.clone()],
                values: &tokens.values[place],
                width: tokens.width,
            },
            output: own,
        });
        (first_text, first) = (end_text, first + count);
    }
    shares
}

/// Returns how many tokens each text has: a text begins at each zero.
fn lengths(positions: &[i64]) -> ort::Result<Vec<usize>> {
    let mut lengths: Vec<usize> = Vec::new();
    for position in positions {
        match (position, lengths.last_mut()) {
            (0, _) => lengths.push(1),
            (_, Some(length)) => *length += 1,
            (_, None) => return Err(Error::new("the first token does not begin a text")),
        }
    }
    Ok(lengths)
}
