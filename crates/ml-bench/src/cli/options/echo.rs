//! `ml-bench echo`.

use std::num::NonZeroUsize;
use std::thread;

use crate::cli::flags::{Flags, Syntax};
use crate::cli::{CliError, Command};
use crate::echo::EchoOptions;

pub(super) const SYNTAX: Syntax =
    Syntax { argument: None, flags: &["port", "workers", "bytes"], switches: &[] };

pub(super) fn read(flags: &Flags) -> Result<Command, CliError> {
    let cpus = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let size = |bytes: &usize| *bytes <= 1 << 30;
    Ok(Command::Echo(EchoOptions {
        port: flags.value("port", "a port from 0 to 65535", |_| true)?.unwrap_or(0),
        workers: flags.count_or("workers", cpus)?,
        bytes: flags.value("bytes", "bytes from 0 to 1073741824", size)?.unwrap_or(128),
    }))
}
