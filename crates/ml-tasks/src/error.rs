//! Why a task cannot be served from a folder.

use std::io;
use std::path::PathBuf;

use ml_core::LoadError;

/// Why a folder or model does not hold a task.
#[derive(Debug, thiserror::Error)]
pub enum TaskError {
    /// The model has other inputs or outputs than the task needs.
    #[error(transparent)]
    Model(#[from] LoadError),
    /// A file of settings cannot be read.
    #[error("{}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file of settings does not say what it should, or says what is not served.
    #[error("{}: {reason}", path.display())]
    Settings {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The graph does not fit the task.
    #[error("{}: {reason}", path.display())]
    Graph {
        /// The model's file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}
