//! `ml-bench load`.

use std::time::Duration;

use super::common::{counts, milliseconds, outputs, seconds, server};
use crate::cli::flags::{Flags, Syntax};
use crate::cli::{CliError, Command, Usage};
use crate::load::{Arrivals, Goal, LoadOptions, MAX_IN_FLIGHT, Pace, Window};

pub(super) const SYNTAX: Syntax = Syntax {
    argument: None,
    flags: &[
        "url",
        "model",
        "data",
        "target",
        "timeout-ms",
        "json",
        "html",
        "batch",
        "clients",
        "rate",
        "rates",
        "arrivals",
        "seed",
        "duplicates",
        "duration-s",
        "warm-up-s",
        "goal-ms",
        "threads",
        "idle",
        "pid",
    ],
    switches: &[],
};

/// All arrivals are decided before the run, each in 16 bytes.
const MAX_ARRIVALS: f64 = 50e6;

pub(super) fn read(flags: &Flags) -> Result<Command, CliError> {
    let window = Window {
        warm_up: seconds(flags, "warm-up-s", "seconds from 0 up", |given| given >= 0.0)?
            .unwrap_or(Duration::from_secs(3)),
        duration: seconds(flags, "duration-s", "seconds from 0.1 up", |given| given >= 0.1)?
            .unwrap_or(Duration::from_secs(20)),
    };
    let seed = flags.value("seed", "a whole number from 0 up", |_: &u64| true)?.unwrap_or(1);
    let paces = paces(flags, seed, window)?;
    let share = |share: &f64| (0.0..=1.0).contains(share);
    let options = LoadOptions {
        server: server(flags, Duration::from_secs(30))?,
        data: flags.path("data")?.ok_or(Usage::Missing("data"))?,
        pace: paces[0],
        batch: flags.count_or("batch", 1)?,
        window,
        threads: flags.count_or("threads", 1)?,
        goal: milliseconds(flags, "goal-ms")?.map(Goal),
        duplicates: flags.value("duplicates", "a share from 0 to 1", share)?.unwrap_or(0.0),
        seed,
        idle: flags.count("idle")?,
        pid: flags.value("pid", "the id of a process", |pid: &u32| *pid > 0)?,
    };
    Ok(Command::Load(options, paces, outputs(flags)?))
}

/// Reads at least one pace.
fn paces(flags: &Flags, seed: u64, window: Window) -> Result<Vec<Pace>, Usage> {
    const WANTED: &str =
        "requests per second, above 0, at most 1000000, and with at most 50000000 in the whole run";
    let fits = |rate: &f64| *rate > 0.0 && *rate <= 1e6 && *rate * window.end().as_secs_f64() <= MAX_ARRIVALS;
    let rate = flags.value("rate", WANTED, fits)?.map(|rate| vec![rate]);
    let rates = match (rate, flags.list("rates", WANTED, fits)?) {
        (Some(_), Some(_)) => return Err(Usage::Both("rate", "rates")),
        (rate, rates) => rate.or(rates),
    };
    let clients = counts(flags, "clients")?;
    let arrivals = arrivals(flags, seed)?;
    match (rates, clients) {
        (Some(_), Some(_)) => Err(Usage::Both("clients", "rate")),
        (None, _) if flags.switch("arrivals") => Err(Usage::Needs("arrivals", "rate")),
        (Some(rates), None) => {
            let pace = |per_second| Pace::Rate { per_second, arrivals, max_in_flight: MAX_IN_FLIGHT };
            Ok(rates.into_iter().map(pace).collect())
        }
        (None, Some(clients)) => Ok(clients.into_iter().map(Pace::Clients).collect()),
        (None, None) => Ok(vec![Pace::Clients(flags.count_or("clients", 32)?)]),
    }
}

fn arrivals(flags: &Flags, seed: u64) -> Result<Arrivals, Usage> {
    let known = |word: &String| matches!(word.as_str(), "poisson" | "fixed");
    let word = flags.value("arrivals", "poisson or fixed", known)?;
    Ok(if word.as_deref() == Some("fixed") { Arrivals::Fixed } else { Arrivals::Poisson { seed } })
}
