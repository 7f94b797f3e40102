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
    #[error("{full}; try again in {:.1} s", retry_after.as_secs_f64())]
    Overloaded {
        /// Which of the queue's bounds was reached.
        full: Full,
        /// How long it will take until a call like this one is taken, from the measured rate of the runners.
        retry_after: Duration,
    },

    /// The call can never be taken: its items have more bytes than the queue holds.
    #[error("the call has {bytes} bytes of items, the queue holds {limit_bytes}")]
    CallTooLarge {
        /// Bytes of the call's items, or of that part of them that would have to wait together.
        bytes: usize,
        /// The queue's bound.
        limit_bytes: usize,
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

/// Which of the queue's bounds was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Full {
    /// Too many items wait.
    #[error("{waiting_items} items are waiting, the queue takes {limit_items}")]
    Items {
        /// Items waiting when the call was refused.
        waiting_items: usize,
        /// The bound.
        limit_items: usize,
    },
    /// The items that wait have too many bytes.
    #[error("{waiting_bytes} bytes of items are waiting, the queue takes {limit_bytes}")]
    Bytes {
        /// Bytes of the items that wait.
        waiting_bytes: usize,
        /// The bound.
        limit_bytes: usize,
    },
    /// What waits would take longer than the call has time, or than anything may wait.
    #[error("the wait is about {} ms, the limit is {} ms", estimated_wait.as_millis(), limit.as_millis())]
    Time {
        /// The estimate, from the measured rate of the runners.
        estimated_wait: Duration,
        /// The time that the caller has, or the longest that an item may wait.
        limit: Duration,
    },
}

impl Full {
    /// Every name there is, for metrics.
    pub const NAMES: [&'static str; 3] = ["queue_items", "queue_bytes", "queue_time"];

    /// Returns what is full, as metrics name it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Items { .. } => "queue_items",
            Self::Bytes { .. } => "queue_bytes",
            Self::Time { .. } => "queue_time",
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
