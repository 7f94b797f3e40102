//! The command line: the commands, their flags, and what the process exits with.

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
use crate::compare::{CompareOptions, compare};
use crate::echo::{EchoOptions, echo};
use crate::eval::{EvalOptions, evaluate};
use crate::limit::{LimitOptions, limit};
use crate::load::{LoadOptions, Pace, sweep};
use crate::lookups::{LookupsOptions, lookups};
use crate::tune::{TuneOptions, tune};
use crate::variants::{VariantsOptions, variants};

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
    Eval(EvalOptions, Outputs),
    /// Measure throughput and latency at one or more loads.
    Load(LoadOptions, Vec<Pace>, Outputs),
    /// Measure the model without a server.
    Limit(LimitOptions, Outputs),
    /// Compare several targets.
    Compare(CompareOptions, Outputs),
    /// Find settings.
    Tune(TuneOptions, Outputs),
    /// Measure lookups.
    Lookups(LookupsOptions, Outputs),
    /// Make and measure variants.
    Variants(VariantsOptions, Outputs),
    /// Serve bare handlers.
    Echo(EchoOptions),
    /// Print a text.
    Print(&'static str),
}

/// Files into which a report goes besides being printed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Outputs {
    json: Option<PathBuf>,
    html: Option<PathBuf>,
    markdown: Option<PathBuf>,
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
        Command::Eval(options, outputs) => {
            let report = evaluate(&options)?;
            publish(&report, &outputs, out)?;
            Ok(Exit::of(report.verdict.passed()))
        }
        Command::Load(options, paces, outputs) => {
            let report = sweep(&options, &paces)?;
            // One run is written as itself, so that its figures stand at the top of the file.
            match report.runs.as_slice() {
                [run] => publish(run, &outputs, out)?,
                _ => publish(&report, &outputs, out)?,
            }
            outputs.write_html(|| report.html())?;
            Ok(Exit::of(report.passed()))
        }
        Command::Limit(options, outputs) => {
            let report = limit(&options)?;
            publish(&report, &outputs, out)?;
            outputs.write_html(|| report.html())?;
            Ok(Exit::Passed)
        }
        Command::Compare(options, outputs) => {
            let report = compare(&options)?;
            publish(&report, &outputs, out)?;
            outputs.write_html(|| report.html())?;
            outputs.write_markdown(|| report.markdown())?;
            Ok(Exit::of(report.passed()))
        }
        Command::Tune(options, outputs) => {
            let report = tune(&options)?;
            publish(&report, &outputs, out)?;
            Ok(Exit::of(report.passed()))
        }
        Command::Lookups(options, outputs) => {
            let report = lookups(&options)?;
            publish(&report, &outputs, out)?;
            Ok(Exit::of(report.passed()))
        }
        Command::Variants(options, outputs) => {
            let report = variants(&options)?;
            publish(&report, &outputs, out)?;
            outputs.write_html(|| report.html())?;
            Ok(Exit::of(report.passed()))
        }
        Command::Echo(options) => {
            // The port is of use only while the server runs, so it is printed at once and the pipe not waited for.
            echo(&options, |address| {
                writeln!(out, "listening on http://{address}").and_then(|()| out.flush())
            })?;
            Ok(Exit::Passed)
        }
    }
}

impl Exit {
    fn of(passed: bool) -> Self {
        if passed { Self::Passed } else { Self::Failed }
    }
}

/// Prints a report, and writes it as JSON where asked for.
fn publish(
    report: &(impl Serialize + Display),
    outputs: &Outputs,
    out: &mut impl Write,
) -> Result<(), CliError> {
    write!(out, "{report}")?;
    if let Some(path) = &outputs.json {
        let unwritable = |error: serde_json::Error| Error::Write { path: path.clone(), source: error.into() };
        let text = serde_json::to_string_pretty(report).map_err(unwritable)?;
        write_file(path, &(text + "\n"))?;
    }
    Ok(())
}

impl Outputs {
    fn write_html(&self, page: impl FnOnce() -> String) -> Result<(), CliError> {
        self.html.as_ref().map_or(Ok(()), |path| write_file(path, &page()))
    }

    fn write_markdown(&self, text: impl FnOnce() -> String) -> Result<(), CliError> {
        self.markdown.as_ref().map_or(Ok(()), |path| write_file(path, &text()))
    }
}

fn write_file(path: &Path, text: &str) -> Result<(), CliError> {
    std::fs::write(path, text).map_err(|source| Error::Write { path: path.to_owned(), source })?;
    Ok(())
}
