//! Configuration: a TOML file, then the environment, then flags, and the later one wins.
//!
//! One table, [`SETTINGS`], names every key with its range, default and help. The file's keys, the
//! environment's names, the flags, `--help`, `docs/configuration.md` and `docs/serve.example.toml` all follow
//! from it.

mod environment;
mod error;
mod fields;
mod file;
mod flags;
mod form;
mod help;
mod models;
mod nearest;
mod setting;
mod settle;
mod table;
mod tasks;

pub use error::{ConfigError, Origin, Problem};
pub use fields::{Config, LogFormat, ModelControl, ModelEntry};
pub use setting::{Choice, Kind, Setting};
pub use table::SETTINGS;
pub use tasks::{Column, ColumnKind, Missing, ModelTask, TaskChoice};

use std::ffi::OsString;
use std::path::Path;
use std::{fs, io};

use self::flags::CommandLine;

/// What the command line asks the process to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Invocation {
    /// Serve with this configuration.
    Serve(Box<Config>),
    /// Print this help and stop.
    Help(String),
    /// Print this version line and stop.
    Version(String),
}

/// Returns what this process was asked to do, from its arguments, its environment and the file that they
/// name.
///
/// # Errors
///
/// Returns the first key or value that is wrong, with its place; see [`from_sources`].
pub fn from_process() -> Result<Invocation, ConfigError> {
    from_sources(std::env::args_os().skip(1), std::env::vars_os(), |path| fs::read_to_string(path))
}

/// Returns what is asked for by the arguments (without the program's name), the environment and the file that
/// they name.
///
/// ```
/// use ml_serve::config::{Invocation, from_sources};
///
/// let environment = [("ML_SERVE_PORT".into(), "9000".into())];
/// let invocation = from_sources(["model.onnx".into()], environment, |_| Ok(String::new()))?;
/// assert!(matches!(invocation, Invocation::Serve(config) if config.port == 9000));
/// # Ok::<(), ml_serve::config::ConfigError>(())
/// ```
///
/// # Errors
///
/// Returns the first key or value that is wrong, even one that a later source would replace: it was meant to
/// do something.
pub fn from_sources(
    args: impl IntoIterator<Item = OsString>,
    env: impl IntoIterator<Item = (OsString, OsString)>,
    read_file: impl FnOnce(&Path) -> io::Result<String>,
) -> Result<Invocation, ConfigError> {
    let flags = match flags::read(args)? {
        CommandLine::Serve(flags) => flags,
        CommandLine::Help => return Ok(Invocation::Help(help::help())),
        CommandLine::Version => return Ok(Invocation::Version(help::version())),
    };
    let environment = environment::read(env)?;
    let file = match flags.config.or(environment.config) {
        Some(path) => file::read(&path, read_file)?,
        None => file::File::default(),
    };
    let given = file.given.into_iter().chain(environment.given).chain(flags.given);
    let models = file.models.into_iter().chain(flags.models).collect();
    Ok(Invocation::Serve(Box::new(Config { models, ..settle::settle(given)? })))
}
