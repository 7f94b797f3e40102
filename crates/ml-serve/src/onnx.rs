//! Any ONNX file as a pipeline, without code: an item names each input's tensor, an output names each output's.

mod json;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ml_core::{Dimension, Facts, Model, ModelError, Outputs, Pipeline, Rejection, Tensor, TensorInfo};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::ServeError;
use crate::served::ModelInfo;

use self::json::{NamedTensors, Wanted};

/// A model folder's file: `model.onnx`, or the only ONNX file that there is.
pub(crate) fn model_file(path: &Path) -> Result<PathBuf, ServeError> {
    if !path.is_dir() {
        return Ok(path.to_owned());
    }
    let named = path.join("model.onnx");
    if named.is_file() {
        return Ok(named);
    }
    let wrong = |reason: String| ServeError::Folder { path: path.to_owned(), reason };
    let entries = std::fs::read_dir(path).map_err(|error| wrong(error.to_string()))?;
    let files = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut models: Vec<PathBuf> =
        files.filter(|file| file.extension().is_some_and(|ending| ending == "onnx")).collect();
    match (models.pop(), models.len()) {
        (Some(file), 0) => Ok(file),
        (Some(_), others) => Err(wrong(format!("{} ONNX files and none is model.onnx", others + 1))),
        (None, _) => Err(wrong("no ONNX file in this folder".to_owned())),
    }
}

/// The name of a model that was given none: its folder's or its file's, with what a URL cannot hold replaced.
pub(crate) fn model_name(path: &Path) -> String {
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let named_by_folder = stem == "model" && path.extension().is_some_and(|ending| ending == "onnx");
    let folder = path.parent().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
    let name = if named_by_folder { folder.unwrap_or(stem) } else { stem };
    let fit = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '-' };
    name.chars().take(64).map(fit).collect()
}

/// Serves an ONNX model as it is.
pub(crate) struct OnnxPipeline {
    model: Model,
    /// Whether the first size of every input and output is the batch: an item then has no such size.
    batched: bool,
    output_names: Arc<[String]>,
}

/// One item as it is sent: the JSON text of an object with a tensor for each of the model's inputs.
///
/// It stays text until it is read into tensors of the model's types: a tree of values would cost more than the
/// model of a small table. Items are equal when their texts are.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct OnnxItem(Box<str>);

impl<'de> Deserialize<'de> for OnnxItem {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Box::<RawValue>::deserialize(deserializer).map(|text| Self(text.into()))
    }
}

/// The tensors of one item, in the order of the model's inputs.
pub(crate) type Row = Vec<Tensor<'static>>;

impl OnnxPipeline {
    pub fn new(model: Model) -> Self {
        let signature = model.signature();
        let leads_with_batch = |info: &TensorInfo| {
            info.shape.as_ref().is_none_or(|shape| matches!(shape.first(), Some(Dimension::Dynamic(_))))
        };
        let inputs = signature.inputs.iter().all(|info| info.shape.is_some() && leads_with_batch(info));
        let batched = inputs && signature.outputs.iter().all(leads_with_batch);
        let output_names = signature.outputs.iter().map(|info| info.name.clone()).collect();
        Self { model, batched, output_names }
    }

    fn wanted(&self) -> Wanted<'_> {
        Wanted { inputs: &self.model.signature().inputs, batched: self.batched }
    }

    /// Zeros, with every dynamic size at one.
    fn zeros(&self) -> Value {
        let wanted = self.wanted();
        let zeros = |info: &TensorInfo| json::zeros(info.element, wanted.shape(info).unwrap_or_default());
        wanted.inputs.iter().map(|info| (info.name.clone(), zeros(info))).collect()
    }

    pub fn info(&self) -> ModelInfo {
        let signature = self.model.signature();
        let list = |infos: &[TensorInfo]| infos.iter().map(ToString::to_string).collect::<Vec<_>>();
        let mut details = Map::new();
        details.insert("inputs".to_owned(), json!(list(&signature.inputs)));
        details.insert("outputs".to_owned(), json!(list(&signature.outputs)));
        details.insert("batched".to_owned(), json!(self.batched));
        if !signature.metadata.is_empty() {
            details.insert("metadata".to_owned(), json!(signature.metadata));
        }
        ModelInfo {
            description: Some(format!("the ONNX model {}", self.model.path().display())),
            runtime: Some(self.model.runtime().to_owned()),
            example: Some(self.zeros()),
            details,
        }
    }

    /// Runs items whose tensors have the same shapes.
    fn run_alike(&self, rows: &[&Row]) -> Result<Vec<NamedTensors>, ModelError> {
        if !self.batched {
            return rows.iter().map(|row| self.run_alone(row)).collect();
        }
        let inputs = self.model.signature().inputs.iter().enumerate().map(|(index, info)| {
            let column = rows.iter().filter_map(|row| row.get(index));
            Ok((info.name.as_str(), Tensor::stack(column)?))
        });
        let outputs = self.model.run(inputs.collect::<Result<_, ModelError>>()?)?;
        (0..rows.len()).map(|index| self.outputs(&outputs, |tensor| tensor.row(index))).collect()
    }

    fn run_alone(&self, row: &Row) -> Result<NamedTensors, ModelError> {
        let names = self.model.signature().inputs.iter().map(|info| info.name.as_str());
        let outputs = self.model.run(names.zip(row.iter().cloned()).collect())?;
        self.outputs(&outputs, |tensor| Some(tensor.to_static()))
    }

    fn outputs(
        &self,
        outputs: &Outputs,
        part: impl Fn(&Tensor<'_>) -> Option<Tensor<'static>>,
    ) -> Result<NamedTensors, ModelError> {
        let tensors = self.output_names.iter().map(|name| {
            let tensor = outputs.tensor(name)?;
            let too_few = || ModelError::new(format!("output {name} is {:?}", tensor.shape()));
            part(&tensor).ok_or_else(too_few)
        });
        let names = Arc::clone(&self.output_names);
        Ok(NamedTensors { names, tensors: tensors.collect::<Result<_, ModelError>>()? })
    }
}

impl Pipeline for OnnxPipeline {
    type Input = OnnxItem;
    type Features = Row;
    type Prediction = NamedTensors;
    type Output = NamedTensors;

    /// Reading an item also checks it.
    fn validate(&self, _: &OnnxItem) -> Result<(), Rejection> {
        Ok(())
    }

    fn clean(&self, item: OnnxItem, _: &Facts) -> Result<Row, Rejection> {
        json::read_item(&item.0, self.wanted())
    }

    fn predict_batch(&self, batch: &[Row]) -> Result<Vec<NamedTensors>, ModelError> {
        // Items whose dynamic sizes differ cannot share a run: nothing here knows how to pad them.
        let shapes = |index: usize| batch[index].iter().map(Tensor::shape);
        let mut alike: Vec<Vec<usize>> = Vec::new();
        for index in 0..batch.len() {
            match alike.iter_mut().find(|known| shapes(known[0]).eq(shapes(index))) {
                Some(indices) => indices.push(index),
                None => alike.push(vec![index]),
            }
        }
        let mut results: Vec<Option<NamedTensors>> = vec![None; batch.len()];
        for indices in alike {
            let rows: Vec<&Row> = indices.iter().map(|index| &batch[*index]).collect();
            for (index, result) in indices.iter().zip(self.run_alike(&rows)?) {
                results[*index] = Some(result);
            }
        }
        let missing = || ModelError::new("the model answered fewer items than it was given");
        results.into_iter().map(|result| result.ok_or_else(missing)).collect()
    }

    fn format(&self, outputs: NamedTensors) -> NamedTensors {
        outputs
    }

    fn cost(&self, row: &Row) -> usize {
        row.iter().map(|tensor| tensor.shape().iter().product::<usize>()).sum()
    }

    fn example(&self) -> Option<OnnxItem> {
        Some(OnnxItem(self.zeros().to_string().into()))
    }
}
