//! Attention of a packed model as one node: an operator of our own ([`PACKED_ATTENTION`]) computes each text over its own tokens.
//!
//! What [`Packed`](super::Packed) leaves pads queries, keys and values, computes attention of the longest text's length for all of
//! them, and packs what comes out. ByteTransformer (Zhai et al., 2023) spares that, too.

use super::packed::{PACK, POSITIONS, UNPACK};
use super::{Pass, PassError, graph_of};
use crate::edit::{Index, Rewrite};
use crate::operators::{PACKED_ATTENTION, import};
use crate::proto::Value;
use crate::{Graph, Model, Node};

/// Replaces attention by nodes that need no padding.
#[derive(Debug, Clone)]
pub struct PackedAttention {
    /// The input that says where tokens are.
    pub mask: String,
}

impl Default for PackedAttention {
    fn default() -> Self {
        Self { mask: "attention_mask".to_owned() }
    }
}

impl Pass for PackedAttention {
    fn name(&self) -> &'static str {
        "packed-attention"
    }

    fn apply(&self, model: &mut Model) -> Result<(), PassError> {
        let graph = graph_of(self, model)?;
        let found = self.found(graph);
        if found.is_empty() {
            return Err(PassError::new(self, "the graph", "it has no packed attention that is known"));
        }
        let mut rewrite = Rewrite::new(graph);
        for Found { at, rows: [queries, keys, values], heads, scale, output } in found {
            let inputs: [&str; 4] = [&queries, &keys, &values, POSITIONS];
            let node = Node::own(PACKED_ATTENTION, &inputs, &[&output]);
            let node = node.with("heads", Value::Int(heads)).with("scale", Value::Float(scale));
            rewrite.replace(at, vec![node]);
        }
        rewrite.finish(graph);
        import(model);
        Ok(())
    }
}

/// An attention in a graph.
struct Found {
    /// The node that packs what comes out.
    at: usize,
    /// Queries, keys and values, packed.
    rows: [String; 3],
    heads: i64,
    scale: f32,
    output: String,
}

/// The order of the axes of queries, values and outputs, and that of keys.
const BY_HEAD: [i64; 4] = [0, 2, 1, 3];
const TURNED: [i64; 4] = [0, 2, 3, 1];

impl PackedAttention {
    fn found(&self, graph: &Graph) -> Vec<Found> {
        let index = Index::new(graph);
        graph.nodes.iter().filter_map(|node| self.attention(&index, node)).collect()
    }

    fn attention(&self, index: &Index<'_>, softmax: &Node) -> Option<Found> {
        let (last, shares) = (softmax.int("axis", -1), softmax.only_output()?);
        if !softmax.is("Softmax") || (last != -1 && last != 3) {
            return None;
        }
        let (scores, scale) = self.scores(index, softmax.input(0)?)?;
        let (queries, heads) = heads_of(index, scores.input(0)?, BY_HEAD)?;
        let (keys, heads_of_keys) = heads_of(index, scores.input(1)?, TURNED)?;
        let (_, product) = index.only_consumer(shares).filter(|(_, node)| node.is("MatMul"))?;
        let (values, heads_of_values) = heads_of(index, product.input(1)?, BY_HEAD)?;
        if product.input(0) != Some(shares) || heads != heads_of_keys || heads != heads_of_values {
            return None;
        }
        let rows = only(index, product, "Transpose").filter(|node| order(node) == BY_HEAD)?;
        let flat = only(index, only(index, rows, "Reshape")?, "Reshape")?;
        let (at, pack) = index.only_consumer(flat.only_output()?)?;
        let packs = pack.is("Gather") && pack.input(1) == Some(PACK) && pack.int("axis", 0) == 0;
        let output = pack.only_output().filter(|_| packs)?.to_owned();
        Some(Found { at, rows: [queries, keys, values], heads, scale, output })
    }

    /// Returns the product of queries and keys, and what it is multiplied with, of what a softmax takes.
    fn scores<'a>(&self, index: &Index<'a>, masked: &str) -> Option<(&'a Node, f32)> {
        let (_, add) = index.producer(masked).filter(|(_, node)| node.is("Add"))?;
        let (one, other) = (add.input(0)?, add.input(1)?);
        let scaled = match (self.is_of_mask(index, one), self.is_of_mask(index, other)) {
            (false, true) => one,
            (true, false) => other,
            _ => return None,
        };
        let (_, node) = index.producer(scaled)?;
        if node.is("MatMul") {
            return Some((node, 1.0));
        }
        if is_scaled_product(node) {
            return Some((node, node.float("alpha", 1.0)));
        }
        let number = |name: &str| {
            let floats = index.constant(name)?.floats().ok().filter(|floats| floats.len() == 1)?;
            floats.first().copied()
        };
        let (one, other) = (node.input(0)?, node.input(1)?);
        let (scores, scale) = match node.op_type.as_str() {
            "Div" => (one, 1.0 / number(other)?),
            "Mul" => number(other).map(|scale| (one, scale)).or_else(|| Some((other, number(one)?)))?,
            _ => return None,
        };
        let (_, product) = index.producer(scores).filter(|(_, node)| node.is("MatMul"))?;
        index.only_consumer(scores).map(|_| (product, scale))
    }

    /// Returns whether a value is made of the mask and constants only: where it says anything, there is padding.
    fn is_of_mask(&self, index: &Index<'_>, name: &str) -> bool {
        let (mut open, mut seen, mut found) = (vec![name.to_owned()], Vec::new(), false);
        while let Some(name) = open.pop() {
            if name == self.mask {
                found = true;
            } else if index.constant(&name).is_none() && !seen.contains(&name) {
                let Some((_, node)) = index.producer(&name) else { return false };
                open.extend(node.inputs.iter().filter(|input| !input.is_empty()).cloned());
                seen.push(name);
            }
        }
        found
    }
}

/// Whether a node is what ONNX Runtime makes of a product and the number that it is multiplied with.
fn is_scaled_product(node: &Node) -> bool {
    let as_they_lie =
        ["transA", "transB", "transBatchA", "transBatchB"].iter().all(|it| node.int(it, 0) == 0);
    node.is_of("com.microsoft", "FusedMatMul") && as_they_lie
}

/// Returns the packed rows behind heads in this order, and how many heads there are.
fn heads_of(index: &Index<'_>, value: &str, by: [i64; 4]) -> Option<(String, i64)> {
    let (_, turn) = index.producer(value).filter(|(_, node)| node.is("Transpose") && order(node) == by)?;
    let (_, split) = index.producer(turn.input(0)?).filter(|(_, node)| node.is("Reshape"))?;
    let sizes = index.constant(split.input(1)?)?.integers().ok()?;
    let heads = *sizes.iter().nth(2).filter(|heads| sizes.len() == 4 && **heads > 0)?;
    let (_, unpack) = index.producer(split.input(0)?)?;
    let unpacks = unpack.is("Gather") && unpack.input(1) == Some(UNPACK) && unpack.int("axis", 0) == 0;
    Some((unpack.input(0).filter(|_| unpacks)?.to_owned(), heads))
}

fn order(node: &Node) -> &[i64] {
    node.attribute("perm").map_or(&[], |perm| &perm.ints)
}

/// Returns the only node that takes what comes out of one, if it is of this operator.
fn only<'a>(index: &Index<'a>, node: &Node, op_type: &str) -> Option<&'a Node> {
    index.only_consumer(node.only_output()?).map(|(_, next)| next).filter(|next| next.is(op_type))
}
