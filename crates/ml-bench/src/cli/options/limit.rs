//! `ml-bench limit`.

use std::num::NonZeroUsize;
use std::thread;

use ml_core::RuntimeChoice;

use super::common::{counts, outputs};
use crate::cli::flags::{Flags, Syntax};
use crate::cli::{CliError, Command, Usage};
use crate::limit::{LimitOptions, Order, Width, Workload};

pub(super) const SYNTAX: Syntax = Syntax {
    argument: Some("MODEL"),
    flags: &[
        "data",
        "tokenizer",
        "field",
        "items",
        "rounds",
        "sessions",
        "threads",
        "batches",
        "orders",
        "runtime",
        "json",
        "html",
    ],
    switches: &["latency", "no-optimised-copy"],
};

pub(super) fn read(flags: &Flags) -> Result<Command, CliError> {
    let options = LimitOptions {
        workload: Workload {
            model: flags.argument("MODEL")?,
            runtime: runtime(flags)?,
            data: flags.path("data")?.ok_or(Usage::Missing("data"))?,
            tokenizer: flags.path("tokenizer")?,
            field: flags.text("field")?.unwrap_or_else(|| "text".to_owned()),
            items: flags.count_or("items", 512)?,
            optimised_copy: !flags.switch("no-optimised-copy"),
        },
        widths: widths(flags)?,
        batches: match counts(flags, "batches")? {
            Some(batches) => batches,
            None => [1, 4, 8, 16, 32].into_iter().filter_map(NonZeroUsize::new).collect(),
        },
        orders: orders(flags)?,
        rounds: flags.count_or("rounds", 3)?,
        latency: flags.switch("latency"),
    };
    Ok(Command::Limit(options, outputs(flags)?))
}

/// Reads sessions and threads; where both are given, what was asked for is run, also beyond the CPUs.
fn widths(flags: &Flags) -> Result<Vec<Width>, Usage> {
    let cpus = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let (sessions, threads) = (counts(flags, "sessions")?, counts(flags, "threads")?);
    let steps = || Width::steps(cpus);
    Ok(match (sessions, threads) {
        (Some(sessions), Some(threads)) => Width::within(usize::MAX, &sessions, &threads),
        (sessions, threads) => {
            Width::within(cpus, &sessions.unwrap_or_else(steps), &threads.unwrap_or_else(steps))
        }
    })
}

fn orders(flags: &Flags) -> Result<Vec<Order>, Usage> {
    let known = |word: &String| matches!(word.as_str(), "arrival" | "sorted");
    let words = flags.list("orders", "arrival, sorted, or both with a comma between them", known)?;
    let order = |word: String| if word == "sorted" { Order::Sorted } else { Order::Arrival };
    Ok(words
        .map_or_else(|| vec![Order::Arrival, Order::Sorted], |words| words.into_iter().map(order).collect()))
}

pub(super) fn runtime(flags: &Flags) -> Result<RuntimeChoice, Usage> {
    let known = |word: &String| matches!(word.as_str(), "auto" | "onnxruntime" | "rten");
    let word = flags.value("runtime", "auto, onnxruntime or rten", known)?;
    Ok(match word.as_deref() {
        Some("onnxruntime") => RuntimeChoice::OnnxRuntime,
        Some("rten") => RuntimeChoice::Rten,
        _ => RuntimeChoice::Auto,
    })
}
