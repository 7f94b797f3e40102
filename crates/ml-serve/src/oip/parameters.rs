//! The parameters of a request: those that mean something here, and the others, which are no error.

use std::time::{Duration, Instant};

use ml_core::{CallOptions, WhenFull};

use super::Refusal;
use super::infer::Usual;
use super::json::{JsonError, Scanner};
use crate::onnx::sequences::{Identifier, Position};
use crate::repository::Schedule;

/// A parameter's value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Bool(bool),
    Whole(i128),
    Text(String),
    Other,
}

/// What a request asks for beside its tensors.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Parameters {
    /// 1 goes first; 0 leaves it to the model.
    pub priority: u64,
    /// The time in which the answer is wanted; none where there is none.
    pub timeout: Option<Duration>,
    /// Whether outputs that say nothing of it are wanted in binary.
    pub binary_output: bool,
    /// The sequence that the request belongs to.
    pub sequence: Option<Identifier>,
    pub starts: bool,
    pub ends: bool,
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
            ("sequence_id", Value::Whole(number)) => {
                let number = u64::try_from(*number).map_err(|_| wrong("a whole number from 0, or a text"))?;
                self.sequence = (number > 0).then_some(Identifier::Number(number));
            }
            ("sequence_id", Value::Text(text)) => {
                self.sequence = (!text.is_empty()).then(|| Identifier::Text(text.clone()));
            }
            ("sequence_id", _) => return Err(wrong("a whole number from 0, or a text")),
            ("sequence_start", Value::Bool(starts)) => self.starts = *starts,
            ("sequence_end", Value::Bool(ends)) => self.ends = *ends,
            ("sequence_start" | "sequence_end", _) => return Err(wrong("true or false")),
            _ if name.starts_with("triton_") => {
                return Err(Refusal::invalid(
                    "parameter keys starting with 'triton_' are reserved for Triton usage and should not be specified.",
                ));
            }
            _ => {}
        }
        Ok(())
    }

    /// Returns where the request stands in its sequence, for a model of sequences.
    ///
    /// # Errors
    /// When it belongs to none.
    pub fn position(&self, model: &str) -> Result<Position, Refusal> {
        let missing = || {
            let message = "must specify a non-zero or non-empty correlation ID";
            Refusal::invalid(format!("inference request to model '{model}' {message}"))
        };
        let sequence = self.sequence.clone().ok_or_else(missing)?;
        Ok(Position { sequence, start: self.starts, end: self.ends })
    }

    /// Puts these wishes beside those of the headers, as far as the model takes them; of two times the shorter holds.
    pub fn options(&self, usual: Usual, schedule: Schedule) -> CallOptions {
        let timeout = self.timeout.filter(|_| schedule.takes_timeouts);
        let timeout = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let deadline = match (usual.deadline, timeout) {
            (Some(deadline), Some(timeout)) => Some(deadline.min(timeout)),
            (deadline, timeout) => deadline.or(timeout),
        };
        let priority = schedule.priority(self.priority, usual.priority);
        CallOptions { deadline, priority, when_full: WhenFull::Refuse, ..CallOptions::default() }
    }
}

/// Reads a parameter's value.
pub(super) fn value(scanner: &mut Scanner<'_>) -> Result<Value, JsonError> {
    match scanner.peek() {
        Some(b't' | b'f') => scanner.boolean().map(Value::Bool),
        Some(b'-' | b'0'..=b'9') => {
            let (mut signed, mut unsigned) = (scanner.clone(), scanner.clone());
            if let Ok(number) = signed.signed() {
                *scanner = signed;
                Ok(Value::Whole(number.into()))
            } else if let Ok(number) = unsigned.unsigned() {
                *scanner = unsigned;
                Ok(Value::Whole(number.into()))
            } else {
                scanner.float().map(|_| Value::Other)
            }
        }
        Some(b'"') => scanner.string().map(|text| Value::Text(text.into_owned())),
        _ => scanner.skip().map(|()| Value::Other),
    }
}
