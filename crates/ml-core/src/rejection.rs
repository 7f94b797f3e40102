//! A rejection: an item that must not reach the model, and the rule that it breaks.

use std::borrow::Cow;
use std::fmt::{self, Display};

/// The longest offending value that a rejection repeats, in characters; the rest is cut.
const VALUE_CHARS_MAX: usize = 80;

/// Says which field of an item broke which rule, with which value, and what is allowed.
///
/// ```
/// use ml_core::Rejection;
///
/// let rejection = Rejection::new("age_years", "range").value(-3).limit("0 to 130");
/// assert_eq!(rejection.to_string(), "age_years breaks the rule range: got -3, allowed is 0 to 130");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// The field, as the caller wrote it; a path such as `rows[2].price` for nested ones.
    pub field: Cow<'static, str>,
    /// The rule's name, stable enough for a program to act on: `range`, `max_bytes`, `not_empty`.
    pub rule: Cow<'static, str>,
    /// The value that broke the rule, cut to 80 characters.
    pub value: Option<String>,
    /// What would have been allowed, with its unit.
    pub limit: Option<String>,
}

impl Rejection {
    /// Makes a rejection of `field` for breaking `rule`.
    pub fn new(field: impl Into<Cow<'static, str>>, rule: impl Into<Cow<'static, str>>) -> Self {
        Self { field: field.into(), rule: rule.into(), value: None, limit: None }
    }

    /// Adds the value that broke the rule.
    #[must_use]
    pub fn value(mut self, value: impl Display) -> Self {
        let value = value.to_string();
        self.value = Some(match value.char_indices().nth(VALUE_CHARS_MAX) {
            Some((cut, _)) => format!("{}…", &value[..cut]),
            None => value,
        });
        self
    }

    /// Adds what would have been allowed.
    #[must_use]
    pub fn limit(mut self, limit: impl Display) -> Self {
        self.limit = Some(limit.to_string());
        self
    }
}

impl Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} breaks the rule {}", self.field, self.rule)?;
        match (&self.value, &self.limit) {
            (Some(value), Some(limit)) => write!(f, ": got {value}, allowed is {limit}"),
            (Some(value), None) => write!(f, ": got {value}"),
            (None, Some(limit)) => write!(f, ": allowed is {limit}"),
            (None, None) => Ok(()),
        }
    }
}

impl std::error::Error for Rejection {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_value_is_cut_between_characters() {
        let value = "é".repeat(200);
        let rejection = Rejection::new("text", "max_bytes").value(&value);
        assert_eq!(rejection.value, Some(format!("{}…", "é".repeat(VALUE_CHARS_MAX))));
    }
}
