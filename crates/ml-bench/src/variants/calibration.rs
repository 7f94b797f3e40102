//! Calibration: the model runs over items, one at a time and so without padding, and its layers' inputs are looked at.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use ml_core::RuntimeChoice;
use ml_onnx::calibrate::{Columns, Histogram, Range, RangeMethod};
use ml_onnx::passes::{Int8Static, WEIGHTS_MIN};
use ml_onnx::{Model, WriteOptions};
use ndarray::ArrayView2;

use super::batches;
use crate::Error;
use crate::limit::{Item, LimitError};
use crate::progress::Progress;

/// LLM.int8()'s threshold: a column with a number beyond it stays in floats.
const OUTLIER_THRESHOLD: f32 = 6.0;

/// Where each token has its own scale, an outlier takes from its own token's numbers only, but from all of them: with a
/// lower threshold they keep more of their digits (all-MiniLM-L6-v2: a mean cosine of 0.99948 at 5, 0.99951 at 4.5, 0.99954 at 4), and
/// take more time (2.17, 2.12 and 1.99 × fp32's speed in sorted batches).
const OUTLIER_THRESHOLD_PER_TOKEN: f32 = 4.5;

/// At most so many columns of an input stay in floats.
const OUTLIERS_MAX: usize = 64;

/// Counts the files that models with inner values as outputs are run from, so that no two have one name.
static PROBES: AtomicUsize = AtomicUsize::new(0);

/// What is known of each layer's input.
pub(super) struct Calibration {
    inputs: HashMap<String, Input>,
}

struct Input {
    columns: Columns,
    outliers: Vec<usize>,
    /// Of all numbers, and of those in columns without outliers.
    whole: Histogram,
    inner: Histogram,
}

impl Calibration {
    /// Runs a model over items, twice: for the least and largest number of each column, and for how often numbers occur.
    pub(super) fn run(
        model: &Model,
        items: &[Item],
        place: (&Path, RuntimeChoice),
        progress: &Progress,
    ) -> Result<Self, Error> {
        let layers = model.graph.iter().flat_map(|graph| graph.linears(WEIGHTS_MIN));
        let widths: HashMap<String, usize> = layers.map(|layer| (layer.input, layer.width_in)).collect();
        if widths.is_empty() {
            // The pass that asks for ranges says what is wrong with such a model.
            return Ok(Self { inputs: HashMap::new() });
        }
        let values: Vec<&str> = widths.keys().map(String::as_str).collect();
        let probe = Probe::new(model, &values, place)?;
        let mut columns: HashMap<String, Columns> =
            widths.iter().map(|(name, width)| (name.clone(), Columns::new(*width))).collect();
        probe.run(items, progress, |_, name, rows| {
            if let Some(columns) = columns.get_mut(name) {
                columns.add(rows);
            }
        })?;
        let mut inputs: HashMap<String, Input> =
            columns.into_iter().map(|(name, columns)| (name, Input::new(columns))).collect();
        probe.run(items, progress, |_, name, rows| {
            if let Some(input) = inputs.get_mut(name) {
                input.whole.add(rows, &[]);
                input.inner.add(rows, &input.outliers);
            }
        })?;
        Ok(Self { inputs })
    }

    /// Returns static int8 of all columns.
    pub(super) fn whole(&self, method: RangeMethod) -> Int8Static {
        let range = |input: &Input| {
            let (low, high) = input.whole.range(method);
            Range { low, high, outliers: Vec::new() }
        };
        Int8Static { ranges: self.inputs.iter().map(|(name, input)| (name.clone(), range(input))).collect() }
    }

    /// Returns the ranges of a model's layers without outliers.
    pub(super) fn mixed(&self, method: RangeMethod, model: &Model) -> HashMap<String, Range> {
        let range = |input: &Input| {
            let (low, high) = input.inner.range(method);
            Range { low, high, outliers: input.outliers.clone() }
        };
        self.of(model).map(|(name, input)| (name, range(input))).collect()
    }

    /// Returns the columns that stay in floats where each token has a scale and a zero of its own: with those, fewer are enough.
    pub(super) fn few_outliers(&self, model: &Model) -> HashMap<String, Vec<usize>> {
        self.of(model).map(|(name, input)| (name, input.outliers.clone())).collect()
    }

    /// Returns the columns that stay in floats where each token has a scale of its own.
    pub(super) fn outliers(&self, model: &Model) -> HashMap<String, Vec<usize>> {
        let outliers = |input: &Input| input.columns.outliers(OUTLIER_THRESHOLD_PER_TOKEN, OUTLIERS_MAX);
        self.of(model).map(|(name, input)| (name, outliers(input))).collect()
    }

    /// A packed model's layers have their inputs under the same names, or under these with an ending.
    fn of(&self, model: &Model) -> impl Iterator<Item = (String, &Input)> {
        let layers = model.graph.iter().flat_map(|graph| graph.linears(WEIGHTS_MIN)).collect::<Vec<_>>();
        layers.into_iter().filter_map(|layer| {
            let plain = layer.input.strip_suffix(".packed").unwrap_or(&layer.input);
            let input = self.inputs.get(&layer.input).or_else(|| self.inputs.get(plain))?;
            Some((layer.input, input))
        })
    }
}

impl Input {
    fn new(columns: Columns) -> Self {
        let outliers = columns.outliers(OUTLIER_THRESHOLD, OUTLIERS_MAX);
        let (whole, inner) = (columns.range(&[]), columns.range(&outliers));
        Self { columns, outliers, whole: Histogram::new(whole), inner: Histogram::new(inner) }
    }
}

/// A model whose outputs are inner values.
pub(super) struct Probe {
    model: ml_core::Model,
    values: Vec<String>,
}

impl Probe {
    pub(super) fn new(
        model: &Model,
        values: &[&str],
        (folder, runtime): (&Path, RuntimeChoice),
    ) -> Result<Self, Error> {
        let number = PROBES.fetch_add(1, Ordering::Relaxed);
        let path = folder.join(format!(".probe-{}-{number}.onnx", std::process::id()));
        model.probe(values).write(&path, WriteOptions::default())?;
        let loaded = super::load(&path, &super::bare(runtime));
        // A loaded model needs its file no more; a file that stays does no harm.
        let _ = std::fs::remove_file(&path);
        Ok(Self { model: loaded?, values: values.iter().map(|&value| value.to_owned()).collect() })
    }

    /// Runs over items, and gives each value's rows to `take`, in the order of the values, with the item's number: all axes
    /// but the last are one.
    pub(super) fn run(
        &self,
        items: &[Item],
        progress: &Progress,
        mut take: impl FnMut(usize, &str, ArrayView2<'_, f32>),
    ) -> Result<(), Error> {
        for (done, item) in items.iter().enumerate() {
            progress.bar(
                done as f64 / items.len() as f64,
                &format!("calibrating: {done} / {} items", items.len()),
            );
            let outputs = batches::make(&self.model, &[item])?.run(&self.model).map_err(LimitError::Run)?;
            for name in &self.values {
                let value = outputs.get::<f32>(name).map_err(LimitError::Run)?;
                let width = value.shape().last().copied().unwrap_or(1).max(1);
                let rows = value.len() / width;
                let rows = value.view().into_shape_with_order((rows, width));
                take(done, name, rows.map_err(|error| Error::Variants(format!("{name}: {error}")))?);
            }
        }
        Ok(())
    }
}
