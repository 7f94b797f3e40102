//! Data files: one JSON object a line, with an item and, where known, its right answer.

use std::fmt;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::Error;

/// The lines of the data files, in order; there is at least one.
#[derive(Debug)]
pub struct Dataset {
    lines: Vec<Line>,
}

/// One item and what is known about its answer.
#[derive(Debug)]
pub struct Line {
    /// Where the line stands.
    pub place: Place,
    /// The item, byte for byte as the file has it.
    pub item: Box<RawValue>,
    /// The truth.
    pub label: Option<String>,
    /// The output of the reference implementation.
    pub expected: Option<Value>,
}

/// A file and a line of it, shown as `file:line`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    file: Arc<str>,
    line: usize,
}

/// A line as the file has it. Unknown fields are refused: a mistyped `label` would otherwise pass as
/// "no truth given" and the accuracy would go unchecked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    item: Box<RawValue>,
    label: Option<String>,
    expected: Option<Value>,
}

impl Dataset {
    /// Reads the files one after the other, at most `limit` lines in all.
    ///
    /// # Errors
    ///
    /// When a file cannot be read, a line is broken (blank lines are skipped), or there is no item.
    pub fn read(files: &[PathBuf], limit: Option<usize>) -> Result<Self, Error> {
        let limit = limit.unwrap_or(usize::MAX);
        let mut lines = Vec::new();
        for file in files {
            read_file(file, limit, &mut lines)?;
        }
        if lines.is_empty() {
            let names: Vec<_> = files.iter().map(|file| file.display().to_string()).collect();
            return Err(Error::NoItems(names.join(", ")));
        }
        Ok(Self { lines })
    }

    /// Returns the lines in order.
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// Returns the lines in order, to be kept.
    pub(crate) fn into_lines(self) -> Vec<Line> {
        self.lines
    }

    /// Returns `count` lines from the `first` on, beginning again after the last.
    pub fn round_robin(&self, first: usize, count: usize) -> impl Iterator<Item = &Line> {
        (first..first + count).map(|index| &self.lines[index % self.lines.len()])
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

impl Serialize for Place {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

fn read_file(path: &Path, limit: usize, lines: &mut Vec<Line>) -> Result<(), Error> {
    let unreadable = |source| Error::Read { path: path.to_owned(), source };
    let file: Arc<str> = path.display().to_string().into();
    let reader = BufReader::new(File::open(path).map_err(unreadable)?);
    for (index, text) in reader.lines().enumerate() {
        if lines.len() >= limit {
            break;
        }
        let text = text.map_err(unreadable)?;
        if !text.trim().is_empty() {
            lines.push(parse(&text, Place { file: Arc::clone(&file), line: index + 1 })?);
        }
    }
    Ok(())
}

fn parse(text: &str, place: Place) -> Result<Line, Error> {
    match serde_json::from_str(text) {
        Ok(Wire { item, label, expected }) => Ok(Line { place, item, label, expected }),
        Err(reason) => {
            Err(Error::Line { file: place.file.to_string(), line: place.line, reason: reason.to_string() })
        }
    }
}
