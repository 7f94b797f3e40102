//! The log: lines for a person or JSON objects, on standard error. Set up by the program, never by the library.

use std::io::IsTerminal;
use std::sync::{Mutex, OnceLock, PoisonError};

use tracing::subscriber::Interest;
use tracing::{Level, Metadata, Subscriber, span};
use tracing_subscriber::layer::{Context, Filter, Layer, SubscriberExt};
use tracing_subscriber::registry::{LookupSpan, Registry};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, fmt, reload};

use crate::config::{Config, LogFormat};

/// What can be changed of the log while the server runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Levels {
    pub info: bool,
    pub warning: bool,
    pub error: bool,
    /// 0: what the configuration says; 1: also what is for debugging; more: everything of ours.
    pub verbose: u32,
}

impl Default for Levels {
    fn default() -> Self {
        Self { info: true, warning: true, error: true, verbose: 0 }
    }
}

/// The log of this process, where it is ours.
struct Log {
    directives: String,
    levels: Mutex<Levels>,
    filter: reload::Handle<LogFilter, Registry>,
}

static LOG: OnceLock<Log> = OnceLock::new();

/// Starts logging as the configuration says. Does nothing when the program has already set a log up.
pub(crate) fn start(config: &Config) {
    // What actix says about its workers is news only to somebody who asks for it, and what it says about a broken
    // request head could be used by any caller to fill the log.
    let directives = format!("actix_server=warn,actix_http=off,{}", config.log_level);
    let levels = Levels::default();
    let (filter, handle) = reload::Layer::new(LogFilter::new(&directives, levels));
    let lines = fmt::layer().with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal());
    let lines = match config.log_format {
        LogFormat::Human => lines.with_target(false).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    if tracing_subscriber::registry().with(lines.with_filter(filter)).try_init().is_err() {
        tracing::debug!("the program set up its own log, which is kept");
        return;
    }
    // Nobody else starts it: it would not have been set up.
    drop(LOG.set(Log { directives, levels: Mutex::new(levels), filter: handle }));
}

/// Returns what is logged; `None` where the program has a log of its own.
pub(crate) fn levels() -> Option<Levels> {
    LOG.get().map(|log| *log.levels.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Changes what is logged, from the next line on.
///
/// # Errors
/// When the log is not ours, or has ended.
pub(crate) fn set_levels(levels: Levels) -> Result<(), String> {
    let log = LOG.get().ok_or("the program has a log of its own")?;
    let mut held = log.levels.lock().unwrap_or_else(PoisonError::into_inner);
    log.filter.reload(LogFilter::new(&log.directives, levels)).map_err(|error| error.to_string())?;
    *held = levels;
    Ok(())
}

/// The configuration's filter, without the levels that were turned off.
///
/// What is filtered out is known by place, not asked for each line: a level that is off costs nothing.
struct LogFilter {
    configured: EnvFilter,
    levels: Levels,
}

impl LogFilter {
    fn new(directives: &str, levels: Levels) -> Self {
        let more = match levels.verbose {
            0 => "",
            1 => ",ml_serve=debug,ml_core=debug",
            _ => ",ml_serve=trace,ml_core=trace",
        };
        let configured = EnvFilter::try_new(format!("{directives}{more}"));
        Self { configured: configured.unwrap_or_else(|_| EnvFilter::new("info")), levels }
    }

    fn lets(&self, metadata: &Metadata<'_>) -> bool {
        match *metadata.level() {
            Level::ERROR => self.levels.error,
            Level::WARN => self.levels.warning,
            Level::INFO => self.levels.info,
            _ => true,
        }
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Filter<S> for LogFilter {
    fn enabled(&self, metadata: &Metadata<'_>, context: &Context<'_, S>) -> bool {
        self.lets(metadata) && Filter::<S>::enabled(&self.configured, metadata, context)
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.lets(metadata) {
            Filter::<S>::callsite_enabled(&self.configured, metadata)
        } else {
            Interest::never()
        }
    }

    fn max_level_hint(&self) -> Option<tracing::level_filters::LevelFilter> {
        Filter::<S>::max_level_hint(&self.configured)
    }

    fn on_new_span(&self, attributes: &span::Attributes<'_>, id: &span::Id, context: Context<'_, S>) {
        Filter::<S>::on_new_span(&self.configured, attributes, id, context);
    }

    fn on_record(&self, id: &span::Id, values: &span::Record<'_>, context: Context<'_, S>) {
        Filter::<S>::on_record(&self.configured, id, values, context);
    }

    fn on_enter(&self, id: &span::Id, context: Context<'_, S>) {
        Filter::<S>::on_enter(&self.configured, id, context);
    }

    fn on_exit(&self, id: &span::Id, context: Context<'_, S>) {
        Filter::<S>::on_exit(&self.configured, id, context);
    }

    fn on_close(&self, id: span::Id, context: Context<'_, S>) {
        Filter::<S>::on_close(&self.configured, id, context);
    }
}
