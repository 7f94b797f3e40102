#![doc = include_str!("../README.md")]

mod announce;
mod arrow;
mod body;
pub mod config;
mod error;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod grpc;
mod logs;
mod memory;
mod metrics;
mod oip;
mod onnx;
mod openapi;
mod registry;
mod repository;
mod request;
mod routes;
mod served;
mod server;
mod shutdown;
mod state;
mod tasks;
mod tensors;
mod wishes;

pub use config::Config;
pub use error::{ApiError, ErrorBody};
pub use served::ModelInfo;
pub use server::{ServeError, Server, main};

/// The examples of the project's README, compiled.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
