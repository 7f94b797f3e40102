//! Structured pruning without training: neurons of feed-forward layers and heads of attention are removed, and the layer
//! after them is fitted anew.
//!
//! Which columns go is decided by the Optimal Brain Surgeon's measure (Hassibi and Stork, 1993), greedily and with its
//! correction after each step; the layer that takes what is left is then fitted by least squares to what the original gave,
//! as in SparseGPT (Frantar and Alistarh, 2023) and ZipLM (Kurtic et al., 2023). Block by block, the inputs are those of
//! the model as pruned so far and the target is the original's, so that later blocks make up for earlier ones.
//!
//! The model is run elsewhere: for each [`Block`], its [`hidden`](Block::hidden) and [`residual`](Block::residual) values
//! in the model as pruned so far, and its [`sum`](Block::sum) in the original, go into [`Moments`]; [`Moments::fit`] then
//! says what [`Model::prune`](crate::Model::prune) writes.

mod blocks;
mod fit;
mod solve;
mod write;

pub use fit::{Fitted, Moments};
pub use write::PruneError;

use crate::linear::Linear;

/// A part of a model that can be made narrower.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// What it is made of.
    pub kind: BlockKind,
    /// The layer that takes the hidden value and is fitted anew.
    pub last: Linear,
    /// The value whose columns can be removed.
    pub hidden: String,
    /// What the last layer's output is added to.
    pub residual: String,
    /// The sum of both.
    pub sum: String,
    /// How many columns belong together: a head's, or one.
    pub group: usize,
}

/// What a block is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BlockKind {
    /// A layer, an activation, and the last layer.
    FeedForward {
        /// The layer before the activation.
        first: Linear,
    },
    /// Attention of several heads.
    Attention {
        /// The layers of queries, keys and values.
        projections: Box<[Linear; 3]>,
        /// The nodes that split them into heads.
        splits: [usize; 3],
        /// The node that puts the heads together again.
        join: usize,
    },
}

impl Block {
    /// Returns how many columns the hidden value has.
    pub fn width(&self) -> usize {
        self.last.width_in
    }

    /// Returns whether it is attention.
    pub fn is_attention(&self) -> bool {
        matches!(self.kind, BlockKind::Attention { .. })
    }
}
