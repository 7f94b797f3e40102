//! Settings that clients read and, where the operator lets them, change: what is logged, and which requests are traced.

pub(crate) mod log;
pub(crate) mod trace;

use std::borrow::Cow;

use super::Refusal;
use super::json::Scanner;
use super::repository::{Broken, members};
use crate::ApiError;
use crate::state::State;

/// A value as a request has it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Bool(bool),
    Whole(u64),
    Texts(Vec<String>),
    /// Whatever it is otherwise.
    Cleared,
}

/// What a request wants changed, in its order.
pub(crate) type Changes = Vec<(String, Value)>;

/// Reads a body, which may be empty.
///
/// # Errors
/// What is no JSON, and values that no setting has.
pub(crate) fn read(body: &[u8]) -> Result<Changes, Refusal> {
    let mut changes = Changes::new();
    members(body, |scanner, name| {
        changes.push((name.to_owned(), value(scanner)?));
        Ok(())
    })?;
    Ok(changes)
}

fn value(scanner: &mut Scanner<'_>) -> Result<Value, Broken> {
    Ok(match scanner.peek() {
        Some(b't' | b'f') => Value::Bool(scanner.boolean()?),
        Some(b'n') => {
            scanner.skip()?;
            Value::Cleared
        }
        Some(b'[') => {
            let mut texts = Vec::new();
            scanner.array(|scanner| {
                texts.push(scanner.string().map(Cow::into_owned)?);
                Ok::<_, Broken>(())
            })?;
            Value::Texts(texts)
        }
        Some(b'"') => Value::Texts(vec![scanner.string()?.into_owned()]),
        _ => Value::Whole(scanner.unsigned()?),
    })
}

/// Refuses to change anything where the operator has not said that requests may.
fn check_allowed(state: &State, changes: &Changes) -> Result<(), Refusal> {
    if changes.is_empty() || state.limits.remote_settings {
        return Ok(());
    }
    Err(Refusal(ApiError::NotControlled {
        message:
            "settings are not changed by requests; start the server with --remote-settings on to allow it"
                .to_owned(),
    }))
}
