//! Finds how to prune to a share of the work: what is the better bargain, neurons or heads, depends on the model.

use std::path::Path;

use ml_core::RuntimeChoice;
use ml_onnx::Model;
use ml_onnx::prune::{Block, BlockKind};
use ndarray::Array2;

use super::calibration::Probe;
use super::pruning::{ITEMS_MAX, blocks, kept, prune};
use super::workshop::Profile;
use crate::Error;
use crate::limit::Item;
use crate::progress::Progress;
use ml_core::cosine;

/// What is tried, in percent that stay: of heads each of these, and of neurons the most that reaches the share.
const HEADS: [usize; 4] = [100, 83, 67, 50];
const NEURONS: std::ops::RangeInclusive<usize> = 30..=100;

/// Items that candidates are judged by; they are not among those that were fitted to, where there are enough.
const JUDGED: usize = 200;

/// Returns the profile that keeps at most `percent` of the weights of linear layers and stays nearest to the original.
pub(super) fn search(
    model: &Model,
    percent: usize,
    items: &[Item],
    place: (&Path, RuntimeChoice),
    progress: &Progress,
) -> Result<Profile, Error> {
    let all = blocks(model);
    let mut candidates: Vec<Profile> =
        HEADS.iter().filter_map(|heads| widest(&all, *heads, percent)).collect();
    candidates.dedup();
    if candidates.is_empty() {
        return Err(Error::Variants(format!(
            "no way to prune to {percent} % of the weights is known for this model"
        )));
    }
    let fresh = if items.len() >= ITEMS_MAX + JUDGED { &items[ITEMS_MAX..] } else { items };
    let judged = &fresh[..fresh.len().min(JUDGED)];
    let wanted = outputs(model, judged, place, progress)?;
    let mut best: Option<(f64, Profile)> = None;
    for profile in candidates {
        let found = outputs(&prune(model, profile, items, place, progress)?, judged, place, progress)?;
        let cosines = wanted.iter().zip(&found).map(|(one, other)| cosine(one.row(0), other.row(0)));
        let mean = cosines.sum::<f64>() / wanted.len().max(1) as f64;
        progress.note(&format!("{profile:?}: mean cosine {mean:.4}"));
        if best.is_none_or(|(least, _)| mean > least) {
            best = Some((mean, profile));
        }
    }
    best.map(|(_, profile)| profile).ok_or_else(|| Error::Variants("no candidate could be judged".to_owned()))
}

/// Returns the profile with these heads and the most neurons that is within the share.
fn widest(blocks: &[Block], heads: usize, percent: usize) -> Option<Profile> {
    let all: usize = blocks.iter().map(|block| weights(block, block.width())).sum();
    let share = |profile: &Profile| {
        let left: usize = blocks.iter().map(|block| weights(block, kept(block, *profile))).sum();
        left * 100 <= percent * all
    };
    NEURONS.rev().map(|neurons| Profile { neurons, heads }).find(share)
}

/// Returns how many weights a block has when so many columns are left.
fn weights(block: &Block, width: usize) -> usize {
    let before = match &block.kind {
        BlockKind::FeedForward { first } => first.width_in,
        BlockKind::Attention { projections, .. } => projections.iter().map(|layer| layer.width_in).sum(),
    };
    width * (before + block.last.width_out)
}

/// Returns the first output of each item.
fn outputs(
    model: &Model,
    items: &[Item],
    place: (&Path, RuntimeChoice),
    progress: &Progress,
) -> Result<Vec<Array2<f32>>, Error> {
    let name = model.graph.as_ref().and_then(|graph| graph.outputs.first()).map(|output| output.name.clone());
    let name = name.ok_or_else(|| Error::Variants("the model has no output".to_owned()))?;
    let mut rows = Vec::with_capacity(items.len());
    Probe::new(model, &[&name], place)?.run(items, progress, |_, _, row| rows.push(row.to_owned()))?;
    Ok(rows)
}
