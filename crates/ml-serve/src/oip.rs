//! The Open Inference Protocol, version 2, as Triton speaks it: tensors by name, in JSON or as they lie in memory.
//!
//! What is said here is the protocol, whatever carries it; `routes/oip.rs` carries it over HTTP. Texts of refusals are
//! Triton's, because its clients look for them.

pub(crate) mod binary;
pub(crate) mod classify;
pub(crate) mod datatype;
pub(crate) mod describe;
pub(crate) mod example;
pub(crate) mod infer;
pub(crate) mod inputs;
pub(crate) mod json;
pub(crate) mod models;
pub(crate) mod outputs;
pub(crate) mod parameters;
pub(crate) mod refusal;
pub(crate) mod regions;
pub(crate) mod repository;
pub(crate) mod request;
pub(crate) mod settings;
pub(crate) mod statistics;

pub(crate) use self::refusal::Refusal;

/// The extensions that are served, as server metadata names them.
pub(crate) const EXTENSIONS: [&str; 11] = [
    "classification",
    "sequence",
    "model_repository",
    "schedule_policy",
    "model_configuration",
    "system_shared_memory",
    "binary_tensor_data",
    "parameters",
    "statistics",
    "trace",
    "logging",
];
