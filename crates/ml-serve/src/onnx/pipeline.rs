//! The raw tensors of an ONNX model as a pipeline: its input names nothing, but has the model's tensors in their order.
//!
//! Where the first size of every tensor is the batch, an item has some rows of it, and items are put together row by row.

use ml_core::{
    Dimension, ElementType, Facts, Model, ModelError, Outputs, Pipeline, Rejection, Signature, TensorInfo,
};

use super::json::Wanted;
use super::runs::Runs;
use crate::repository::Settled;
use crate::tensors::{RawTensor, Tensors, as_bytes, element_bytes, join};

/// Serves an ONNX model as it is.
pub(crate) struct OnnxPipeline {
    model: Model,
    settled: Settled,
    /// What callers give and get of the graph's tensors.
    offered: Signature,
    /// Most rows of one run.
    run_rows_max: usize,
    runs: Runs,
}

impl OnnxPipeline {
    pub fn new(model: Model, settled: Settled, run_rows_max: usize) -> Self {
        let whole = model.signature();
        let offered = settled.plan.as_ref().map_or_else(|| whole.clone(), |plan| plan.offered(whole));
        Self { model, settled, offered, run_rows_max: run_rows_max.max(1), runs: Runs::default() }
    }

    pub fn model(&self) -> &Model {
        &self.model
    }

    /// All tensors of the graph.
    pub fn signature(&self) -> &Signature {
        self.model.signature()
    }

    /// The tensors that callers name: without those by which requests of a sequence hang together.
    pub fn offered(&self) -> &Signature {
        &self.offered
    }

    /// What the runs took by now.
    pub fn runs(&self) -> &Runs {
        &self.runs
    }

    /// What the model is served by.
    pub fn settled(&self) -> &Settled {
        &self.settled
    }

    /// Most rows of one request; 0 where the model knows no rows.
    pub fn rows_max(&self) -> usize {
        usize::try_from(self.settled.config.max_batch_size).unwrap_or(0)
    }

    /// Whether the first size of every input and output is the batch.
    pub fn batched(&self) -> bool {
        self.settled.batched
    }

    /// The sizes of a tensor without the batch. `None` where the model does not say.
    pub fn row_shape<'a>(&self, info: &'a TensorInfo) -> Option<&'a [Dimension]> {
        info.shape.as_deref().map(|shape| shape.get(usize::from(self.batched())..).unwrap_or_default())
    }

    /// What an item in JSON has.
    pub(super) fn wanted(&self) -> Wanted<'_> {
        Wanted { inputs: &self.signature().inputs, batched: self.batched() }
    }

    /// Most rows of one item: more are several items, which the runners share.
    pub fn item_rows_max(&self) -> usize {
        self.run_rows_max
    }

    /// Runs items that differ in nothing but their rows.
    fn run_alike(&self, items: &[&Tensors]) -> Result<Vec<Tensors>, ModelError> {
        let (mut results, mut rest) = (Vec::with_capacity(items.len()), items);
        while !rest.is_empty() {
            let (piece, left) = rest.split_at(self.piece(rest));
            results.extend(self.run_piece(piece)?);
            rest = left;
        }
        Ok(results)
    }

    /// How many of the items go into one run: as many as have no more rows than allowed, and one at least.
    fn piece(&self, items: &[&Tensors]) -> usize {
        if !self.batched() {
            return 1;
        }
        let mut rows = 0;
        let fits = items.iter().take_while(|item| {
            rows += item.rows();
            rows <= self.run_rows_max
        });
        fits.count().max(1)
    }

    fn run_piece(&self, items: &[&Tensors]) -> Result<Vec<Tensors>, ModelError> {
        let run = self.runs.begin();
        let infos = &self.signature().inputs;
        let columns = (0..infos.len()).map(|index| {
            let column: Vec<&RawTensor> = items.iter().filter_map(|item| item.0.get(index)).collect();
            join(&column)
        });
        let columns = columns.collect::<Result<Vec<_>, ModelError>>()?;
        let inputs =
            infos.iter().zip(&columns).map(|(info, column)| Ok((info.name.as_str(), column.view()?)));
        let inputs = inputs.collect::<Result<Vec<_>, ModelError>>()?;
        let run = run.inputs_made();
        let outputs = self.kept(self.model.run(inputs)?)?;
        let run = run.computed();
        let results = if items.len() > 1 { self.shared_out(&outputs, items)? } else { vec![outputs] };
        run.ended(items.iter().map(|item| if self.batched() { item.rows() } else { 1 }).sum());
        Ok(results)
    }

    fn kept(&self, mut outputs: Outputs) -> Result<Tensors, ModelError> {
        let names = self.signature().outputs.iter().map(|info| &info.name);
        let kept = names.map(|name| RawTensor::of_output(outputs.take(name)?));
        Ok(Tensors(kept.collect::<Result<_, ModelError>>()?))
    }

    /// Gives each item its rows of the outputs.
    fn shared_out(&self, outputs: &Tensors, items: &[&Tensors]) -> Result<Vec<Tensors>, ModelError> {
        let rows: usize = items.iter().map(|item| item.rows()).sum();
        let names = self.signature().outputs.iter().map(|info| &info.name);
        if let Some((name, tensor)) =
            names.zip(&*outputs.0).find(|(_, tensor)| tensor.shape.first() != Some(&rows))
        {
            return Err(ModelError::new(format!(
                "output {name} is {:?}, and the batch has {rows} rows",
                tensor.shape
            )));
        }
        let mut start = 0;
        let parts = items.iter().map(|item| {
            let end = start + item.rows();
            let part = outputs.slice(start..end);
            start = end;
            part
        });
        Ok(parts.collect())
    }

    /// Checks one tensor of an item.
    fn check(info: &TensorInfo, tensor: &RawTensor) -> Result<(), Rejection> {
        if !info.takes(tensor.element) {
            return Err(Rejection::new(info.name.clone(), "type").value(tensor.element).limit(info.element));
        }
        let Some(shape) = &info.shape else { return Ok(()) };
        let fits = |(size, dimension): (&usize, &Dimension)| match dimension {
            Dimension::Fixed(fixed) => size == fixed,
            Dimension::Dynamic(_) => true,
        };
        if tensor.shape.len() == shape.len() && tensor.shape.iter().zip(shape).all(fits) {
            return Ok(());
        }
        Err(Rejection::new(info.name.clone(), "shape").value(format!("{:?}", tensor.shape)).limit(info))
    }
}

impl Pipeline for OnnxPipeline {
    type Input = Tensors;
    type Features = Tensors;
    type Prediction = Tensors;
    type Output = Tensors;

    fn validate(&self, item: &Tensors) -> Result<(), Rejection> {
        let inputs = &self.signature().inputs;
        if item.0.len() != inputs.len() {
            return Err(Rejection::new("inputs", "count").value(item.0.len()).limit(inputs.len()));
        }
        inputs.iter().zip(&*item.0).try_for_each(|(info, tensor)| Self::check(info, tensor))?;
        let rows = item.rows();
        let differs = |(_, tensor): &(&TensorInfo, &RawTensor)| tensor.shape.first() != Some(&rows);
        match inputs.iter().zip(&*item.0).find(|pair| self.batched() && differs(pair)) {
            Some((info, tensor)) => Err(Rejection::new(info.name.clone(), "batch_size")
                .value(format!("{:?}", tensor.shape))
                .limit(format!("{rows} rows, as the other inputs have"))),
            None => Ok(()),
        }
    }

    fn clean(&self, item: Tensors, _: &Facts) -> Result<Tensors, Rejection> {
        Ok(item)
    }

    fn predict_batch(&self, batch: &[Tensors]) -> Result<Vec<Tensors>, ModelError> {
        if let [one] = batch {
            return self.run_piece(&[one]);
        }
        // Items whose other sizes differ cannot share a run: nothing here knows how to pad them.
        let mut alike: Vec<Vec<usize>> = Vec::new();
        for (index, item) in batch.iter().enumerate() {
            match alike.iter_mut().find(|known| self.are_alike(&batch[known[0]], item)) {
                Some(indices) => indices.push(index),
                None => alike.push(vec![index]),
            }
        }
        let mut results: Vec<Option<Tensors>> = vec![None; batch.len()];
        for indices in alike {
            let items: Vec<&Tensors> = indices.iter().map(|index| &batch[*index]).collect();
            for (index, result) in indices.iter().zip(self.run_alike(&items)?) {
                results[*index] = Some(result);
            }
        }
        let missing = || ModelError::new("the model answered fewer items than it was given");
        results.into_iter().map(|result| result.ok_or_else(missing)).collect()
    }

    fn format(&self, outputs: Tensors) -> Tensors {
        outputs
    }

    /// The number of elements: rows are put together without padding.
    fn cost(&self, item: &Tensors) -> usize {
        item.0.iter().map(|tensor| tensor.shape.iter().product::<usize>()).sum::<usize>().max(1)
    }

    fn takes_packed_batches(&self) -> bool {
        true
    }

    fn models(&self) -> Vec<&Model> {
        vec![&self.model]
    }

    /// Zeros, with every dynamic size at one.
    fn example(&self) -> Option<Tensors> {
        let size = |dimension: &Dimension| match dimension {
            Dimension::Fixed(size) => *size,
            Dimension::Dynamic(_) => 1,
        };
        let inputs = self.signature().inputs.iter().map(|info| {
            let shape: Vec<usize> = info.shape.iter().flatten().map(size).collect();
            let count: usize = shape.iter().product();
            match info.element {
                ElementType::String => RawTensor::texts(shape, vec![Vec::new(); count]),
                element => {
                    RawTensor::numbers(element, shape, as_bytes(vec![0_u8; count * element_bytes(element)]))
                }
            }
        });
        Some(Tensors(inputs.collect()))
    }
}

impl OnnxPipeline {
    fn are_alike(&self, one: &Tensors, other: &Tensors) -> bool {
        let from = usize::from(self.batched());
        one.0.iter().zip(&*other.0).all(|(one, other)| {
            one.element == other.element && one.shape.get(from..) == other.shape.get(from..)
        })
    }
}
