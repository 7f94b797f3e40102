//! The log: lines for a person or JSON objects, on standard error. Set up by the program, never by the library.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;

use crate::config::{Config, LogFormat};

/// Starts logging as the configuration says. Does nothing when the program has already set a log up.
pub(crate) fn start(config: &Config) {
    // What actix says about its workers is news only to somebody who asks for it, and what it says about a broken
    // request head could be used by any caller to fill the log.
    let directives = format!("actix_server=warn,actix_http=off,{}", config.log_level);
    let filter = EnvFilter::try_new(directives).unwrap_or_else(|_| EnvFilter::new("info"));
    let colours = std::io::stderr().is_terminal();
    let builder = fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colours);
    let started = match config.log_format {
        LogFormat::Human => builder.with_target(false).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    if started.is_err() {
        tracing::debug!("the program set up its own log, which is kept");
    }
}
