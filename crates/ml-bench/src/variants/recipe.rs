//! The variants by name, and the passes that make each.

use std::fmt;
use std::str::FromStr;

use ml_onnx::calibrate::RangeMethod;
use ml_onnx::passes::{Clean, Fold, Fp16, Fp16Form, Int8Dynamic, Int8PerToken, Int8Static, Int8Tables, Packed};
use ml_onnx::{Model, Pass, PassError};
use serde::{Serialize, Serializer};

use super::calibration::Calibration;

macro_rules! recipes {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// A variant that can be made.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Recipe {
            $($(#[$doc])* $variant,)*
        }

        impl Recipe {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Returns the name, as it is in file names and manifests.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

recipes! {
    /// 16-bit weights and computing.
    Fp16 = "fp16",
    /// 16-bit weights.
    Fp16Weights = "fp16-weights",
    /// int8 with scales of the whole batch.
    Int8Dynamic = "int8-dynamic",
    /// int8 with scales from calibration: all that occurred.
    Int8StaticMinMax = "int8-static-minmax",
    /// int8 with scales from calibration: a percentile.
    Int8Static = "int8-static",
    /// int8 with scales from calibration: least divergence.
    Int8StaticEntropy = "int8-static-entropy",
    /// The same, with columns of outliers in floats.
    Int8Mixed = "int8-mixed",
    /// int8 with a scale for each token, and columns of outliers in floats.
    Int8PerToken = "int8-per-token",
    /// Packed batches.
    Packed = "packed",
    /// Packed batches, mixed int8.
    PackedInt8Mixed = "packed-int8-mixed",
    /// Packed batches, int8 with a scale for each token.
    PackedInt8PerToken = "packed-int8-per-token",
}

/// The share of numbers that a range from calibration holds, in percent.
const PERCENTILE: f64 = 99.99;

impl Recipe {
    /// Returns whether the passes need calibration.
    pub(super) fn calibrates(self) -> bool {
        !matches!(self, Self::Fp16 | Self::Fp16Weights | Self::Int8Dynamic | Self::Packed)
    }

    /// Makes the variant.
    pub(super) fn make(self, model: &Model, calibration: &Calibration) -> Result<Model, PassError> {
        let percentile = RangeMethod::Percentile(PERCENTILE);
        match self {
            Self::Fp16 => then(model, &Fp16::new(Fp16Form::Compute)),
            Self::Fp16Weights => then(model, &Fp16::new(Fp16Form::Weights)),
            Self::Int8Dynamic => int8(model, &Int8Dynamic::default()),
            Self::Int8StaticMinMax => int8(model, &calibration.whole(RangeMethod::MinMax)),
            Self::Int8Static => int8(model, &calibration.whole(percentile)),
            Self::Int8StaticEntropy => int8(model, &calibration.whole(RangeMethod::Entropy)),
            Self::Int8Mixed => mixed(model, calibration),
            Self::Int8PerToken => per_token(model, calibration),
            Self::Packed => then(model, &Packed::default()),
            Self::PackedInt8Mixed => mixed(&then(model, &Packed::default())?, calibration),
            Self::PackedInt8PerToken => per_token(&then(model, &Packed::default())?, calibration),
        }
    }
}

fn mixed(model: &Model, calibration: &Calibration) -> Result<Model, PassError> {
    int8(model, &Int8Static { ranges: calibration.mixed(RangeMethod::Percentile(PERCENTILE), model) })
}

fn per_token(model: &Model, calibration: &Calibration) -> Result<Model, PassError> {
    int8(model, &Int8PerToken { outliers: calibration.outliers(model) })
}

/// A pass for layers, and int8 for tables.
fn int8(model: &Model, layers: &dyn Pass) -> Result<Model, PassError> {
    model.rewritten(&[layers, &Int8Tables::default(), &Clean])
}

fn then(model: &Model, pass: &dyn Pass) -> Result<Model, PassError> {
    model.rewritten(&[pass, &Clean])
}

/// What every recipe begins with.
pub(super) fn prepared(model: &Model) -> Result<Model, PassError> {
    model.rewritten(&[&Fold, &Clean])
}

impl fmt::Display for Recipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for Recipe {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// There is no variant of this name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownRecipe;

impl FromStr for Recipe {
    type Err = UnknownRecipe;

    fn from_str(name: &str) -> Result<Self, UnknownRecipe> {
        Self::ALL.iter().copied().find(|recipe| recipe.name() == name).ok_or(UnknownRecipe)
    }
}
