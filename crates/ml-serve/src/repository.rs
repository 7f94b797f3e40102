//! A repository of models in Triton's layout: a folder for each model, with its configuration and numbered versions.
//!
//! ```text
//! models/
//!   sentiment/
//!     config.pbtxt      optional: what it does not say is taken from the graph
//!     labels.txt
//!     1/model.onnx
//!     2/model.onnx
//! ```

pub(crate) mod config;
mod layout;
mod load;
mod poll;
pub(crate) mod sequence;
mod settle;
mod text;

pub(crate) use self::config::config_json;
pub(crate) use self::layout::is_repository;
pub(crate) use self::load::{Factory, Repository, WARM_UP_TIMEOUT};
pub(crate) use self::poll::Poller;
pub(crate) use self::settle::Settled;
