//! A failure: why a request or an item got no output, and how often each kind happened.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Serialize, Serializer};

/// One request or item without an output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What failures are counted by.
    pub kind: FailureKind,
    /// What was said about this one.
    pub detail: String,
}

/// What failures are counted by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum FailureKind {
    /// The server answered with another status than 2xx.
    Status {
        /// The HTTP status.
        status: u16,
        /// The `code` of the error body, where it has one.
        code: Option<String>,
    },
    /// The server answered the batch and refused this item of it.
    Item {
        /// The `code` of the item's error, where it has one.
        code: Option<String>,
    },
    /// The server's answer was not what the target description says.
    Answer,
    /// There was no connection, or it broke.
    Connection,
    /// No answer came in time.
    Timeout,
    /// The request was due, but too many were in flight to send it.
    NotSent,
}

/// How often each kind of failure happened, with one example.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(transparent)]
pub struct Failures {
    kinds: BTreeMap<FailureKind, Count>,
}

/// The number of failures of one kind, and what was said about the first.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Count {
    pub(crate) count: u64,
    pub(crate) example: String,
}

impl Failure {
    pub(crate) fn new(kind: FailureKind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into() }
    }
}

impl Failures {
    /// Counts a failure `times` times.
    pub fn add(&mut self, failure: Failure, times: u64) {
        let entry = self.kinds.entry(failure.kind);
        entry.or_insert_with(|| Count { count: 0, example: failure.detail }).count += times;
    }

    /// Counts all failures of `other` here too.
    pub fn merge(&mut self, other: Self) {
        for (kind, Count { count, example }) in other.kinds {
            self.add(Failure { kind, detail: example }, count);
        }
    }

    /// Returns how many failures of all kinds there were.
    pub fn total(&self) -> u64 {
        self.kinds.values().map(|count| count.count).sum()
    }

    /// Returns how many failures of this kind there were.
    pub fn of(&self, kind: &FailureKind) -> u64 {
        self.kinds.get(kind).map_or(0, |count| count.count)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&FailureKind, &Count)> {
        self.kinds.iter()
    }
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status { status, code: Some(code) } => write!(f, "{status} {code}"),
            Self::Status { status, code: None } => write!(f, "{status}"),
            Self::Item { code: Some(code) } => write!(f, "item {code}"),
            Self::Item { code: None } => f.write_str("item without code"),
            Self::Answer => f.write_str("answer not understood"),
            Self::Connection => f.write_str("connection"),
            Self::Timeout => f.write_str("timeout"),
            Self::NotSent => f.write_str("not sent"),
        }
    }
}

impl Serialize for FailureKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
