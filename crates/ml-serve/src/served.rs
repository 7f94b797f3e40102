//! A model as the routes see it: raw JSON items in, raw JSON results out, whatever the pipeline's types are.

use std::any::Any;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ml_core::{CacheOptions, CallOptions, Engine, EngineBuilder, Model, Pipeline, Timings, WhenFull};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use utoipa::ToSchema;

use crate::ApiError;
use crate::onnx::TensorModel;
use crate::repository::Factory;

/// The result of one item.
pub(crate) type ItemResult = Result<Box<RawValue>, ApiError>;

/// What a call gets back.
pub(crate) struct Reply {
    pub results: Vec<ItemResult>,
    pub timings: Timings,
}

/// One item of a call: its JSON text, or why it has none.
pub(crate) type Item<'a> = Result<&'a str, ApiError>;

pub(crate) type Later<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What a model says about itself.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
pub struct ModelInfo {
    /// What it is, in a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// What runs it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime: Option<String>,
    /// An item that can be sent as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub example: Option<serde_json::Value>,
    /// What an item is, as a JSON Schema; for the OpenAPI document.
    #[serde(skip)]
    pub input_schema: Option<serde_json::Value>,
    /// What an item's output is, likewise.
    #[serde(skip)]
    pub output_schema: Option<serde_json::Value>,
    /// Whatever else its author wants known.
    #[serde(skip_serializing_if = "serde_json::Map::is_empty")]
    #[schema(value_type = Object)]
    pub details: serde_json::Map<String, serde_json::Value>,
}

impl ModelInfo {
    /// Returns what a model says about itself: what runs it, which form of it serves, and why.
    pub fn of(model: &Model) -> Self {
        let mut details = serde_json::Map::new();
        details.insert("device".to_owned(), serde_json::json!(model.device().to_string()));
        details.insert("variant".to_owned(), serde_json::json!(model.variant()));
        Self { runtime: Some(model.runtime().to_owned()), details, ..Self::default() }
    }
}

/// An engine whose types are forgotten.
pub(crate) trait Served: Send + Sync {
    /// Answers each item, in order.
    fn call<'a>(&'a self, items: Vec<Item<'a>>, options: CallOptions) -> Later<'a, Reply>;

    /// Proves that the model works: a real inference, unless one has just succeeded.
    fn check<'a>(&'a self, options: CallOptions) -> Later<'a, Result<(), ApiError>>;

    /// Takes no new work; what was accepted is still answered.
    fn close(&self);

    /// Returns itself, for protocols that ask for a model of a certain type.
    fn any(&self) -> &dyn Any;

    /// Returns the model as one of raw tensors, where it is one.
    fn tensors(&self) -> Option<&TensorModel> {
        None
    }
}

/// An inference that succeeded this recently proves that the model works.
const FRESH: Duration = Duration::from_secs(1);

/// While the queue is full, an inference that succeeded this recently will do as proof.
const FRESH_WHEN_FULL: Duration = Duration::from_secs(10);

pub(crate) struct TypedModel<P: Pipeline> {
    engine: Engine<P>,
}

impl<P: Pipeline> TypedModel<P> {
    pub fn new(engine: Engine<P>) -> Self {
        Self { engine }
    }

    pub fn engine(&self) -> &Engine<P> {
        &self.engine
    }
}

/// Sets an engine up as the configuration says; `output_bytes` tells the cache what an output occupies.
pub(crate) fn engine<P: Pipeline>(
    factory: &Factory,
    name: &str,
    pipeline: P,
    output_bytes: impl Fn(&P::Output) -> usize + Send + Sync + 'static,
) -> EngineBuilder<P> {
    let config = &factory.config;
    let mut builder = Engine::builder(pipeline)
        .threads(factory.threads)
        .queue_items_max(config.queue_items_max)
        .queue_bytes_max(config.queue_bytes_max)
        .queue_wait_max(config.queue_wait_max)
        .metrics(&factory.metrics, name);
    if let Some(items) = config.batch_items_max {
        builder = builder.batch_items_max(items.get());
    }
    if config.cache_bytes_max > 0 {
        let (bytes_max, time_to_live) = (config.cache_bytes_max, config.cache_time_to_live);
        builder = builder.cache(CacheOptions { bytes_max, time_to_live }, output_bytes);
    }
    match &factory.preprocess {
        Some(pool) => builder.preprocess_pool(Arc::clone(pool)),
        None => builder,
    }
}

/// Makes a model answer its example, unless it has just answered something.
pub(crate) async fn check_by_example<P: Pipeline>(
    engine: &Engine<P>,
    options: CallOptions,
) -> Result<(), ApiError> {
    let not_ready = |reason: String| ApiError::NotReady { reason };
    let succeeded_within = |time: Duration| engine.last_success().is_some_and(|last| last.elapsed() < time);
    if !engine.is_running() {
        return Err(not_ready("a runner thread has ended".to_owned()));
    }
    if succeeded_within(FRESH) {
        return Ok(());
    }
    let Some(example) = engine.pipeline().example() else { return Ok(()) };
    // A remembered answer would prove nothing.
    let options = CallOptions { fresh: true, ..options };
    let answer = engine.call(vec![example], options).await;
    match answer.results.into_iter().next() {
        Some(Ok(_)) => Ok(()),
        Some(Err(ml_core::Error::Overloaded { .. })) if succeeded_within(FRESH_WHEN_FULL) => Ok(()),
        Some(Err(error)) => Err(not_ready(error.to_string())),
        None => Err(not_ready("the engine gave no result".to_owned())),
    }
}

/// The items of a call that can be read, and the places of those that cannot.
///
/// Items that cannot be read never reach the engine; their errors keep their places.
pub(crate) struct Extracted<T> {
    inputs: Vec<T>,
    places: Vec<Option<ApiError>>,
}

impl<T> Extracted<T> {
    pub fn of(items: Vec<Item<'_>>, read: impl Fn(&str) -> Result<T, ApiError>) -> Self {
        let mut inputs = Vec::with_capacity(items.len());
        let places = items.into_iter().map(|item| match item.and_then(&read) {
            Ok(input) => {
                inputs.push(input);
                None
            }
            Err(error) => Some(error),
        });
        let places = places.collect();
        Self { inputs, places }
    }

    /// Takes the inputs for the engine.
    pub fn take(&mut self) -> Vec<T> {
        std::mem::take(&mut self.inputs)
    }

    /// Puts the engine's results among the errors.
    pub fn placed(self, answered: impl IntoIterator<Item = ItemResult>) -> Vec<ItemResult> {
        let mut answered = answered.into_iter();
        let missing = || Err(ApiError::Engine(ml_core::Error::ShuttingDown));
        let result = |place: Option<ApiError>| match place {
            Some(error) => Err(error),
            None => answered.next().unwrap_or_else(missing),
        };
        self.places.into_iter().map(result).collect()
    }
}

impl<P> Served for TypedModel<P>
where
    P: Pipeline,
    P::Input: DeserializeOwned,
    P::Output: Serialize,
{
    fn call<'a>(&'a self, items: Vec<Item<'a>>, options: CallOptions) -> Later<'a, Reply> {
        Box::pin(async move {
            let mut extracted = Extracted::of(items, |item| extract(item));
            let answer = self.engine.call(extracted.take(), options).await;
            let written = answer.results.into_iter().map(|result| respond(result.map_err(ApiError::Engine)));
            Reply { results: extracted.placed(written), timings: answer.timings }
        })
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
}

/// Reads one item. A second, slower pass names the field at fault, which a good item never pays for.
pub(crate) fn extract<'a, T: Deserialize<'a>>(json: &'a str) -> Result<T, ApiError> {
    serde_json::from_str(json).map_err(|error| {
        if !error.is_data() {
            return ApiError::MalformedJson { reason: error.to_string() };
        }
        let located: Result<T, _> =
            serde_path_to_error::deserialize(&mut serde_json::Deserializer::from_str(json));
        let field = located.err().map(|error| error.path().to_string()).filter(|path| path != ".");
        ApiError::InvalidItem { field, reason: error.to_string() }
    })
}

fn respond<T: Serialize>(result: Result<T, ApiError>) -> ItemResult {
    to_raw_value(&result?).map_err(|error| ApiError::Unwritable { reason: error.to_string() })
}

/// Returns how many bytes an output has as JSON: what it occupies in memory is of that order.
pub(crate) fn written_bytes<T: Serialize>(output: &T) -> usize {
    let mut counter = ByteCounter(0);
    // An output that cannot be written is as large as what could be.
    drop(serde_json::to_writer(&mut counter, output));
    size_of::<T>() + counter.0
}

struct ByteCounter(usize);

impl io::Write for ByteCounter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Options for a call that must be answered within `timeout`.
pub(crate) fn within(timeout: Duration, when_full: WhenFull) -> CallOptions {
    CallOptions { deadline: Instant::now().checked_add(timeout), when_full, ..CallOptions::default() }
}
