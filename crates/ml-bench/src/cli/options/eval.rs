//! `ml-bench eval`.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use super::common::{outputs, server};
use crate::cli::flags::{Flags, Syntax};
use crate::cli::{CliError, Command, Usage};
use crate::eval::{EvalOptions, Limits};

pub(super) const SYNTAX: Syntax = Syntax {
    argument: None,
    flags: &[
        "url",
        "model",
        "data",
        "target",
        "timeout-ms",
        "json",
        "batch",
        "clients",
        "field",
        "tolerance",
        "min-accuracy",
        "limit",
    ],
    switches: &[],
};

pub(super) fn read(flags: &Flags) -> Result<Command, CliError> {
    let data: Vec<PathBuf> = flags.all("data").map(PathBuf::from).collect();
    if data.is_empty() {
        return Err(Usage::Missing("data").into());
    }
    let tolerance =
        flags.value("tolerance", "a number from 0 up", |gap: &f64| *gap >= 0.0 && gap.is_finite())?;
    let share = |share: &f64| (0.0..=1.0).contains(share);
    let options = EvalOptions {
        server: server(flags, Duration::from_secs(300))?,
        data,
        limit: flags.count("limit")?.map(NonZeroUsize::get),
        batch: flags.count_or("batch", 256)?,
        clients: flags.count_or("clients", 2)?,
        field: flags.text("field")?.unwrap_or_else(|| "label".to_owned()),
        limits: Limits {
            tolerance: tolerance.unwrap_or(1e-4),
            min_accuracy: flags.value("min-accuracy", "a share from 0 to 1", share)?,
        },
    };
    Ok(Command::Eval(options, outputs(flags)?))
}
