//! Finds the blocks of a graph.

use std::collections::{BTreeSet, HashMap};

use super::{Block, BlockKind};
use crate::edit::Index;
use crate::linear::Linear;
use crate::shapes::{BROADCAST, ELEMENTWISE};
use crate::{Graph, Node};

/// Nodes between two layers that are looked through, at most: an activation written out has some five.
const ACTIVATION_NODES_MAX: usize = 16;

impl Graph {
    /// Returns the feed-forward layers and the attentions whose output is added to what they took, in their order.
    pub fn blocks(&self) -> Vec<Block> {
        let index = Index::new(self);
        let layers = self.linears(0);
        let by_output: HashMap<&str, &Linear> =
            layers.iter().map(|layer| (layer.output.as_str(), layer)).collect();
        let finder = Finder { graph: self, index, by_output };
        layers.iter().filter_map(|last| finder.block(last)).collect()
    }
}

struct Finder<'a> {
    graph: &'a Graph,
    index: Index<'a>,
    by_output: HashMap<&'a str, &'a Linear>,
}

impl Finder<'_> {
    fn block(&self, last: &Linear) -> Option<Block> {
        let (_, add) = self.index.only_consumer(&last.output).filter(|(_, node)| node.is("Add"))?;
        let residual = add.inputs.iter().find(|name| **name != last.output)?;
        if self.index.constant(residual).is_some() || last.bias.is_none() {
            return None;
        }
        let (kind, group) = self.feed_forward(last).or_else(|| self.attention(last))?;
        Some(Block {
            kind,
            group,
            last: last.clone(),
            hidden: last.input.clone(),
            residual: residual.clone(),
            sum: add.only_output()?.to_owned(),
        })
    }

    /// Walks back from the hidden value through nodes that treat each number alone, to the one layer before them.
    fn feed_forward(&self, last: &Linear) -> Option<(BlockKind, usize)> {
        let (mut waiting, mut seen, mut first) = (vec![last.input.as_str()], BTreeSet::new(), None);
        while let Some(name) = waiting.pop() {
            if let Some(layer) = self.by_output.get(name) {
                if first.is_some_and(|first: &Linear| first != *layer) {
                    return None;
                }
                first = Some(*layer);
                continue;
            }
            let (at, node) = self.index.producer(name).filter(|(_, node)| self.is_alone(node))?;
            if seen.insert(at) {
                waiting.extend(
                    node.inputs
                        .iter()
                        .map(String::as_str)
                        .filter(|input| self.index.constant(input).is_none()),
                );
            }
            if seen.len() > ACTIVATION_NODES_MAX {
                return None;
            }
        }
        let first = first.filter(|first| first.bias.is_some() && first.width_out == last.width_in)?;
        // Nothing else may look at the columns that go.
        let inner =
            |name: &str| self.index.consumers(name).all(|(at, _)| seen.contains(&at) || at == last.product);
        let outputs = seen.iter().filter_map(|at| self.graph.nodes[*at].only_output());
        let all = outputs.chain([first.output.as_str()]).all(inner);
        all.then(|| (BlockKind::FeedForward { first: first.clone() }, 1))
    }

    fn is_alone(&self, node: &Node) -> bool {
        let op = node.op_type.as_str();
        let sets_apart =
            ["LayerNormalization", "Softmax", "DynamicQuantizeLinear", "QuantizeLinear", "DequantizeLinear"];
        let scalar = |name: &String| {
            self.index.constant(name).is_none_or(|constant| constant.count().is_ok_and(|count| count == 1))
        };
        (ELEMENTWISE.contains(&op) && !sets_apart.contains(&op) || BROADCAST.contains(&op))
            && node.only_output().is_some()
            && node.inputs.iter().all(scalar)
    }

    fn attention(&self, last: &Linear) -> Option<(BlockKind, usize)> {
        let (join, node) = self.made_by(&last.input, "Reshape")?;
        let (_, node) = self.made_by(node.input(0)?, "Transpose")?;
        let (_, context) = self.made_by(node.input(0)?, "MatMul")?;
        let (value_split, value) = self.projection(context.input(1)?)?;
        let mut shares = context.input(0)?;
        // Scaling, masking and the softmax.
        let scores = loop {
            let (_, node) = self.index.producer(shares)?;
            match node.op_type.as_str() {
                "MatMul" => break node,
                "Softmax" | "Div" | "Mul" | "Add" => shares = node.input(0)?,
                _ => return None,
            }
        };
        let (query_split, query) = self.projection(scores.input(0)?)?;
        let (key_split, key) = self.projection(scores.input(1)?)?;
        let head = self.head_size(query_split)?;
        let same = [key_split, value_split].iter().all(|split| self.head_size(*split) == Some(head));
        let projections = Box::new([query.clone(), key.clone(), value.clone()]);
        let wide = projections.iter().all(|layer| layer.width_out == last.width_in && layer.bias.is_some());
        let alone = projections.iter().all(|layer| self.index.only_consumer(&layer.output).is_some());
        let splits = [query_split, key_split, value_split];
        (same && wide && alone).then_some((BlockKind::Attention { projections, splits, join }, head))
    }

    fn made_by(&self, name: &str, op_type: &str) -> Option<(usize, &Node)> {
        self.index.producer(name).filter(|(_, node)| node.is(op_type))
    }

    /// Walks back over the transposition and the split into heads.
    fn projection(&self, name: &str) -> Option<(usize, &Linear)> {
        let (_, transpose) = self.made_by(name, "Transpose")?;
        let (split, reshape) = self.made_by(transpose.input(0)?, "Reshape")?;
        let mut from = reshape.input(0)?;
        // A packed model unpacks before it splits.
        if let Some((_, gather)) = self.made_by(from, "Gather") {
            from = gather.input(0)?;
        }
        Some((split, self.by_output.get(from)?))
    }

    /// The last of four sizes that a projection is split into.
    fn head_size(&self, split: usize) -> Option<usize> {
        let shape = self.index.constant(self.graph.nodes[split].input(1)?)?.integers().ok()?;
        match *shape.as_slice()? {
            [_, _, _, size] => usize::try_from(size).ok().filter(|size| *size > 0),
            _ => None,
        }
    }
}
