//! From a command line to the options of a measurement: one file a command.

mod common;
mod compare;
mod echo;
mod eval;
mod limit;
mod load;
mod lookups;
mod tune;
mod variants;

use std::ffi::OsString;

use lexopt::{Arg, Parser};

use super::flags::{Flags, Syntax};
use super::{CliError, Command, Usage, help};

/// A command: its name, what it takes, its help, and how its flags are read.
struct Entry {
    name: &'static str,
    syntax: Syntax,
    help: &'static str,
    read: fn(&Flags) -> Result<Command, CliError>,
}

const COMMANDS: [Entry; 8] = [
    Entry { name: "eval", syntax: eval::SYNTAX, help: help::EVAL, read: eval::read },
    Entry { name: "load", syntax: load::SYNTAX, help: help::LOAD, read: load::read },
    Entry { name: "limit", syntax: limit::SYNTAX, help: help::LIMIT, read: limit::read },
    Entry { name: "compare", syntax: compare::SYNTAX, help: help::COMPARE, read: compare::read },
    Entry { name: "tune", syntax: tune::SYNTAX, help: help::TUNE, read: tune::read },
    Entry { name: "lookups", syntax: lookups::SYNTAX, help: help::LOOKUPS, read: lookups::read },
    Entry { name: "variants", syntax: variants::SYNTAX, help: help::VARIANTS, read: variants::read },
    Entry { name: "echo", syntax: echo::SYNTAX, help: help::ECHO, read: echo::read },
];

/// Reads a command line without the program's name.
pub(super) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Command, CliError> {
    let names = COMMANDS.map(|entry| entry.name);
    let mut parser = Parser::from_args(args);
    let command = match parser.next().map_err(Usage::from)? {
        None => return Err(Usage::NoCommand(names.join(", ")).into()),
        Some(Arg::Short('h') | Arg::Long("help")) => return Ok(Command::Print(help::MAIN)),
        Some(Arg::Short('V') | Arg::Long("version")) => return Ok(Command::Print(help::VERSION)),
        Some(Arg::Value(command)) => command.to_string_lossy().into_owned(),
        Some(Arg::Long(flag)) => return Err(Usage::unknown("flag", flag, &["help", "version"]).into()),
        Some(Arg::Short(letter)) => return Err(Usage::unknown("argument", &format!("-{letter}"), &[]).into()),
    };
    let Some(entry) = COMMANDS.iter().find(|entry| entry.name == command) else {
        return Err(Usage::unknown("command", &command, &names).into());
    };
    match Flags::read(&mut parser, entry.syntax)? {
        Some(flags) => (entry.read)(&flags),
        None => Ok(Command::Print(entry.help)),
    }
}

#[cfg(test)]
mod tests;
