//! A command line that cannot be understood.

use super::nearest::nearest;

/// Why a command line cannot be understood.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Usage {
    /// There is no command.
    #[error("no command given, must be one of {0}; see ml-bench --help")]
    NoCommand(String),
    /// The argument that the command is about is missing.
    #[error("{0} is missing")]
    NoArgument(&'static str),
    /// The command, flag or argument is none of ours.
    #[error("unknown {what} {found}{}", hint(.nearest.as_deref()))]
    Unknown {
        /// "command", "flag" or "argument".
        what: &'static str,
        /// What was given.
        found: String,
        /// The right spelling that comes closest.
        nearest: Option<String>,
    },
    /// A flag is missing.
    #[error("--{0} is missing")]
    Missing(&'static str),
    /// A flag that is given once was given again.
    #[error("--{0} is given twice")]
    Twice(&'static str),
    /// Two flags exclude each other.
    #[error("--{0} and --{1} exclude each other")]
    Both(&'static str, &'static str),
    /// A flag means nothing without another one.
    #[error("--{0} needs --{1}")]
    Needs(&'static str, &'static str),
    /// The value of a flag is out of its range.
    #[error("--{flag} is {found}, must be {wanted}")]
    Value {
        /// The flag.
        flag: &'static str,
        /// Its value as given.
        found: String,
        /// What it must be.
        wanted: &'static str,
    },
    /// The value of a flag is missing or is no text.
    #[error("{0}")]
    Syntax(String),
}

impl From<lexopt::Error> for Usage {
    fn from(error: lexopt::Error) -> Self {
        Self::Syntax(error.to_string())
    }
}

impl Usage {
    pub(super) fn unknown(what: &'static str, found: &str, known: &[&str]) -> Self {
        let nearest = nearest(found, known);
        let dashes = if what == "flag" { "--" } else { "" };
        Self::Unknown {
            what,
            found: format!("{dashes}{found}"),
            nearest: nearest.map(|name| format!("{dashes}{name}")),
        }
    }
}

fn hint(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |name| format!("; did you mean {name}?"))
}
