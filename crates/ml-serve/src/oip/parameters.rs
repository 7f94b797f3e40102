//! The parameters of a request: those that mean something here, and the others, which are no error.

use std::time::{Duration, Instant};

use ml_core::{CallOptions, Priority, WhenFull};

use super::Refusal;
use super::json::{JsonError, Scanner};

/// A parameter's value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Bool(bool),
    Whole(i64),
    Text(String),
    Other,
}

/// What a request asks for beside its tensors.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Parameters {
    /// 1 goes first; 0 leaves it to the model.
    pub priority: u64,
    /// The time in which the answer is wanted; none where there is none.
    pub timeout: Option<Duration>,
    /// Whether outputs that say nothing of it are wanted in binary.
    pub binary_output: bool,
}

impl Parameters {
    /// Takes one parameter in.
    ///
    /// # Errors
    /// A known one with a value that means nothing, and a name that is kept for the server.
    pub fn take(&mut self, name: &str, value: &Value) -> Result<(), Refusal> {
        let wrong = |wanted: &str| Refusal::invalid(format!("parameter '{name}' must be {wanted}"));
        match (name, value) {
            ("priority", Value::Whole(priority)) => {
                self.priority = u64::try_from(*priority).map_err(|_| wrong("a whole number from 0"))?;
            }
            ("priority", _) => return Err(wrong("a whole number from 0")),
            ("timeout", Value::Whole(micros)) => {
                let micros =
                    u64::try_from(*micros).map_err(|_| wrong("microseconds, a whole number from 0"))?;
                self.timeout = (micros > 0).then(|| Duration::from_micros(micros));
            }
            ("timeout", _) => return Err(wrong("microseconds, a whole number from 0")),
            ("binary_data_output", Value::Bool(binary)) => self.binary_output = *binary,
            ("binary_data_output", _) => return Err(wrong("true or false")),
            _ if name.starts_with("triton_") => {
                return Err(Refusal::invalid(
                    "parameter keys starting with 'triton_' are reserved for Triton usage and should not be specified.",
                ));
            }
            _ => {}
        }
        Ok(())
    }

    /// Puts these wishes beside those of the headers; of two times the shorter holds.
    pub fn options(&self, deadline: Option<Instant>, usual: Priority) -> CallOptions {
        let timeout = self.timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let deadline = match (deadline, timeout) {
            (Some(deadline), Some(timeout)) => Some(deadline.min(timeout)),
            (deadline, timeout) => deadline.or(timeout),
        };
        let priority = match self.priority {
            0 => usual,
            1 => Priority::Interactive,
            _ => Priority::Bulk,
        };
        CallOptions { deadline, priority, when_full: WhenFull::Refuse, ..CallOptions::default() }
    }
}

/// Reads a parameter's value.
pub(super) fn value(scanner: &mut Scanner<'_>) -> Result<Value, JsonError> {
    match scanner.peek() {
        Some(b't' | b'f') => scanner.boolean().map(Value::Bool),
        Some(b'-' | b'0'..=b'9') => {
            let mut ahead = scanner.clone();
            match ahead.signed() {
                Ok(number) => {
                    *scanner = ahead;
                    Ok(Value::Whole(number))
                }
                Err(_) => scanner.float().map(|_| Value::Other),
            }
        }
        Some(b'"') => scanner.string().map(|text| Value::Text(text.into_owned())),
        _ => scanner.skip().map(|()| Value::Other),
    }
}
