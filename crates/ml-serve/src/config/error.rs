//! Why the configuration is refused: the place that said it, and what is wrong there.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// A key or value that is wrong; the server does not start with it.
#[derive(Debug, thiserror::Error)]
#[error("{origin}: {problem}")]
pub struct ConfigError {
    /// Where it was said.
    pub origin: Origin,
    /// What is wrong with it.
    pub problem: Box<Problem>,
}

/// Where a key or value was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A flag, with its dashes.
    Flag(String),
    /// A positional argument, or the command line as a whole.
    Arguments,
    /// A variable of the environment.
    Environment(String),
    /// The file as a whole.
    File(PathBuf),
    /// A line of the file, counted from 1.
    Line(PathBuf, usize),
    /// A line and a column of the file, counted from 1.
    LineColumn(PathBuf, usize, usize),
}

/// What is wrong with a key or value.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// There is no such key.
    #[error("unknown setting{}{}", lead(" ", key), lead("; ", hint))]
    Unknown {
        /// The key, where the origin does not name it.
        key: Option<String>,
        /// What was probably meant.
        hint: Option<String>,
    },
    /// A number was wanted and the value is none.
    #[error("{value:?} is not {form}; {key} takes {takes}")]
    NotNumber {
        /// The value as given.
        value: String,
        /// The form of number that was wanted.
        form: &'static str,
        /// The setting.
        key: &'static str,
        /// Its range with the unit.
        takes: String,
    },
    /// The value is outside what the setting takes, or of another type.
    #[error("{key} is {found}; it takes {takes}{}", lead("; ", hint))]
    Refused {
        /// The setting.
        key: &'static str,
        /// The value as given, or its type.
        found: String,
        /// The range, the choices or the form.
        takes: String,
        /// What was probably meant.
        hint: Option<String>,
    },
    /// A flag ends the command line without its value.
    #[error("no value follows; {key} takes {takes}")]
    NoValue {
        /// The setting.
        key: &'static str,
        /// The range, the choices or the form.
        takes: String,
    },
    /// A flag stands twice on the command line, so that one of its values would be lost.
    #[error("given twice, as {first:?} and as {second:?}")]
    Twice {
        /// The value that came first.
        first: String,
        /// The value that came later.
        second: String,
    },
    /// A table of the file lacks a key.
    #[error("{key} is missing; it takes {takes}")]
    Missing {
        /// The key that must stand in the table.
        key: &'static str,
        /// What the key takes.
        takes: &'static str,
    },
    /// The text is no TOML, or the arguments are no command line; the parser says why.
    #[error("{0}")]
    Syntax(String),
    /// The file cannot be read.
    #[error("cannot be read: {0}")]
    Unreadable(io::Error),
}

impl Origin {
    /// Returns the refusal of what was given here.
    pub(super) fn refuse(self, problem: Problem) -> ConfigError {
        ConfigError { origin: self, problem: Box::new(problem) }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(flag) => write!(f, "flag {flag}"),
            Self::Arguments => f.write_str("arguments"),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Line(path, line) => write!(f, "{} line {line}", path.display()),
            Self::LineColumn(path, line, column) => {
                write!(f, "{} line {line} column {column}", path.display())
            }
        }
    }
}

/// Returns the hint at a key or choice that was probably meant.
pub(super) fn did_you_mean(word: impl fmt::Display) -> String {
    format!("did you mean {word}?")
}

fn lead(before: &str, text: &Option<String>) -> String {
    text.as_ref().map(|text| format!("{before}{text}")).unwrap_or_default()
}
