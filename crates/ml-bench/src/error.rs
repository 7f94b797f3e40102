//! Why a measurement could not be made; a measurement that was made and failed is a verdict instead.

use std::io;
use std::path::PathBuf;

use crate::limit::LimitError;

/// Why a measurement could not be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A report could not be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A line of a data file is not an item.
    #[error("{file}:{line}: {reason}")]
    Line {
        /// The data file.
        file: String,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// The data files hold no item.
    #[error("no items in {0}, at least 1 is needed")]
    NoItems(String),
    /// The target description cannot be used.
    #[error("target {name}: {reason}")]
    Target {
        /// The file of the description, or the field of it.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The address of the server cannot be used.
    #[error("url {url}: {reason}")]
    Url {
        /// The address as given.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A client thread or its runtime did not start.
    #[error("cannot start a client thread: {0}")]
    Thread(#[source] io::Error),
    /// Client threads went away, and what they counted with them.
    #[error("{lost} of {threads} client threads stopped without a result")]
    Lost {
        /// Threads without a result.
        lost: usize,
        /// All threads.
        threads: usize,
    },
    /// The connections that should stay open beside the load could not be opened.
    #[error("cannot open {connections} idle connections to {url}, only {open}: {source}")]
    Idle {
        /// The address of the server.
        url: String,
        /// Those that were opened.
        open: usize,
        /// Those that were asked for.
        connections: usize,
        /// What the operating system said.
        source: io::Error,
    },
    /// The latency histogram could not be made.
    #[error("latency histogram: {0}")]
    Histogram(#[from] hdrhistogram::CreationError),
    /// There is no process with this id.
    #[error("no process {0}, so its memory cannot be read")]
    NoProcess(u32),
    /// A server could not be started, or did not answer.
    #[error("target {name}: {reason}")]
    Start {
        /// The target.
        name: String,
        /// What went wrong.
        reason: String,
    },
    /// The model could not be run without a server.
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// A model file could not be read or written.
    #[error(transparent)]
    Onnx(#[from] ml_onnx::FileError),
    /// A variant cannot be made of this model.
    #[error("variant {variant}: {source}")]
    Pass {
        /// The variant.
        variant: String,
        /// Why not.
        source: ml_onnx::PassError,
    },
    /// Variants cannot be measured on this model or with these data.
    #[error("variants: {0}")]
    Variants(String),
    /// Nothing to measure is left of what was asked for.
    #[error("nothing to measure: sessions × threads of every combination are more than the CPUs")]
    NoCases,
    /// The echo server could not listen.
    #[error("cannot listen on port {port}: {source}")]
    Listen {
        /// The port.
        port: u16,
        /// What the operating system said.
        source: io::Error,
    },
    /// The file of a comparison cannot be used.
    #[error("{}: {reason}", path.display())]
    Plan {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A name that was asked for is none of those that there are.
    #[error("there is no {what} {name}, only {known}")]
    NoSuch {
        /// "target" or "scenario".
        what: &'static str,
        /// What was asked for.
        name: String,
        /// Those that there are.
        known: String,
    },
}
