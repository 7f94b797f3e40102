//! `ml-bench tune`.

use std::num::NonZeroUsize;
use std::time::Duration;

use super::common::{counts, milliseconds, outputs, seconds, target};
use crate::cli::flags::{Flags, Syntax};
use crate::cli::{CliError, Command, Usage};
use crate::tune::TuneOptions;

pub(super) const SYNTAX: Syntax = Syntax {
    argument: None,
    flags: &[
        "serve",
        "goal-p99-ms",
        "data",
        "model",
        "out",
        "budgets",
        "batch",
        "clients-max",
        "duration-s",
        "ready",
        "target",
        "json",
    ],
    switches: &[],
};

pub(super) fn read(flags: &Flags) -> Result<Command, CliError> {
    let options = TuneOptions {
        serve: flags.text("serve")?.ok_or(Usage::Missing("serve"))?,
        goal: milliseconds(flags, "goal-p99-ms")?.ok_or(Usage::Missing("goal-p99-ms"))?,
        data: flags.path("data")?.ok_or(Usage::Missing("data"))?,
        model: flags.text("model")?.ok_or(Usage::Missing("model"))?,
        target: target(flags)?,
        ready: flags.text("ready")?.unwrap_or_else(|| "/health/ready".to_owned()),
        batch: flags.count_or("batch", 1)?,
        budgets: match counts(flags, "budgets")? {
            Some(budgets) => budgets,
            None => [4, 8, 16, 32].into_iter().filter_map(NonZeroUsize::new).collect(),
        },
        clients_max: flags.count_or("clients-max", 64)?,
        duration: seconds(flags, "duration-s", "seconds from 0.01 up", |given| given >= 0.01)?
            .unwrap_or(Duration::from_secs(1)),
        out: flags.path("out")?.ok_or(Usage::Missing("out"))?,
    };
    Ok(Command::Tune(options, outputs(flags)?))
}
