//! The command line: two commands, their flags, and what the process exits with.

mod flags;
mod help;
mod nearest;
mod options;
mod usage;

use std::ffi::OsString;
use std::fmt::Display;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde::Serialize;

use crate::Error;
use crate::eval::{EvalOptions, evaluate};
use crate::load::{LoadOptions, load};

pub use usage::Usage;

/// What the process exits with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// The measurement was made and passed.
    Passed,
    /// The measurement was made and failed.
    Failed,
    /// No measurement was made.
    Unmeasured,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Passed => Self::SUCCESS,
            Exit::Failed => Self::from(1),
            Exit::Unmeasured => Self::from(2),
        }
    }
}

/// What a command line asks for.
#[derive(Debug)]
enum Command {
    /// Measure accuracy and agreement.
    Eval(EvalOptions, Option<PathBuf>),
    /// Measure throughput and latency.
    Load(LoadOptions, Option<PathBuf>),
    /// Print a text.
    Print(&'static str),
}

/// Why a command line could not be carried out.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// It could not be understood.
    #[error(transparent)]
    Usage(#[from] Usage),
    /// It was understood, and the measurement could not be made.
    #[error(transparent)]
    Measure(#[from] Error),
    /// The report could not be printed.
    #[error("cannot print: {0}")]
    Print(#[from] io::Error),
}

/// Carries out a command line (without the program's name), printing its report to `out`.
///
/// # Errors
///
/// When no measurement was made or its report could not be written.
pub fn run(args: impl IntoIterator<Item = OsString>, out: &mut impl Write) -> Result<Exit, CliError> {
    match options::parse(args)? {
        Command::Print(text) => {
            out.write_all(text.as_bytes())?;
            Ok(Exit::Passed)
        }
        Command::Eval(options, json) => {
            let report = evaluate(&options)?;
            publish(&report, json.as_deref(), out)?;
            Ok(if report.verdict.passed() { Exit::Passed } else { Exit::Failed })
        }
        Command::Load(options, json) => {
            let report = load(&options)?;
            publish(&report, json.as_deref(), out)?;
            Ok(if report.answered > 0 { Exit::Passed } else { Exit::Failed })
        }
    }
}

fn publish(
    report: &(impl Serialize + Display),
    json: Option<&Path>,
    out: &mut impl Write,
) -> Result<(), CliError> {
    write!(out, "{report}")?;
    if let Some(path) = json {
        let unwritable = |source| Error::Write { path: path.to_owned(), source };
        let text = serde_json::to_string_pretty(report).map_err(|error| unwritable(error.into()))?;
        std::fs::write(path, text + "\n").map_err(unwritable)?;
    }
    Ok(())
}
