//! The flags of a command: every one is `--name value`, and each command lists the names that it knows.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::str::FromStr;

use lexopt::{Arg, Parser};

use super::usage::Usage;

/// The flags that were given, in order.
pub(super) struct Flags {
    given: Vec<(&'static str, OsString)>,
}

impl Flags {
    /// Reads the flags after a command; `None` when help was asked for instead.
    pub(super) fn read(parser: &mut Parser, known: &[&'static str]) -> Result<Option<Self>, Usage> {
        let mut given = Vec::new();
        while let Some(arg) = parser.next()? {
            let name = match arg {
                Arg::Short('h') | Arg::Long("help") => return Ok(None),
                Arg::Long(found) => match known.iter().find(|name| **name == found) {
                    Some(name) => *name,
                    None => return Err(Usage::unknown("flag", found, known)),
                },
                Arg::Short(letter) => return Err(Usage::unknown("argument", &format!("-{letter}"), &[])),
                Arg::Value(value) => return Err(Usage::unknown("argument", &value.to_string_lossy(), &[])),
            };
            given.push((name, parser.value()?));
        }
        Ok(Some(Self { given }))
    }

    /// Returns the values of a flag that may be given many times.
    pub(super) fn all(&self, flag: &'static str) -> impl Iterator<Item = &OsStr> {
        self.given.iter().filter(move |(name, _)| *name == flag).map(|(_, value)| value.as_os_str())
    }

    /// Returns the value of a flag as a path.
    pub(super) fn path(&self, flag: &'static str) -> Result<Option<PathBuf>, Usage> {
        let mut values = self.all(flag);
        let value = values.next().map(PathBuf::from);
        if values.next().is_some() { Err(Usage::Twice(flag)) } else { Ok(value) }
    }

    /// Returns the value of a flag as text.
    pub(super) fn text(&self, flag: &'static str) -> Result<Option<String>, Usage> {
        self.value(flag, "UTF-8 text", |_| true)
    }

    /// Returns the value of a flag that is `wanted`, which `fits` decides.
    pub(super) fn value<T: FromStr>(
        &self,
        flag: &'static str,
        wanted: &'static str,
        fits: impl Fn(&T) -> bool,
    ) -> Result<Option<T>, Usage> {
        let Some(value) = self.path(flag)? else { return Ok(None) };
        let parsed = value.to_str().and_then(|text| text.parse().ok()).filter(fits);
        let wrong = || Usage::Value { flag, found: value.display().to_string(), wanted };
        parsed.map(Some).ok_or_else(wrong)
    }
}
