//! Finds how to prune: to a share of the work, of which neurons or heads may be the better bargain, or as far as predictions stay right.

use std::path::Path;

use ml_core::{RuntimeChoice, cosine, largest};
use ml_onnx::Model;
use ml_onnx::prune::{Block, BlockKind};
use ndarray::Array2;

use super::calibration::Probe;
use super::pruning::{blocks, kept, prune};
use super::workshop::Profile;
use crate::Error;
use crate::limit::Item;
use crate::progress::Progress;

/// What is tried, in percent that stay: of heads each of these, and of neurons the most that reaches the share.
const HEADS: [usize; 4] = [100, 83, 67, 50];
const NEURONS: std::ops::RangeInclusive<usize> = 30..=100;

/// Shares of the weights that are tried for the least that predicts as well, in percent.
const SHARES: [usize; 6] = [40, 50, 60, 70, 80, 90];

/// Nothing is pruned.
const WHOLE: Profile = Profile { neurons: 100, heads: 100 };

/// Returns the items that candidates are judged by, and the others, which they are fitted to.
fn parted(items: &[Item]) -> (&[Item], &[Item]) {
    items.split_at((items.len() / 4).max(1).min(items.len()))
}

/// Returns the profile that keeps at most `percent` of the weights of linear layers and stays nearest to the original, and the model
/// that was judged: it is fitted to a part of the items only.
pub(super) fn search(
    model: &Model,
    percent: usize,
    items: &[Item],
    place: (&Path, RuntimeChoice),
    progress: &Progress,
) -> Result<(Profile, Model), Error> {
    let all = blocks(model);
    let mut candidates: Vec<Profile> =
        HEADS.iter().filter_map(|heads| widest(&all, *heads, percent)).collect();
    candidates.dedup();
    if candidates.is_empty() {
        return Err(Error::Variants(format!(
            "no way to prune to {percent} % of the weights is known for this model"
        )));
    }
    let (judged, fitted) = parted(items);
    let wanted = outputs(model, End::First, judged, place, progress)?;
    let mut best: Option<(f64, (Profile, Model))> = None;
    for profile in candidates {
        let pruned = prune(model, profile, fitted, place, progress)?;
        let found = outputs(&pruned, End::First, judged, place, progress)?;
        let cosines = wanted.iter().zip(&found).map(|(one, other)| cosine(one.row(0), other.row(0)));
        let mean = cosines.sum::<f64>() / wanted.len().max(1) as f64;
        progress.note(&format!("{profile:?}: mean cosine {mean:.4}"));
        if best.as_ref().is_none_or(|(least, _)| mean > *least) {
            best = Some((mean, (profile, pruned)));
        }
    }
    best.map(|(_, found)| found).ok_or_else(|| Error::Variants("no candidate could be judged".to_owned()))
}

/// Returns the narrowest of some profiles that predicts as well as the original, but for a loss of accuracy (from 0 to 1).
///
/// Without labels the original's predictions are taken for right. Where no profile is good enough, nothing is pruned.
pub(super) fn search_accurate(
    model: &Model,
    (items, labels): (&[Item], &[Option<usize>]),
    loss_max: f64,
    place: (&Path, RuntimeChoice),
    progress: &Progress,
) -> Result<Profile, Error> {
    let (judged, _) = parted(items);
    let original = predictions(model, judged, place, progress)?;
    let labelled = labels.iter().take(judged.len()).any(Option::is_some);
    let truth: Vec<Option<usize>> =
        if labelled { labels.to_vec() } else { original.iter().copied().map(Some).collect() };
    let least = right(&original, &truth) - loss_max;
    let mut best = WHOLE;
    let (mut low, mut high) = (0, SHARES.len());
    // Bisection: what a share predicts well, a larger one does, too.
    while low < high {
        let middle = low.midpoint(high);
        let (profile, pruned) = search(model, SHARES[middle], items, place, progress)?;
        let accuracy = right(&predictions(&pruned, judged, place, progress)?, &truth);
        progress.note(&format!(
            "{profile:?}: {:.4} of {} are right, {least:.4} are wanted",
            accuracy,
            judged.len()
        ));
        if accuracy >= least {
            (best, high) = (profile, middle);
        } else {
            low = middle + 1;
        }
    }
    Ok(best)
}

/// Returns the share of labelled items that are predicted right.
fn right(predictions: &[usize], truth: &[Option<usize>]) -> f64 {
    let known = || predictions.iter().zip(truth).filter_map(|(found, label)| Some(*found == (*label)?));
    known().filter(|right| *right).count() as f64 / known().count().max(1) as f64
}

/// Returns which number of the last output is the largest, for each item.
fn predictions(
    model: &Model,
    items: &[Item],
    place: (&Path, RuntimeChoice),
    progress: &Progress,
) -> Result<Vec<usize>, Error> {
    let rows = outputs(model, End::Last, items, place, progress)?;
    Ok(rows.iter().map(|rows| largest(rows.row(0))).collect())
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

/// One of a model's outputs.
#[derive(Debug, Clone, Copy)]
enum End {
    First,
    Last,
}

/// Returns an output of each item.
fn outputs(
    model: &Model,
    end: End,
    items: &[Item],
    place: (&Path, RuntimeChoice),
    progress: &Progress,
) -> Result<Vec<Array2<f32>>, Error> {
    let all = model.graph.as_ref().map(|graph| graph.outputs.as_slice()).unwrap_or_default();
    let output = match end {
        End::First => all.first(),
        End::Last => all.last(),
    };
    let name = output.map(|output| output.name.clone());
    let name = name.ok_or_else(|| Error::Variants("the model has no output".to_owned()))?;
    let mut rows = Vec::with_capacity(items.len());
    Probe::new(model, &[&name], place)?.run(items, progress, |_, _, row| rows.push(row.to_owned()))?;
    Ok(rows)
}
