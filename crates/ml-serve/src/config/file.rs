//! The TOML file, read into what it gives.

use std::ffi::OsString;
use std::io;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeInteger, DeString, DeTable, DeValue};

use super::error::{ConfigError, Origin, Problem, did_you_mean};
use super::nearest::nearest;
use super::setting::{Given, Kind, Setting};
use super::{ModelEntry, SETTINGS, models};

/// What the file gives.
#[derive(Default)]
pub(super) struct File {
    pub(super) given: Vec<Given>,
    pub(super) models: Vec<ModelEntry>,
}

/// One key of the file, or of a table in it, with its value.
pub(super) type Entry<'a, 'i> = (&'a Spanned<DeString<'i>>, &'a Spanned<DeValue<'i>>);

/// Reads the file's text and takes its keys in their order.
pub(super) fn read(
    path: &Path,
    read_file: impl FnOnce(&Path) -> io::Result<String>,
) -> Result<File, ConfigError> {
    let text =
        read_file(path).map_err(|error| Origin::File(path.to_owned()).refuse(Problem::Unreadable(error)))?;
    let place = Place { path, text: &text };
    let table = DeTable::parse(&text).map_err(|error| place.syntax(&error))?;
    let mut file = File::default();
    for (key, value) in in_order(table.get_ref()) {
        match SETTINGS.iter().find(|setting| setting.key == key.get_ref()) {
            Some(setting) => {
                let origin = place.line(key.span().start);
                match text_of(setting, value.get_ref()) {
                    Ok(text) => file.given.push(Given { setting, origin, text }),
                    Err(problem) => return Err(origin.refuse(problem)),
                }
            }
            None if key.get_ref() == "models" => file.models = models::read(&place, value)?,
            None => return Err(unknown(&place, key)),
        }
    }
    Ok(file)
}

/// Returns the entries in the order of the file, so that the first wrong one is the one reported.
pub(super) fn in_order<'a, 'i>(table: &'a DeTable<'i>) -> Vec<Entry<'a, 'i>> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    entries
}

/// Returns a value's type for a message, with the value where that is short.
pub(super) fn describe(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("the string {text:?}"),
        DeValue::Integer(number) => format!("the whole number {number}"),
        DeValue::Float(number) => format!("the float {number}"),
        DeValue::Boolean(truth) => format!("the boolean {truth}"),
        DeValue::Datetime(time) => format!("the date {time}"),
        DeValue::Array(_) => "an array".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}

/// A file and its text, to find lines in.
pub(super) struct Place<'a> {
    path: &'a Path,
    text: &'a str,
}

impl Place<'_> {
    /// Returns the line of a byte of the text.
    pub(super) fn line(&self, byte: usize) -> Origin {
        Origin::Line(self.path.to_owned(), self.line_number(byte))
    }

    fn syntax(&self, error: &toml::de::Error) -> ConfigError {
        let byte = error.span().map_or(self.text.len(), |span| span.start);
        let column = self.before(byte).chars().rev().take_while(|char| *char != '\n').count() + 1;
        let origin = Origin::LineColumn(self.path.to_owned(), self.line_number(byte), column);
        origin.refuse(Problem::Syntax(error.message().to_owned()))
    }

    fn line_number(&self, byte: usize) -> usize {
        self.before(byte).matches('\n').count() + 1
    }

    fn before(&self, byte: usize) -> &str {
        self.text.get(..byte).unwrap_or(self.text)
    }
}

/// Returns the value as the flag would have it, if its type is the setting's.
fn text_of(setting: &Setting, value: &DeValue<'_>) -> Result<OsString, Problem> {
    let wanted = match (&setting.kind, value) {
        (Kind::Whole { .. } | Kind::Bytes { .. } | Kind::Port { .. }, DeValue::Integer(number)) => {
            return Ok(decimal(number));
        }
        (Kind::Bytes { .. } | Kind::Choice(_), DeValue::String(text)) => return Ok(text.as_ref().into()),
        (Kind::Text { .. } | Kind::Path { .. } | Kind::Port { .. }, DeValue::String(text)) => {
            return Ok(text.as_ref().into());
        }
        (Kind::Whole { .. }, _) => "a whole number",
        (Kind::Bytes { .. } | Kind::Port { .. }, _) => "a whole number or a string",
        (Kind::Choice(_) | Kind::Text { .. } | Kind::Path { .. }, _) => "a string",
    };
    let takes = format!("{wanted}: {}", setting.takes());
    Err(Problem::Refused { key: setting.key, found: describe(value), takes, hint: None })
}

/// Returns the digits; those that do not fit stay as they are, and are refused for their size.
fn decimal(number: &DeInteger<'_>) -> OsString {
    match i128::from_str_radix(number.as_str(), number.radix()) {
        Ok(number) => number.to_string().into(),
        Err(_) => number.as_str().into(),
    }
}

fn unknown(place: &Place<'_>, key: &Spanned<DeString<'_>>) -> ConfigError {
    let keys = SETTINGS.iter().map(|setting| setting.key).chain(["models"]);
    let hint = nearest(key.get_ref(), keys).map(did_you_mean);
    let key_text = Some(key.get_ref().to_string());
    place.line(key.span().start).refuse(Problem::Unknown { key: key_text, hint })
}
