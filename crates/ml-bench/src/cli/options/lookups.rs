//! `ml-bench lookups`.

use std::time::Duration;

use super::common::{outputs, seconds};
use crate::cli::flags::{Flags, Syntax};
use crate::cli::{CliError, Command};
use crate::lookups::LookupsOptions;

pub(super) const SYNTAX: Syntax =
    Syntax { argument: None, flags: &["rounds", "outage-s", "only", "json"], switches: &[] };

pub(super) fn read(flags: &Flags) -> Result<Command, CliError> {
    let outage = seconds(flags, "outage-s", "seconds above 0", |given| given > 0.0)?;
    let options = LookupsOptions {
        rounds: flags.count_or("rounds", 3)?,
        outage: outage.unwrap_or(Duration::from_secs(30)),
        only: flags.text("only")?,
    };
    Ok(Command::Lookups(options, outputs(flags)?))
}
