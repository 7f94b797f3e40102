//! From a command line to the options of a measurement.

use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use lexopt::{Arg, Parser};

use super::flags::Flags;
use super::{CliError, Command, Usage, help};
use crate::eval::{EvalOptions, Limits};
use crate::load::{LoadOptions, MAX_IN_FLIGHT, Pace, Window};
use crate::{Server, Target};

const COMMANDS: [&str; 2] = ["eval", "load"];

const EVAL_FLAGS: [&str; 12] = [
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
];

const LOAD_FLAGS: [&str; 13] = [
    "url",
    "model",
    "data",
    "target",
    "timeout-ms",
    "json",
    "batch",
    "clients",
    "rate",
    "seed",
    "duration-s",
    "warm-up-s",
    "threads",
];

/// A longer time than anyone measures for, and short enough to be added to an instant.
const MAX_SECONDS: f64 = 7.0 * 24.0 * 3600.0;

/// Reads a command line without the program's name.
pub(super) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Command, CliError> {
    let mut parser = Parser::from_args(args);
    let command = match parser.next().map_err(Usage::from)? {
        None => return Err(Usage::NoCommand.into()),
        Some(Arg::Short('h') | Arg::Long("help")) => return Ok(Command::Print(help::MAIN)),
        Some(Arg::Short('V') | Arg::Long("version")) => return Ok(Command::Print(help::VERSION)),
        Some(Arg::Value(command)) => command.to_string_lossy().into_owned(),
        Some(Arg::Long(flag)) => return Err(Usage::unknown("flag", flag, &["help", "version"]).into()),
        Some(Arg::Short(letter)) => return Err(Usage::unknown("argument", &format!("-{letter}"), &[]).into()),
    };
    match command.as_str() {
        "eval" => match Flags::read(&mut parser, &EVAL_FLAGS)? {
            Some(flags) => Ok(Command::Eval(eval(&flags)?, flags.path("json")?)),
            None => Ok(Command::Print(help::EVAL)),
        },
        "load" => match Flags::read(&mut parser, &LOAD_FLAGS)? {
            Some(flags) => Ok(Command::Load(load(&flags)?, flags.path("json")?)),
            None => Ok(Command::Print(help::LOAD)),
        },
        other => Err(Usage::unknown("command", other, &COMMANDS).into()),
    }
}

fn eval(flags: &Flags) -> Result<EvalOptions, CliError> {
    let data: Vec<PathBuf> = flags.all("data").map(PathBuf::from).collect();
    if data.is_empty() {
        return Err(Usage::Missing("data").into());
    }
    let tolerance =
        flags.value("tolerance", "a number from 0 up", |gap: &f64| *gap >= 0.0 && gap.is_finite())?;
    let share = |share: &f64| (0.0..=1.0).contains(share);
    Ok(EvalOptions {
        server: server(flags, Duration::from_secs(300))?,
        data,
        limit: count(flags, "limit")?.map(NonZeroUsize::get),
        batch: count_or(flags, "batch", 256)?,
        clients: count_or(flags, "clients", 2)?,
        field: flags.text("field")?.unwrap_or_else(|| "label".to_owned()),
        limits: Limits {
            tolerance: tolerance.unwrap_or(1e-4),
            min_accuracy: flags.value("min-accuracy", "a share from 0 to 1", share)?,
        },
    })
}

fn load(flags: &Flags) -> Result<LoadOptions, CliError> {
    Ok(LoadOptions {
        server: server(flags, Duration::from_secs(30))?,
        data: flags.path("data")?.ok_or(Usage::Missing("data"))?,
        pace: pace(flags)?,
        batch: count_or(flags, "batch", 1)?,
        window: Window {
            warm_up: seconds(flags, "warm-up-s", "seconds from 0 up", |given| given >= 0.0)?
                .unwrap_or(Duration::from_secs(3)),
            duration: seconds(flags, "duration-s", "seconds from 0.1 up", |given| given >= 0.1)?
                .unwrap_or(Duration::from_secs(20)),
        },
        threads: count_or(flags, "threads", 1)?,
    })
}

fn pace(flags: &Flags) -> Result<Pace, Usage> {
    let rate = |rate: &f64| *rate > 0.0 && *rate <= 1e6;
    let rate = flags.value("rate", "requests per second, above 0 and at most 1000000", rate)?;
    let seed = flags.value("seed", "a whole number from 0 up", |_: &u64| true)?;
    match (rate, count(flags, "clients")?) {
        (Some(_), Some(_)) => Err(Usage::Both("clients", "rate")),
        (Some(per_second), None) => {
            Ok(Pace::Rate { per_second, seed: seed.unwrap_or(1), max_in_flight: MAX_IN_FLIGHT })
        }
        (None, _) => Ok(Pace::Clients(count_or(flags, "clients", 32)?)),
    }
}

fn server(flags: &Flags, timeout: Duration) -> Result<Server, CliError> {
    let timeout_ms = flags.value("timeout-ms", "milliseconds from 1 up", |ms: &u32| *ms > 0)?;
    Ok(Server {
        url: flags.text("url")?.ok_or(Usage::Missing("url"))?,
        model: flags.text("model")?.ok_or(Usage::Missing("model"))?,
        target: match flags.path("target")? {
            Some(path) => Target::read(&path)?,
            None => Target::default(),
        },
        timeout: timeout_ms.map_or(timeout, |ms| Duration::from_millis(ms.into())),
    })
}

fn count(flags: &Flags, flag: &'static str) -> Result<Option<NonZeroUsize>, Usage> {
    flags.value(flag, "a whole number from 1 up", |_| true)
}

fn count_or(flags: &Flags, flag: &'static str, default: usize) -> Result<NonZeroUsize, Usage> {
    Ok(count(flags, flag)?.or(NonZeroUsize::new(default)).unwrap_or(NonZeroUsize::MIN))
}

fn seconds(
    flags: &Flags,
    flag: &'static str,
    wanted: &'static str,
    fits: fn(f64) -> bool,
) -> Result<Option<Duration>, Usage> {
    let given = flags.value(flag, wanted, |given: &f64| fits(*given) && *given <= MAX_SECONDS)?;
    Ok(given.map(Duration::from_secs_f64))
}

#[cfg(test)]
mod tests;
