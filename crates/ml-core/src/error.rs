//! What an item gets instead of an answer: one closed list, each with a stable code.

use std::time::Duration;

use crate::{Rejection, Stage};

/// Why an item has no answer.
///
/// The list is closed on purpose: a new kind should break every place that maps it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The item itself is at fault: `validate` or `clean` refused it.
    #[error(transparent)]
    Rejected(#[from] Rejection),

    /// The queue cannot take the call now; it may be sent again after `retry_after`.
    #[error("{waiting_items} items are waiting, the queue takes {limit_items}; try again in {} s", retry_after.as_secs_f32())]
    Overloaded {
        /// Items waiting when the call was refused.
        waiting_items: usize,
        /// The queue's bound.
        limit_items: usize,
        /// How long the waiting items will take, from the measured rate.
        retry_after: Duration,
    },

    /// The call can never be taken: it has more items than the queue holds.
    #[error("the call has {items} items, the queue holds {limit_items}")]
    CallTooLarge {
        /// Items in the call that need the model.
        items: usize,
        /// The queue's bound.
        limit_items: usize,
    },

    /// The call's deadline passed before the model ran.
    #[error("the deadline passed before the item was answered")]
    DeadlineExceeded,

    /// An external fact that the item needs could not be had.
    #[error("the lookup in {source_name} failed: {reason}")]
    LookupFailed {
        /// The name that the source was given when the engine was built.
        source_name: String,
        /// What the source said.
        reason: String,
    },

    /// The model could not answer this item, also when it ran alone.
    #[error("the model failed: {reason}")]
    ModelFailed {
        /// What the model or its runtime said.
        reason: String,
    },

    /// A stage of the pipeline panicked on this item.
    #[error("{stage} panicked: {reason}")]
    Panicked {
        /// The stage whose code panicked.
        stage: Stage,
        /// The panic's message.
        reason: String,
    },

    /// The engine is closing and takes no new work.
    #[error("the engine is shutting down")]
    ShuttingDown,
}

impl Error {
    /// Every code there is, for tables and metrics.
    pub const CODES: [&'static str; 8] = [
        "invalid_item",
        "overloaded",
        "call_too_large",
        "deadline_exceeded",
        "lookup_failed",
        "model_failed",
        "pipeline_panicked",
        "shutting_down",
    ];

    /// Returns the stable, machine-readable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Rejected(_) => "invalid_item",
            Self::Overloaded { .. } => "overloaded",
            Self::CallTooLarge { .. } => "call_too_large",
            Self::DeadlineExceeded => "deadline_exceeded",
            Self::LookupFailed { .. } => "lookup_failed",
            Self::ModelFailed { .. } => "model_failed",
            Self::Panicked { .. } => "pipeline_panicked",
            Self::ShuttingDown => "shutting_down",
        }
    }
}

/// What `predict_batch` returns when the model cannot answer.
///
/// The engine splits a failed batch until the guilty item is alone, so an implementation need not find it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct ModelError {
    /// What went wrong, for the caller and the log.
    pub reason: String,
}

impl ModelError {
    /// Makes an error from anything that can say what went wrong.
    pub fn new(reason: impl std::fmt::Display) -> Self {
        Self { reason: reason.to_string() }
    }
}

impl From<ndarray::ShapeError> for ModelError {
    fn from(error: ndarray::ShapeError) -> Self {
        Self::new(error)
    }
}
