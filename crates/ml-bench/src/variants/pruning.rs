//! Runs a model for pruning: block by block, the one as pruned so far beside the original.

use std::collections::HashMap;
use std::path::Path;

use ml_core::RuntimeChoice;
use ml_onnx::Model;
use ml_onnx::prune::{Block, Moments, PruneError};
use ndarray::{Array2, ArrayView2};

use super::calibration::Probe;
use super::workshop::Profile;
use crate::Error;
use crate::limit::Item;
use crate::progress::Progress;

/// Widths are multiples of this, which is what vector instructions work on, or of an eighth of a narrow layer.
const NEURONS_STEP: usize = 32;

/// Rows that are taken in at once: products of few rows cost more than they say.
const ROWS: usize = 1024;

/// Makes every block of a model narrower.
pub(super) fn prune(
    model: &Model,
    profile: Profile,
    items: &[Item],
    place: (&Path, RuntimeChoice),
    progress: &Progress,
) -> Result<Model, Error> {
    let blocks = blocks(model);
    if blocks.is_empty() {
        return Err(Error::Variants(
            "there is nothing to prune: no attention and no feed-forward layer".to_owned(),
        ));
    }
    let wanted = sums(model, &blocks, items, place, progress)?;
    let mut pruned = model.clone();
    for original in &blocks {
        let keep = kept(original, profile);
        // Nodes have other places now; what the block is called by has stayed.
        let block = self::blocks(&pruned).into_iter().find(|block| block.sum == original.sum);
        let block =
            block.ok_or_else(|| Error::Variants(format!("{} cannot be found again", original.sum)))?;
        let moments = moments(&pruned, &block, &wanted[&block.sum], (items, place, progress))?;
        let (weights, bias) = block.weights(graph(&pruned)).map_err(failed)?;
        let fitted = moments.fit(&weights, &bias, keep, block.group);
        let fitted = fitted.ok_or_else(|| Error::Variants(format!("{} cannot be fitted", block.sum)))?;
        pruned.prune(&block, &fitted).map_err(failed)?;
    }
    pruned.check().map_err(|invalid| Error::Variants(invalid.to_string()))?;
    Ok(pruned)
}

fn failed(error: PruneError) -> Error {
    Error::Variants(error.to_string())
}

/// Returns a model's blocks.
pub(super) fn blocks(model: &Model) -> Vec<Block> {
    model.graph.iter().flat_map(ml_onnx::Graph::blocks).collect()
}

fn graph(model: &Model) -> &ml_onnx::Graph {
    static NONE: std::sync::LazyLock<ml_onnx::Graph> = std::sync::LazyLock::new(ml_onnx::Graph::default);
    model.graph.as_ref().unwrap_or(&NONE)
}

/// Returns how many columns of a block stay.
pub(super) fn kept(block: &Block, profile: Profile) -> usize {
    let part = |all: usize, percent: usize| ((all * percent + 50) / 100).clamp(1, all);
    if block.is_attention() {
        return part(block.width() / block.group, profile.heads) * block.group;
    }
    let neurons = part(block.width(), profile.neurons);
    neurons.next_multiple_of(NEURONS_STEP.min(block.width() / 8).max(1)).min(block.width())
}

/// Returns what each block of the original gives, for each item.
fn sums(
    model: &Model,
    blocks: &[Block],
    items: &[Item],
    place: (&Path, RuntimeChoice),
    progress: &Progress,
) -> Result<HashMap<String, Vec<Array2<f32>>>, Error> {
    let names: Vec<&str> = blocks.iter().map(|block| block.sum.as_str()).collect();
    let mut sums: HashMap<String, Vec<Array2<f32>>> = HashMap::new();
    Probe::new(model, &names, place)?.run(items, progress, |_, name, rows| {
        sums.entry(name.to_owned()).or_default().push(rows.to_owned());
    })?;
    Ok(sums)
}

fn moments(
    model: &Model,
    block: &Block,
    wanted: &[Array2<f32>],
    (items, place, progress): (&[Item], (&Path, RuntimeChoice), &Progress),
) -> Result<Moments, Error> {
    let mut moments = Moments::new(block.width(), block.last.width_out);
    let (mut hidden, mut outputs) = (Vec::new(), Vec::new());
    let mut take = |hidden: &mut Vec<f32>, outputs: &mut Vec<f32>| {
        let rows = (view(hidden, block.width()), view(outputs, block.last.width_out));
        if let (Some(hidden), Some(outputs)) = rows {
            moments.add(hidden, outputs);
        }
        hidden.clear();
        outputs.clear();
    };
    let probe = Probe::new(model, &[&block.hidden, &block.residual], place)?;
    probe.run(items, progress, |item, name, rows| {
        if name == block.hidden {
            hidden.extend(rows.iter());
            return;
        }
        // What the last layer is to give: what is missing between the residual as it is now and the sum as it was.
        outputs.extend((&wanted[item] - &rows).iter());
        if outputs.len() >= ROWS * block.last.width_out {
            take(&mut hidden, &mut outputs);
        }
    })?;
    take(&mut hidden, &mut outputs);
    Ok(moments)
}

fn view(numbers: &[f32], width: usize) -> Option<ArrayView2<'_, f32>> {
    let rows = numbers.len() / width.max(1);
    ArrayView2::from_shape((rows, width), numbers).ok().filter(|rows| !rows.is_empty())
}
