//! Servers as processes: started, waited for until they answer, and stopped by the id that they were started with.

mod ready;
mod running;
mod tree;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

pub(crate) use ready::{first_answer, wait_ready};
pub(crate) use running::Running;
pub(crate) use tree::Tree;

/// How a server is started.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Start {
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// The working directory, in a file relative to it.
    #[serde(default)]
    pub directory: PathBuf,
    /// Variables added to the environment.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
}
