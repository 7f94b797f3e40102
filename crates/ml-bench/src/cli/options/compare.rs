//! `ml-bench compare`.

use super::common::outputs;
use crate::cli::flags::{Flags, Syntax};
use crate::cli::{CliError, Command};
use crate::compare::CompareOptions;

pub(super) const SYNTAX: Syntax = Syntax {
    argument: Some("FILE"),
    flags: &["rounds", "targets", "scenarios", "json", "html", "markdown"],
    switches: &[],
};

pub(super) fn read(flags: &Flags) -> Result<Command, CliError> {
    let names = |flag| flags.list(flag, "names with commas between them", |name: &String| !name.is_empty());
    let options = CompareOptions {
        file: flags.argument("FILE")?,
        rounds: flags.count_or("rounds", 5)?,
        targets: names("targets")?.unwrap_or_default(),
        scenarios: names("scenarios")?.unwrap_or_default(),
    };
    Ok(Command::Compare(options, outputs(flags)?))
}
