//! The given settings, laid over the defaults into one configuration.

use std::collections::BTreeMap;

use super::Config;
use super::error::{ConfigError, Origin, Problem};
use super::setting::Given;

const QUEUE: &str = "queue_items_max";
const CALL: &str = "call_items_max";

/// Lays what was given over the defaults, in order.
pub(super) fn settle(given: impl Iterator<Item = Given>) -> Result<Config, ConfigError> {
    let mut config = Config::default();
    let mut origins = BTreeMap::new();
    for Given { setting, origin, text } in given {
        match setting.set(&mut config, &text) {
            Ok(()) => origins.insert(setting.key, origin),
            Err(problem) => return Err(origin.refuse(problem)),
        };
    }
    a_whole_call_fits_the_queue(&config, origins)?;
    Ok(config)
}

/// Refuses a queue that could never take the largest call.
fn a_whole_call_fits_the_queue(
    config: &Config,
    mut origins: BTreeMap<&'static str, Origin>,
) -> Result<(), ConfigError> {
    let (queue, call) = (config.queue_items_max, config.call_items_max);
    if queue >= call {
        return Ok(());
    }
    let (origin, key, found, takes) = match (origins.remove(QUEUE), origins.remove(CALL)) {
        (Some(origin), _) => (origin, QUEUE, queue, format!("at least {CALL}, which is {call}")),
        (None, Some(origin)) => (origin, CALL, call, format!("at most {QUEUE}, which is {queue}")),
        // The defaults fit.
        (None, None) => return Ok(()),
    };
    Err(origin.refuse(Problem::Refused { key, found: found.to_string(), takes, hint: None }))
}
