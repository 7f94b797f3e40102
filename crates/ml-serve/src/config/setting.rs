//! A setting: one key with its kind, default and help, and how a text becomes its field.

use std::ffi::{OsStr, OsString};
use std::ops::RangeInclusive;
use std::path::PathBuf;

use super::error::{Origin, Problem, did_you_mean};
use super::nearest::nearest;
use super::{Config, form};

/// One line of the table of settings.
#[derive(Debug)]
pub struct Setting {
    /// Name in the file; the flag's and the environment's names are made from it.
    pub key: &'static str,
    /// What the setting decides, in one line.
    pub help: &'static str,
    /// What it takes, and where the value goes.
    pub kind: Kind,
}

/// What a setting takes; each kind writes its own field.
#[derive(Debug)]
pub enum Kind {
    /// A whole number.
    Whole {
        /// What is counted, in the plural; empty if nothing is.
        unit: &'static str,
        /// Value where nothing is given.
        default: usize,
        /// Values that are taken.
        range: RangeInclusive<usize>,
        /// Writes the field.
        set: fn(&mut Config, usize),
    },
    /// A number of bytes, with or without `KiB`, `MiB` or `GiB`.
    Bytes {
        /// Value where nothing is given.
        default: usize,
        /// Values that are taken.
        range: RangeInclusive<usize>,
        /// Writes the field.
        set: fn(&mut Config, usize),
    },
    /// One of a few words; the first is the default.
    Choice(&'static [Choice]),
    /// Text of a checked form.
    Text {
        /// The form in one word, for help.
        word: &'static str,
        /// The form, for messages.
        form: &'static str,
        /// Value where nothing is given.
        default: &'static str,
        /// Tells whether a text has the form.
        check: fn(&str) -> bool,
        /// Writes the field.
        set: fn(&mut Config, String),
    },
    /// A port that need not be: `off`, the default, or a number, of which 0 is any free one.
    Port {
        /// Writes the field.
        set: fn(&mut Config, Option<u16>),
    },
    /// A path; unset by default.
    Path {
        /// Writes the field.
        set: fn(&mut Config, PathBuf),
    },
}

/// One word of a choice.
#[derive(Debug)]
pub struct Choice {
    /// The word as written.
    pub word: &'static str,
    /// Writes the field.
    pub set: fn(&mut Config),
}

/// A setting as one source gave it, not yet read.
pub(super) struct Given {
    pub(super) setting: &'static Setting,
    pub(super) origin: Origin,
    pub(super) text: OsString,
}

impl Setting {
    /// Returns the name on the command line, with its dashes.
    pub fn flag(&self) -> String {
        format!("--{}", self.key.replace('_', "-"))
    }

    /// Returns the name in the environment.
    pub fn environment(&self) -> String {
        format!("ML_SERVE_{}", self.key.to_uppercase())
    }

    /// Returns the default as one would write it; `None` where the setting is unset by default.
    pub fn default(&self) -> Option<String> {
        match &self.kind {
            Kind::Whole { default, .. } => Some(default.to_string()),
            Kind::Bytes { default, .. } => Some(form::short_bytes(*default)),
            Kind::Choice(choices) => choices.first().map(|choice| choice.word.to_owned()),
            Kind::Text { default, .. } => Some((*default).to_owned()),
            Kind::Port { .. } => Some("off".to_owned()),
            Kind::Path { .. } => None,
        }
    }

    /// Returns the range, the choices or the form in words, with the unit.
    pub fn takes(&self) -> String {
        match &self.kind {
            Kind::Whole { unit, range, .. } => {
                format!("{} to {} {unit}", range.start(), range.end()).trim_end().to_owned()
            }
            Kind::Bytes { range, .. } => {
                let least = match form::short_bytes(*range.start()) {
                    plain if plain.ends_with('B') => plain,
                    plain => format!("{plain} bytes"),
                };
                format!("{least} to {}", form::short_bytes(*range.end()))
            }
            Kind::Choice(choices) => one_of(choices),
            Kind::Text { form, .. } => (*form).to_owned(),
            Kind::Port { .. } => "off, or 0 to 65535".to_owned(),
            Kind::Path { .. } => form::PATH.to_owned(),
        }
    }

    /// Writes the default into its field.
    pub(super) fn set_default(&self, config: &mut Config) {
        match &self.kind {
            Kind::Whole { default, set, .. } | Kind::Bytes { default, set, .. } => set(config, *default),
            Kind::Choice(choices) => choices.first().into_iter().for_each(|choice| (choice.set)(config)),
            Kind::Text { default, set, .. } => set(config, (*default).to_owned()),
            Kind::Port { set } => set(config, None),
            // A path has nothing to be by default.
            Kind::Path { .. } => {}
        }
    }

    /// Reads the text and writes its value into its field.
    pub(super) fn set(&self, config: &mut Config, text: &OsStr) -> Result<(), Problem> {
        // What is not Unicode is no number and no choice even as it is shown.
        let shown = text.to_string_lossy();
        match &self.kind {
            Kind::Whole { range, set, .. } => {
                set(config, self.number(&shown, form::whole(&shown), range)?);
            }
            Kind::Bytes { range, set, .. } => {
                set(config, self.number(&shown, form::bytes(&shown), range)?);
            }
            Kind::Choice(choices) => match choices.iter().find(|choice| choice.word == shown) {
                Some(choice) => (choice.set)(config),
                None => return Err(self.refuse(&shown, nearest(&shown, words(choices)))),
            },
            Kind::Text { check, set, .. } => match text.to_str() {
                Some(text) if check(text) => set(config, text.to_owned()),
                _ => return Err(self.refuse(&shown, None)),
            },
            Kind::Port { set } if shown == "off" => set(config, None),
            Kind::Port { set } => match shown.parse() {
                Ok(port) => set(config, Some(port)),
                Err(_) => return Err(self.refuse(&shown, None)),
            },
            Kind::Path { set } => set(config, form::path(self.key, text)?),
        }
        Ok(())
    }

    fn number(
        &self,
        text: &str,
        number: Option<i128>,
        range: &RangeInclusive<usize>,
    ) -> Result<usize, Problem> {
        let Some(number) = number else {
            let form = match self.kind {
                Kind::Bytes { .. } => "a number of bytes such as 4096, 512KiB, 32MiB or 1GiB",
                _ => "a whole number",
            };
            return Err(Problem::NotNumber {
                value: text.to_owned(),
                form,
                key: self.key,
                takes: self.takes(),
            });
        };
        usize::try_from(number).ok().filter(|number| range.contains(number)).ok_or_else(|| Problem::Refused {
            key: self.key,
            found: text.to_owned(),
            takes: self.takes(),
            hint: None,
        })
    }

    fn refuse(&self, text: &str, nearest: Option<&str>) -> Problem {
        Problem::Refused {
            key: self.key,
            found: format!("{text:?}"),
            takes: self.takes(),
            hint: nearest.map(did_you_mean),
        }
    }
}

/// Returns the words of a choice.
pub(super) fn words(choices: &[Choice]) -> Vec<&'static str> {
    choices.iter().map(|choice| choice.word).collect()
}

fn one_of(choices: &[Choice]) -> String {
    let words = words(choices);
    match words.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => words.concat(),
    }
}
