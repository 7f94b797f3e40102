//! The flags of a command: `--name value`, and a few switches that are `--name` alone.

use std::ffi::{OsStr, OsString};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::str::FromStr;

use lexopt::{Arg, Parser};

use super::usage::Usage;

/// What a command takes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Syntax {
    /// What an argument that is no flag is called; `None` where there is no such argument.
    pub(super) argument: Option<&'static str>,
    /// The flags that take a value.
    pub(super) flags: &'static [&'static str],
    /// The flags that take none.
    pub(super) switches: &'static [&'static str],
}

/// The flags that were given, in order.
pub(super) struct Flags {
    argument: Option<OsString>,
    given: Vec<(&'static str, OsString)>,
}

impl Flags {
    /// Reads the flags after a command; `None` when help was asked for instead.
    pub(super) fn read(parser: &mut Parser, syntax: Syntax) -> Result<Option<Self>, Usage> {
        let mut flags = Self { argument: None, given: Vec::new() };
        while let Some(arg) = parser.next()? {
            let name = match arg {
                Arg::Short('h') | Arg::Long("help") => return Ok(None),
                Arg::Long(found) => syntax.name(found)?,
                Arg::Short(letter) => return Err(Usage::unknown("argument", &format!("-{letter}"), &[])),
                Arg::Value(value) if syntax.argument.is_some() && flags.argument.is_none() => {
                    flags.argument = Some(value);
                    continue;
                }
                Arg::Value(value) => return Err(Usage::unknown("argument", &value.to_string_lossy(), &[])),
            };
            let value = if syntax.switches.contains(&name) { OsString::new() } else { parser.value()? };
            flags.given.push((name, value));
        }
        Ok(Some(flags))
    }

    /// Returns the argument that is no flag.
    pub(super) fn argument(&self, name: &'static str) -> Result<PathBuf, Usage> {
        self.argument.as_ref().map(PathBuf::from).ok_or(Usage::NoArgument(name))
    }

    /// Returns the values of a flag that may be given many times.
    pub(super) fn all(&self, flag: &'static str) -> impl Iterator<Item = &OsStr> {
        self.given.iter().filter(move |(name, _)| *name == flag).map(|(_, value)| value.as_os_str())
    }

    /// Returns whether a switch was given.
    pub(super) fn switch(&self, flag: &'static str) -> bool {
        self.all(flag).next().is_some()
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

    /// Returns the value of a flag as a list with commas between its elements, each of which is `wanted`.
    pub(super) fn list<T: FromStr>(
        &self,
        flag: &'static str,
        wanted: &'static str,
        fits: impl Fn(&T) -> bool,
    ) -> Result<Option<Vec<T>>, Usage> {
        let Some(value) = self.path(flag)? else { return Ok(None) };
        let text = value.to_string_lossy();
        let elements = text.split(',').map(|element| element.trim().parse().ok().filter(&fits));
        let wrong = || Usage::Value { flag, found: text.clone().into_owned(), wanted };
        elements.collect::<Option<Vec<_>>>().map(Some).ok_or_else(wrong)
    }

    /// Returns the value of a flag as a number of things.
    pub(super) fn count(&self, flag: &'static str) -> Result<Option<NonZeroUsize>, Usage> {
        self.value(flag, "a whole number from 1 up", |_| true)
    }

    /// Returns the value of a flag as a number of things, which by default are `default`.
    pub(super) fn count_or(&self, flag: &'static str, default: usize) -> Result<NonZeroUsize, Usage> {
        Ok(self.count(flag)?.or(NonZeroUsize::new(default)).unwrap_or(NonZeroUsize::MIN))
    }
}

impl Syntax {
    /// Returns the flag of this name.
    fn name(&self, found: &str) -> Result<&'static str, Usage> {
        let known = || self.flags.iter().chain(self.switches).copied();
        let name = known().find(|name| *name == found);
        name.ok_or_else(|| Usage::unknown("flag", found, &known().collect::<Vec<_>>()))
    }
}
