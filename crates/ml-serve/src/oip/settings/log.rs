//! The logging extension.

use super::{Changes, Value, check_allowed};
use crate::ApiError;
use crate::logs::{self, Levels};
use crate::oip::Refusal;
use crate::state::State;

/// A setting as an answer has it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(untagged)]
pub(crate) enum Shown {
    Bool(bool),
    Whole(u32),
    Text(&'static str),
}

/// The times in the log are ISO 8601, whatever its lines look like.
const FORMAT: &str = "ISO8601";

/// Returns the settings by name.
pub(crate) fn settings() -> Vec<(&'static str, Shown)> {
    let levels = logs::levels().unwrap_or_default();
    vec![
        ("log_file", Shown::Text("")),
        ("log_info", Shown::Bool(levels.info)),
        ("log_warning", Shown::Bool(levels.warning)),
        ("log_error", Shown::Bool(levels.error)),
        ("log_verbose_level", Shown::Whole(levels.verbose)),
        ("log_format", Shown::Text(FORMAT)),
    ]
}

/// Changes what is wanted, all or nothing.
///
/// # Errors
/// When requests may not, or a setting or value is none.
pub(crate) fn change(state: &State, changes: &Changes) -> Result<(), Refusal> {
    check_allowed(state, changes)?;
    if changes.is_empty() {
        return Ok(());
    }
    let mut levels = logs::levels().unwrap_or_default();
    for (name, value) in changes {
        take(&mut levels, name, value)?;
    }
    let unsupported = |message: String| Refusal(ApiError::Unsupported { message });
    logs::set_levels(levels).map_err(unsupported)
}

fn take(levels: &mut Levels, name: &str, value: &Value) -> Result<(), Refusal> {
    let usual = Levels::default();
    let flag = |usual: bool| match value {
        Value::Bool(flag) => Ok(*flag),
        Value::Cleared => Ok(usual),
        _ => Err(Refusal::invalid(format!("setting '{name}' must be true or false"))),
    };
    match (name, value) {
        ("log_info", _) => levels.info = flag(usual.info)?,
        ("log_warning", _) => levels.warning = flag(usual.warning)?,
        ("log_error", _) => levels.error = flag(usual.error)?,
        ("log_verbose_level", Value::Whole(level)) => {
            levels.verbose = u32::try_from(*level).unwrap_or(u32::MAX);
        }
        ("log_verbose_level", Value::Cleared) => levels.verbose = usual.verbose,
        ("log_verbose_level", _) => {
            return Err(Refusal::invalid("setting 'log_verbose_level' must be a whole number from 0"));
        }
        ("log_format", Value::Cleared) => {}
        ("log_format", Value::Texts(texts)) if texts == &[FORMAT] || texts == &["default"] => {}
        ("log_format", _) => return Err(Refusal::invalid("setting 'log_format' must be ISO8601 or default")),
        ("log_file", Value::Cleared) => {}
        ("log_file", Value::Texts(texts)) if texts.iter().all(String::is_empty) => {}
        ("log_file", _) => {
            let message = "log file location can not be updated through network protocol".to_owned();
            return Err(Refusal(ApiError::Unsupported { message }));
        }
        _ => return Err(Refusal::invalid(format!("unknown log setting '{name}'"))),
    }
    Ok(())
}
