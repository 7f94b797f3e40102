//! Flags that several commands have.

use std::num::NonZeroUsize;
use std::time::Duration;

use crate::cli::flags::Flags;
use crate::cli::{CliError, Outputs, Usage};
use crate::{Server, Target};

/// A longer time than anyone measures for, and short enough to be added to an instant.
const MAX_SECONDS: f64 = 7.0 * 24.0 * 3600.0;

/// Reads `--url`, `--model`, `--target` and `--timeout-ms`.
pub(super) fn server(flags: &Flags, timeout: Duration) -> Result<Server, CliError> {
    let timeout_ms = flags.value("timeout-ms", "milliseconds from 1 up", |ms: &u32| *ms > 0)?;
    Ok(Server {
        url: flags.text("url")?.ok_or(Usage::Missing("url"))?,
        model: flags.text("model")?.ok_or(Usage::Missing("model"))?,
        target: target(flags)?,
        timeout: timeout_ms.map_or(timeout, |ms| Duration::from_millis(ms.into())),
    })
}

/// Reads `--target`.
pub(super) fn target(flags: &Flags) -> Result<Target, CliError> {
    Ok(flags.path("target")?.map_or_else(|| Ok(Target::default()), |path| Target::read(&path))?)
}

/// Reads a list of numbers of things.
pub(super) fn counts(flags: &Flags, flag: &'static str) -> Result<Option<Vec<NonZeroUsize>>, Usage> {
    flags.list(flag, "whole numbers from 1 up, with commas between them", |_| true)
}

/// Reads the files into which a report goes.
pub(super) fn outputs(flags: &Flags) -> Result<Outputs, Usage> {
    Ok(Outputs { json: flags.path("json")?, html: flags.path("html")?, markdown: flags.path("markdown")? })
}

/// Reads a time in seconds, which is `wanted`.
pub(super) fn seconds(
    flags: &Flags,
    flag: &'static str,
    wanted: &'static str,
    fits: fn(f64) -> bool,
) -> Result<Option<Duration>, Usage> {
    let given = flags.value(flag, wanted, |given: &f64| fits(*given) && *given <= MAX_SECONDS)?;
    Ok(given.map(Duration::from_secs_f64))
}

/// Reads a time in milliseconds with a fraction.
pub(super) fn milliseconds(flags: &Flags, flag: &'static str) -> Result<Option<Duration>, Usage> {
    let fits = |ms: &f64| *ms > 0.0 && *ms <= MAX_SECONDS * 1000.0;
    Ok(flags.value(flag, "milliseconds above 0", fits)?.map(|ms| Duration::from_secs_f64(ms / 1000.0)))
}
