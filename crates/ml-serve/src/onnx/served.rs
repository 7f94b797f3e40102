//! A model of raw tensors behind an engine: what every protocol of tensors calls.

use std::any::Any;
use std::sync::{Mutex, PoisonError};
use std::time::{Instant, SystemTime};

use ml_core::{Answer, CallOptions, Engine, Rejection, Stage, Striped, TensorInfo, Timings};
use serde_json::json;
use serde_json::value::{RawValue, to_raw_value};

use super::json::{self, NamedTensors};
use super::sequences::Sequences;
use super::{Columns, OnnxPipeline, Span};
use crate::served::{
    Extracted, Item, ItemResult, Later, ModelInfo, Reply, Served, check_by_example, extract,
};
use crate::tensors::{Tensors, joined};
use crate::{ApiError, openapi};

/// An item with more bytes is not compared with those in flight: to hash it takes longer than most models' share of it.
const SHARED_BYTES_MAX: usize = 64 << 10;

/// What the calls of a model took.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct CallStatistics {
    pub last: Option<SystemTime>,
    /// Rows that were answered.
    pub rows: u64,
    pub success: Span,
    pub fail: Span,
    pub queue: Span,
    pub input: Span,
    pub infer: Span,
    pub output: Span,
}

/// An engine of raw tensors.
pub(crate) struct TensorModel {
    engine: Engine<OnnxPipeline>,
    /// Whether answers are remembered, so that even a large item is worth hashing.
    remembers: bool,
    /// What items name, where they do not name the model's tensors.
    columns: Option<Columns>,
    calls: Striped<Mutex<CallStatistics>>,
    sequences: Sequences,
}

impl TensorModel {
    pub fn new(
        engine: Engine<OnnxPipeline>,
        remembers: bool,
        columns: Option<Columns>,
        sequences_max: usize,
    ) -> Self {
        let sequences = Sequences::new(sequences_max);
        Self { engine, remembers, columns, calls: Striped::default(), sequences }
    }

    pub fn sequences(&self) -> &Sequences {
        &self.sequences
    }

    pub fn pipeline(&self) -> &OnnxPipeline {
        self.engine.pipeline()
    }

    pub fn calls(&self) -> CallStatistics {
        self.calls.all().fold(CallStatistics::default(), |sum, calls| {
            sum.with(&calls.lock().unwrap_or_else(PoisonError::into_inner))
        })
    }

    /// What items name, where they do not name the model's tensors.
    pub fn columns(&self) -> Option<&Columns> {
        self.columns.as_ref()
    }

    /// What the model says about itself.
    pub fn info(&self) -> ModelInfo {
        let (pipeline, signature) = (self.pipeline(), self.pipeline().signature());
        let list = |infos: &[TensorInfo]| infos.iter().map(ToString::to_string).collect::<Vec<_>>();
        let ModelInfo { runtime, mut details, .. } = ModelInfo::of(pipeline.model());
        details.insert("inputs".to_owned(), json!(list(&signature.inputs)));
        details.insert("outputs".to_owned(), json!(list(&signature.outputs)));
        details.insert("batched".to_owned(), json!(pipeline.batched()));
        if let Some(columns) = &self.columns {
            details.insert("task".to_owned(), json!("tabular"));
            details.insert("columns".to_owned(), columns.described());
        }
        if !signature.metadata.is_empty() {
            details.insert("metadata".to_owned(), json!(signature.metadata));
        }
        ModelInfo {
            description: Some(format!("the ONNX model {}", pipeline.model().path().display())),
            runtime,
            example: Some(match &self.columns {
                Some(columns) => columns.example(),
                None => json::example(pipeline.wanted()),
            }),
            input_schema: Some(openapi::item_schema(pipeline)),
            output_schema: Some(openapi::output_schema(pipeline)),
            details,
        }
    }

    /// Predicts one request of any number of rows, all or none.
    ///
    /// # Errors
    /// That of the first part that has no answer.
    pub async fn infer(
        &self,
        inputs: Tensors,
        options: CallOptions,
    ) -> Result<(Tensors, Timings), ml_core::Error> {
        let started = Instant::now();
        let rows = if self.pipeline().batched() { inputs.rows() } else { 1 };
        let fresh = options.fresh || !self.remembers && inputs.bytes() > SHARED_BYTES_MAX;
        let options = CallOptions { fresh, ..options };
        let answer = self.call_by_parts(inputs, rows, options).await;
        self.count(started, rows, &answer);
        answer
    }

    async fn call_by_parts(
        &self,
        inputs: Tensors,
        rows: usize,
        options: CallOptions,
    ) -> Result<(Tensors, Timings), ml_core::Error> {
        let part_rows = self.pipeline().item_rows_max();
        let items = if rows <= part_rows {
            vec![inputs]
        } else {
            let part = |start| inputs.slice(start..rows.min(start + part_rows));
            (0..rows).step_by(part_rows).map(part).collect()
        };
        let answer = self.engine.call(items, options).await;
        let parts = answer.results.into_iter().collect::<Result<Vec<_>, _>>()?;
        Ok((joined(parts), answer.timings))
    }

    fn count(&self, started: Instant, rows: usize, answer: &Result<(Tensors, Timings), ml_core::Error>) {
        let mut calls = self.calls.own().lock().unwrap_or_else(PoisonError::into_inner);
        match answer {
            Ok((_, timings)) => calls.succeeded(rows, started, timings),
            Err(_) => calls.fail.add(started.elapsed()),
        }
    }

    /// Predicts items of one row each, each with a result of its own.
    async fn call_items(&self, items: Vec<Item<'_>>, options: CallOptions) -> Reply {
        let mut extracted = Extracted::of(items, |item| self.read(item));
        let answer = self.call_rows(extracted.take(), options).await;
        let written = answer.results.into_iter().map(|result| self.written(result));
        Reply { results: extracted.placed(written), timings: answer.timings }
    }

    /// Predicts the rows of a table, each with a result of its own; those that cannot be read keep their places.
    pub async fn call_tensors(
        &self,
        rows: Vec<Result<Tensors, Rejection>>,
        options: CallOptions,
    ) -> Vec<Result<Tensors, ApiError>> {
        let (mut items, mut results) = (Vec::with_capacity(rows.len()), Vec::with_capacity(rows.len()));
        for row in rows {
            let checked = row.map(|row| items.push(row));
            results.push(checked.map_err(|rejection| ApiError::Engine(ml_core::Error::Rejected(rejection))));
        }
        let mut answered = self.call_rows(items, options).await.results.into_iter();
        let missing = || Err(ml_core::Error::ShuttingDown);
        let mut answer = |()| answered.next().unwrap_or_else(missing).map_err(ApiError::Engine);
        results.into_iter().map(|checked: Result<(), ApiError>| checked.and_then(&mut answer)).collect()
    }

    async fn call_rows(&self, items: Vec<Tensors>, options: CallOptions) -> Answer<Tensors> {
        let started = Instant::now();
        let answer = self.engine.call(items, options).await;
        let mut calls = self.calls.own().lock().unwrap_or_else(PoisonError::into_inner);
        for result in &answer.results {
            match result {
                Ok(_) => calls.succeeded(1, started, &answer.timings),
                Err(_) => calls.fail.add(started.elapsed()),
            }
        }
        answer
    }

    /// Reads an item of one row.
    ///
    /// # Errors
    /// What is no JSON, and what is not as the model's inputs are.
    pub fn read(&self, item: &str) -> Result<Tensors, ApiError> {
        let plain = self.columns.is_none().then(|| json::read_good_item(item, self.pipeline().wanted()));
        if let Some(tensors) = plain.flatten() {
            return Ok(tensors);
        }
        // Slower, and able to say what is wrong.
        let item: &RawValue = extract(item)?;
        let read = match &self.columns {
            Some(columns) => columns.read(item, &self.pipeline().signature().inputs),
            None => json::read_item(item, self.pipeline().wanted()),
        };
        read.map_err(|rejection| ApiError::Engine(ml_core::Error::Rejected(rejection)))
    }

    fn written(&self, result: Result<Tensors, ml_core::Error>) -> ItemResult {
        let outputs = result.map_err(ApiError::Engine)?;
        let named = NamedTensors { pipeline: self.pipeline(), outputs: &outputs };
        to_raw_value(&named).map_err(|error| ApiError::Unwritable { reason: error.to_string() })
    }
}

impl CallStatistics {
    fn succeeded(&mut self, rows: usize, started: Instant, timings: &Timings) {
        self.last = Some(SystemTime::now());
        self.rows += rows as u64;
        self.success.add(started.elapsed());
        self.queue.add(timings.get(Stage::Queue));
        self.input.add(timings.get(Stage::Validate) + timings.get(Stage::Clean));
        self.infer.add(timings.get(Stage::Predict));
        self.output.add(timings.get(Stage::Format));
    }

    fn with(mut self, other: &Self) -> Self {
        self.last = self.last.max(other.last);
        self.rows += other.rows;
        self.success.merge(other.success);
        self.fail.merge(other.fail);
        self.queue.merge(other.queue);
        self.input.merge(other.input);
        self.infer.merge(other.infer);
        self.output.merge(other.output);
        self
    }
}

impl Served for TensorModel {
    fn call<'a>(&'a self, items: Vec<Item<'a>>, options: CallOptions) -> Later<'a, Reply> {
        Box::pin(self.call_items(items, options))
    }

    fn check<'a>(&'a self, options: CallOptions) -> Later<'a, Result<(), ApiError>> {
        Box::pin(check_by_example(&self.engine, options))
    }

    fn close(&self) {
        self.engine.close();
    }

    fn any(&self) -> &dyn Any {
        self
    }

    fn tensors(&self) -> Option<&TensorModel> {
        Some(self)
    }
}
