//! The trace extension: of some requests, the log has a line with what each part of them took.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use ml_core::Timings;

use super::{Changes, Value, check_allowed};
use crate::ApiError;
use crate::oip::Refusal;
use crate::oip::inputs::Contract;
use crate::oip::models::Named;
use crate::state::State;

/// What is traced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Setting {
    on: bool,
    /// One of so many requests.
    rate: u64,
    /// Requests that are still to be traced; `None` for any number.
    count: Option<u64>,
}

const USUAL: Setting = Setting { on: false, rate: 1000, count: None };

/// What was set, for all models or for one; what was not set is as it is otherwise.
#[derive(Debug, Clone, Copy, Default)]
struct Wishes {
    on: Option<bool>,
    rate: Option<u64>,
    count: Option<Option<u64>>,
    /// Requests since it was set.
    seen: u64,
}

impl Wishes {
    fn over(self, other: Setting) -> Setting {
        Setting {
            on: self.on.unwrap_or(other.on),
            rate: self.rate.unwrap_or(other.rate),
            count: self.count.unwrap_or(other.count),
        }
    }
}

/// The trace settings of a server.
#[derive(Debug, Default)]
pub(crate) struct Traces {
    /// Whether anything is traced at all, which every request asks.
    any: AtomicBool,
    wishes: Mutex<AllWishes>,
}

#[derive(Debug, Default)]
struct AllWishes {
    of_all: Wishes,
    of_model: BTreeMap<String, Wishes>,
}

impl Traces {
    fn wishes(&self) -> MutexGuard<'_, AllWishes> {
        self.wishes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn setting(&self, model: &str) -> Setting {
        let wishes = self.wishes();
        let of_all = wishes.of_all.over(USUAL);
        wishes.of_model.get(model).map_or(of_all, |wishes| wishes.over(of_all))
    }

    /// Counts a request, and returns whether it is traced.
    fn takes(&self, model: &str) -> bool {
        let setting = self.setting(model);
        if !setting.on || setting.count == Some(0) {
            return false;
        }
        let mut wishes = self.wishes();
        let AllWishes { of_all, of_model } = &mut *wishes;
        let counted = of_model.get_mut(model).unwrap_or(of_all);
        counted.seen += 1;
        if !counted.seen.is_multiple_of(setting.rate) {
            return false;
        }
        // Where the number is that of all models, it is theirs together.
        let of_model = of_model.get_mut(model).and_then(|wishes| wishes.count.as_mut());
        if let Some(Some(count)) = of_model.or(of_all.count.as_mut()) {
            *count = count.saturating_sub(1);
        }
        true
    }

    /// Writes a request that was answered down, where it is one of those that are.
    pub fn answered(&self, contract: Contract<'_>, id: &str, timings: &Timings) {
        if !self.any.load(Ordering::Relaxed) || !self.takes(contract.name) {
            return;
        }
        let parts: Vec<String> =
            timings.iter().map(|(stage, time)| format!("{}={time:?}", stage.name())).collect();
        tracing::info!(model = contract.name, version = contract.version, id, "trace: {}", parts.join(" "));
    }
}

/// Returns the settings of a model, or of all, by name; each has one value or several.
///
/// # Errors
/// When there is no such model.
pub(crate) fn settings(state: &State, model: &str) -> Result<Vec<(&'static str, Vec<String>)>, Refusal> {
    check_model(state, model)?;
    let Setting { on, rate, count } = state.traces.setting(model);
    let count = count.map_or_else(|| "-1".to_owned(), |count| count.to_string());
    let one = |text: &str| vec![text.to_owned()];
    Ok(vec![
        ("trace_level", one(if on { "TIMESTAMPS" } else { "OFF" })),
        ("trace_rate", vec![rate.to_string()]),
        ("trace_count", vec![count]),
        ("log_frequency", one("0")),
        ("trace_file", one("")),
        ("trace_mode", one("triton")),
    ])
}

fn check_model(state: &State, model: &str) -> Result<(), Refusal> {
    if model.is_empty() { Ok(()) } else { Named::new(model.to_owned(), "").of(state).map(drop) }
}

/// Changes what is wanted, all or nothing.
///
/// # Errors
/// When requests may not, there is no such model, or a setting or value is none.
pub(crate) fn change(state: &State, model: &str, changes: &Changes) -> Result<(), Refusal> {
    check_model(state, model)?;
    check_allowed(state, changes)?;
    if changes.is_empty() {
        return Ok(());
    }
    let mut all = state.traces.wishes();
    let mut wishes = match model {
        "" => all.of_all,
        model => all.of_model.get(model).copied().unwrap_or_default(),
    };
    for (name, value) in changes {
        take(&mut wishes, name, value)?;
    }
    wishes.seen = 0;
    match model {
        "" => all.of_all = wishes,
        model => drop(all.of_model.insert(model.to_owned(), wishes)),
    }
    let any = all.of_model.values().chain([&all.of_all]).any(|wishes| wishes.on == Some(true));
    state.traces.any.store(any, Ordering::Relaxed);
    Ok(())
}

fn take(wishes: &mut Wishes, name: &str, value: &Value) -> Result<(), Refusal> {
    let wrong = |wanted: &str| Refusal::invalid(format!("setting '{name}' must be {wanted}"));
    let unsupported = |message: String| Refusal(ApiError::Unsupported { message });
    let one = || match value {
        Value::Texts(texts) if texts.len() == 1 => Ok(texts[0].clone()),
        Value::Whole(number) => Ok(number.to_string()),
        _ => Err(wrong("one text")),
    };
    match (name, value) {
        // What asks for nothing that is not there.
        ("trace_mode" | "log_frequency" | "trace_file", Value::Cleared) => {}
        ("trace_mode", _) if one()? == "triton" => {}
        ("trace_mode", _) => return Err(unsupported("trace_mode is triton, and no other".to_owned())),
        ("log_frequency", _) if one()? == "0" => {}
        ("trace_file", _) if one()?.is_empty() => {}
        ("trace_file" | "log_frequency", _) => {
            return Err(unsupported("traces are lines of the log; there is no trace file".to_owned()));
        }
        ("trace_level", Value::Cleared) => wishes.on = None,
        ("trace_level", Value::Texts(levels)) => wishes.on = Some(is_on(levels)?),
        ("trace_rate", Value::Cleared) => wishes.rate = None,
        ("trace_rate", _) => {
            let rate = one()?.parse().ok().filter(|rate| *rate > 0);
            wishes.rate = Some(rate.ok_or_else(|| wrong("a whole number from 1"))?);
        }
        ("trace_count", Value::Cleared) => wishes.count = None,
        ("trace_count", _) => {
            let count = one()?;
            let whole = || count.parse().map(Some).map_err(|_| wrong("a whole number from 0, or -1"));
            wishes.count = Some(if count == "-1" { None } else { whole()? });
        }
        _ => return Err(Refusal::invalid(format!("unknown trace setting '{name}'"))),
    }
    Ok(())
}

fn is_on(levels: &[String]) -> Result<bool, Refusal> {
    let mut on = false;
    for level in levels {
        match level.as_str() {
            "OFF" => {}
            "TIMESTAMPS" => on = true,
            "TENSORS" => {
                let message = "trace_level TENSORS is not served; OFF and TIMESTAMPS are".to_owned();
                return Err(Refusal(ApiError::Unsupported { message }));
            }
            other => {
                return Err(Refusal::invalid(format!("'{other}' is no trace_level; OFF and TIMESTAMPS are")));
            }
        }
    }
    Ok(on)
}
