//! Variants: which of the forms of a model that lie beside it serves in its place, and why.
//!
//! `ml-bench variants` makes and measures them, and writes a manifest. What it says is believed only where it was measured: of
//! these files, on this kind of machine and device, by this runtime.

mod choose;
mod machine;
mod manifest;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

pub(super) use self::choose::{Here, choose};
pub use self::machine::Machine;
pub use self::manifest::{MANIFEST, MANIFEST_VERSION, Needs};

/// What the model itself is called among its variants.
pub const ORIGINAL: &str = "original";

/// Which form of a model shall serve.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum VariantChoice {
    /// The file that was named.
    #[default]
    Original,
    /// The fastest that held its gates on this kind of machine; the file that was named where none did.
    Auto,
    /// The one of this name, also when it did not hold its gates.
    Named(String),
}

/// The form of a model that serves.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Variant {
    /// Its name; `original` is the model as it is.
    pub name: String,
    /// Why this one.
    pub why: String,
    /// What was measured of it, against the original.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub measured: Option<Measured>,
    /// The others, and why they do not serve.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub passed_over: Vec<PassedOver>,
}

/// What was measured of a variant, against the original.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Measured {
    /// How many times as fast it is, one item at a time.
    pub speed_single: f64,
    /// How many times as fast it is in batches of items of similar length.
    pub speed_sorted: f64,
    /// The mean cosine between its outputs and the original's.
    pub cosine_mean: f64,
    /// The share of other predictions.
    pub flips: f64,
    /// The share of labelled items that it predicts right.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<f64>,
}

/// A variant that does not serve.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PassedOver {
    /// Its name.
    pub name: String,
    /// Why it does not, with the numbers.
    pub reason: String,
}

/// Why the variant that was named cannot serve.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VariantError {
    /// The manifest cannot be read.
    #[error("{}: {reason}", path.display())]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// There is no such variant.
    #[error("there is no variant {name:?} of it; there is {known}")]
    Unknown {
        /// The name.
        name: String,
        /// The variants that there are.
        known: String,
    },
    /// There is one, but it cannot serve.
    #[error("its variant {name} {reason}")]
    Unusable {
        /// The variant.
        name: String,
        /// Why not.
        reason: String,
    },
}

impl Variant {
    pub(super) fn original(why: &str) -> Self {
        Self { name: ORIGINAL.to_owned(), why: why.to_owned(), measured: None, passed_over: Vec::new() }
    }
}

impl fmt::Display for VariantChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Original => ORIGINAL,
            Self::Auto => "auto",
            Self::Named(name) => name,
        })
    }
}

impl fmt::Display for PassedOver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.reason)
    }
}
