//! The limit: the model run in a bare loop, without any server. What a server answers can come near it at best.
//!
//! All combinations of sessions × threads × batch size × order run the same items in interleaved rounds, so that
//! what else the machine does falls on all of them.

mod case;
mod input;
mod item;
mod latency;
mod pass;
mod report;
mod rounds;
mod tokens;

use std::num::NonZeroUsize;
use std::path::PathBuf;

use ml_core::{
    LoadError, Model, ModelError, ModelOptions, OptimisedCopy, RuntimeChoice, ThreadPlan, ThreadWishes,
};

use crate::{Dataset, Error, Line};

pub use case::{Case, Order, Width};
pub use latency::AloneReport;
pub use report::{CaseReport, LimitReport};

pub(crate) use item::{Batch, Item};
pub(crate) use pass::{Pass, Speed};

/// Which model to run on which items, and how.
#[derive(Debug, Clone)]
pub struct LimitOptions {
    /// The model and its items.
    pub workload: Workload,
    /// Sessions and threads of each; all combinations with the batches and the orders are run.
    pub widths: Vec<Width>,
    /// Items in one run of the model.
    pub batches: Vec<NonZeroUsize>,
    /// How the items are put into batches.
    pub orders: Vec<Order>,
    /// How often each combination runs.
    pub rounds: NonZeroUsize,
    /// Whether one item alone is timed too, with 1 thread up to all CPUs.
    pub latency: bool,
}

/// A model and what it is run on.
#[derive(Debug, Clone)]
pub struct Workload {
    /// The ONNX file.
    pub model: PathBuf,
    /// Which runtime runs it.
    pub runtime: RuntimeChoice,
    /// The data file.
    pub data: PathBuf,
    /// The tokenizer of a text model; without one, items hold the model's inputs.
    pub tokenizer: Option<PathBuf>,
    /// The field of an item that is the text.
    pub field: String,
    /// How many items, from the first on, one pass runs.
    pub items: NonZeroUsize,
    /// Whether the model is loaded as a server loads it; without a copy the runtime runs the file as it is, with no operator of ours.
    pub optimised_copy: bool,
}

/// Why the model could not be run.
#[derive(Debug, thiserror::Error)]
pub enum LimitError {
    /// The model could not be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// A run failed.
    #[error("the model failed: {0}")]
    Run(#[from] ModelError),
    /// The tokenizer could not be loaded.
    #[error("tokenizer {}: {reason}", path.display())]
    Tokenizer {
        /// Its file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// An item cannot be given to the model.
    #[error("{place}: {reason}")]
    Item {
        /// The line of the data file.
        place: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The model has an input that this program cannot make.
    #[error("input {name}: {reason}")]
    Input {
        /// The input's name.
        name: String,
        /// Why not.
        reason: String,
    },
    /// A session's thread panicked.
    #[error("a thread of the model stopped without a result")]
    Lost,
}

/// Runs all combinations in interleaved rounds and reports the speed of each.
///
/// # Errors
///
/// When the data, the tokenizer or the model cannot be used.
pub fn limit(options: &LimitOptions) -> Result<LimitReport, Error> {
    let workload = &options.workload;
    let models = options.widths.iter().map(|width| Ok((*width, workload.load(*width)?)));
    let models: Vec<(Width, Model)> = models.collect::<Result<_, LimitError>>()?;
    let Some((_, first)) = models.first() else { return Err(Error::NoCases) };
    let items = workload.items(first)?;
    let cases = rounds::run(options, &models, &items)?;
    let alone = if options.latency { latency::run(workload, &items, options.rounds)? } else { Vec::new() };
    Ok(LimitReport::new(workload, first.runtime(), items.len(), options.rounds, cases, alone))
}

impl Workload {
    /// Loads the model with as many sessions and threads as asked for, also for a lone run.
    pub(crate) fn load(&self, width: Width) -> Result<Model, LimitError> {
        let wishes = ThreadWishes {
            runners: Some(width.sessions),
            intra_op: Some(width.threads),
            wide: Some(width.threads),
            ..ThreadWishes::default()
        };
        // A run that no engine started gets the wide session: it has exactly the threads asked for.
        let threads = ThreadPlan { wide: width.threads.get(), ..ThreadPlan::detect(wishes) };
        let optimised_copy =
            if self.optimised_copy { OptimisedCopy::BesideModel } else { OptimisedCopy::Never };
        let options =
            ModelOptions { runtime: self.runtime, threads, optimised_copy, ..ModelOptions::default() };
        Ok(Model::load(&self.model, &options)?)
    }

    /// Reads the items and makes the model's inputs of them, which is not part of what is timed.
    pub(crate) fn items(&self, model: &Model) -> Result<Vec<Item>, Error> {
        let data = Dataset::read(std::slice::from_ref(&self.data), Some(self.items.get()))?;
        Ok(self.items_of(model, data.lines())?)
    }

    /// Makes the model's inputs of lines.
    pub(crate) fn items_of(&self, model: &Model, lines: &[Line]) -> Result<Vec<Item>, LimitError> {
        let inputs = &model.signature().inputs;
        match &self.tokenizer {
            Some(path) => tokens::items(path, &self.field, inputs, lines),
            None => input::items(inputs, lines),
        }
    }
}
