//! What a variant loses: how far its outputs are from the original's, and how often its predictions are other ones.

use ml_core::{Model, Outputs, cosine, largest};
use ndarray::{Array2, Ix2};
use serde::Serialize;

use super::parallel::in_parallel;
use super::{Measured, batches};
use crate::limit::{Item, LimitError, Order};
use crate::progress::Progress;
use crate::random::Random;
use crate::{Error, Line};

/// Items in a batch.
const BATCH: usize = 16;

/// Items whose answers alone are compared with those in a batch of others, and how many such others there are.
const INDEPENDENT_ITEMS: usize = 128;
const MATES: usize = 32;

/// How a variant's outputs compare with the original's on the held-out items.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Quality {
    /// The mean over items of the cosine between the outputs.
    pub cosine_mean: f64,
    /// The cosine that 1 % of the items are below.
    pub cosine_p1: f64,
    /// The largest difference of any number.
    pub error_max: f64,
    /// The share of items whose prediction is another one.
    pub flips: f64,
    /// The share of labelled items that are predicted right; none without labels.
    pub accuracy: Option<f64>,
    /// The original's accuracy on the same items.
    pub accuracy_original: Option<f64>,
    /// The least cosine between an item's output alone and in a batch of random others.
    pub alone_cosine_min: f64,
}

/// The outputs of all items.
struct Answers {
    /// The model's first output, a row for each item.
    rows: Array2<f32>,
    /// Which number of the last output is the largest.
    predictions: Vec<usize>,
}

/// Compares each model but the first with the first.
pub(super) fn measure(
    models: &[Measured],
    items: &[Item],
    lines: &[Line],
    progress: &Progress,
) -> Result<Vec<Quality>, Error> {
    let answers = in_parallel(models, |measured| {
        let answers = (Answers::of(&measured.model, items)?, alone_cosine_min(&measured.model, items)?);
        progress.note(&format!("{} answered", measured.name));
        Ok(answers)
    })?;
    let Some(((original, _), first)) = answers.first().zip(models.first()) else { return Ok(Vec::new()) };
    let labels = labels(&first.model, lines);
    let qualities = answers.iter().map(|(answers, alone)| compare(original, answers, &labels, *alone));
    Ok(qualities.collect())
}

fn compare(
    original: &Answers,
    answers: &Answers,
    labels: &[Option<usize>],
    alone_cosine_min: f64,
) -> Quality {
    let pairs = || original.rows.outer_iter().zip(answers.rows.outer_iter());
    let mut cosines: Vec<f64> = pairs().map(|(one, other)| cosine(one, other)).collect();
    cosines.sort_by(f64::total_cmp);
    let errors = pairs().flat_map(|(one, other)| {
        one.iter().zip(other).map(|(one, other)| (one - other).abs()).collect::<Vec<_>>()
    });
    let count = cosines.len().max(1) as f64;
    let flips =
        original.predictions.iter().zip(&answers.predictions).filter(|(one, other)| one != other).count();
    let accuracy = |answers: &Answers| {
        let labelled = || {
            answers
                .predictions
                .iter()
                .zip(labels)
                .filter_map(|(prediction, label)| Some(*prediction == (*label)?))
        };
        let all = labelled().count();
        (all > 0).then(|| labelled().filter(|right| *right).count() as f64 / all as f64)
    };
    Quality {
        cosine_mean: cosines.iter().sum::<f64>() / count,
        cosine_p1: cosines.get(cosines.len() / 100).copied().unwrap_or(0.0),
        error_max: errors.fold(
            0.0,
            |most: f64, error| if error.is_nan() { f64::INFINITY } else { most.max(error.into()) },
        ),
        flips: flips as f64 / count,
        accuracy: accuracy(answers),
        accuracy_original: accuracy(original),
        alone_cosine_min,
    }
}

impl Answers {
    /// Runs a model over items in batches of similar length.
    fn of(model: &Model, items: &[Item]) -> Result<Self, Error> {
        let lengths: Vec<usize> = items.iter().map(Item::length).collect();
        let order = Order::Sorted.indices(&lengths);
        let mut rows: Option<Array2<f32>> = None;
        let mut predictions = vec![0; items.len()];
        for indices in order.chunks(BATCH) {
            let batch: Vec<&Item> = indices.iter().map(|index| &items[*index]).collect();
            let outputs = batches::make(model, &batch)?.run(model).map_err(LimitError::Run)?;
            let (first, last) = ends(model, &outputs)?;
            let rows = rows.get_or_insert_with(|| Array2::zeros((items.len(), first.ncols())));
            for (at, index) in indices.iter().enumerate() {
                rows.row_mut(*index).assign(&first.row(at));
                predictions[*index] = largest(last.row(at));
            }
        }
        Ok(Self { rows: rows.unwrap_or_default(), predictions })
    }
}

/// Returns a model's first and last output, as matrices of a row for each item.
fn ends(model: &Model, outputs: &Outputs) -> Result<(Array2<f32>, Array2<f32>), Error> {
    let infos = &model.signature().outputs;
    let matrix = |info: Option<&ml_core::TensorInfo>| {
        let name = &info.ok_or_else(|| Error::Variants("the model has no output".to_owned()))?.name;
        let value = outputs.get::<f32>(name).map_err(LimitError::Run)?;
        let rows = value.shape().first().copied().unwrap_or(1);
        let flat = value.to_owned().into_shape_with_order((rows, value.len() / rows.max(1)));
        let flat = flat.and_then(|flat| flat.into_dimensionality::<Ix2>());
        flat.map_err(|error| Error::Variants(format!("output {name}: {error}")))
    };
    Ok((matrix(infos.first())?, matrix(infos.last())?))
}

/// Returns the number of each line's label among the model's.
pub(super) fn labels(model: &Model, lines: &[Line]) -> Vec<Option<usize>> {
    let known = model.signature().metadata.get("labels");
    let known: Vec<&str> = known.map(|labels| labels.split(',').map(str::trim).collect()).unwrap_or_default();
    let number =
        |label: &String| known.iter().position(|known| known == label).or_else(|| label.parse().ok());
    lines.iter().map(|line| line.label.as_ref().and_then(number)).collect()
}

fn alone_cosine_min(model: &Model, items: &[Item]) -> Result<f64, Error> {
    let mut order: Vec<usize> = (0..items.len()).collect();
    Random::new(1).shuffle(&mut order);
    order.truncate(INDEPENDENT_ITEMS);
    let mut least = 1.0_f64;
    for indices in order.chunks(MATES) {
        let batch: Vec<&Item> = indices.iter().map(|index| &items[*index]).collect();
        let outputs = |batch: &[&Item]| {
            let outputs = batches::make(model, batch)?.run(model).map_err(LimitError::Run)?;
            Ok::<_, Error>(ends(model, &outputs)?.0)
        };
        let together = outputs(&batch)?;
        for (at, item) in batch.iter().enumerate() {
            least = least.min(cosine(together.row(at), outputs(&[item])?.row(0)));
        }
    }
    Ok(least)
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn answers_are_compared_item_by_item() {
        let original =
            Answers { rows: array![[1.0_f32, 0.0], [0.0, 2.0], [1.0, 1.0]], predictions: vec![0, 1, 1] };
        let other =
            Answers { rows: array![[1.0_f32, 0.0], [0.0, 1.0], [1.0, 0.0]], predictions: vec![0, 1, 0] };
        let quality = compare(&original, &other, &[Some(0), None, Some(0)], 0.9);
        assert!((quality.cosine_mean - (2.0 + 0.5_f64.sqrt()) / 3.0).abs() < 1e-9, "{quality:?}");
        assert!((quality.cosine_p1 - 0.5_f64.sqrt()).abs() < 1e-9, "{quality:?}");
        assert_eq!((quality.error_max, quality.flips), (1.0, 1.0 / 3.0));
        assert_eq!((quality.accuracy, quality.accuracy_original), (Some(1.0), Some(0.5)));
    }

    #[test]
    fn an_output_that_is_no_number_is_far_away() {
        let original = Answers { rows: array![[1.0_f32, 0.0]], predictions: vec![0] };
        let broken = Answers { rows: array![[f32::NAN, 0.0]], predictions: vec![0] };
        let quality = compare(&original, &broken, &[None], 1.0);
        assert_eq!((quality.cosine_mean, quality.error_max, quality.accuracy), (0.0, f64::INFINITY, None));
    }
}
