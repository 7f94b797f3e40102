//! The variants by name, and the passes that make each.

use std::fmt;
use std::str::FromStr;

use ml_core::Needs;
use ml_onnx::calibrate::RangeMethod;
use ml_onnx::passes::{
    Clean, Fold, Fp16, Fp16Form, Int8Dynamic, Int8Fused, Int8PerToken, Int8Static, Int8Tables, Packed,
    PackedAttention,
};
use ml_onnx::{Model, Pass, PassError};
use serde::{Serialize, Serializer};

use super::workshop::{Profile, Workshop};
use crate::Error;

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
    /// The same, each layer as one node of an operator of our own.
    Int8Fused = "int8-fused",
    /// Packed batches.
    Packed = "packed",
    /// Packed batches, attention by an operator of our own.
    PackedFused = "packed-fused",
    /// Packed batches, mixed int8.
    PackedInt8Mixed = "packed-int8-mixed",
    /// Packed batches, int8 with a scale for each token.
    PackedInt8PerToken = "packed-int8-per-token",
    /// The same, each layer and each attention as one node of operators of our own.
    PackedInt8Fused = "packed-int8-fused",
    /// Without 30 % of the feed-forward neurons.
    Ffn30 = "ffn30",
    /// Without half of the feed-forward neurons and a third of the heads.
    Ffn50Heads33 = "ffn50-heads33",
    /// Without 40 % of the weights of linear layers: neurons or heads, whichever is missed less.
    Pruned60 = "pruned60",
    /// With as few weights of linear layers as predict right as often, but for the loss of accuracy that the gates allow.
    PrunedAccurate = "pruned-accurate",
    /// The first of these, mixed int8.
    Ffn30Int8Mixed = "ffn30-int8-mixed",
    /// The second of these, mixed int8.
    Ffn50Heads33Int8Mixed = "ffn50-heads33-int8-mixed",
    /// The first of these, int8 with a scale for each token, each layer as one node of an operator of our own.
    Ffn30Int8Fused = "ffn30-int8-fused",
    /// The second of these, likewise.
    Ffn50Heads33Int8Fused = "ffn50-heads33-int8-fused",
}

impl Recipe {
    /// Returns whether the variant is for the model's task only: its outputs are not the original's any more, its predictions are.
    pub(super) fn is_for_task(self) -> bool {
        matches!(
            self,
            Self::Ffn30
                | Self::Ffn50Heads33
                | Self::Pruned60
                | Self::PrunedAccurate
                | Self::Ffn30Int8Mixed
                | Self::Ffn50Heads33Int8Mixed
                | Self::Ffn30Int8Fused
                | Self::Ffn50Heads33Int8Fused
        )
    }

    /// Returns whether its scales are of the whole batch, so that an answer depends on what else is in it.
    pub(super) fn depends_on_batch(self) -> bool {
        self == Self::Int8Dynamic
    }

    /// Returns what a machine must have for the variant to be worth anything there.
    pub(super) fn needs(self) -> Needs {
        match self {
            Self::Fp16 => Needs::Accelerator,
            Self::Fp16Weights
            | Self::Packed
            | Self::Ffn30
            | Self::Ffn50Heads33
            | Self::Pruned60
            | Self::PrunedAccurate => Needs::Nothing,
            Self::Int8Dynamic
            | Self::Int8StaticMinMax
            | Self::Int8Static
            | Self::Int8StaticEntropy
            | Self::Int8Mixed
            | Self::Int8PerToken
            | Self::PackedInt8Mixed
            | Self::PackedInt8PerToken
            | Self::Ffn30Int8Mixed
            | Self::Ffn50Heads33Int8Mixed => Needs::Int8Products,
            Self::Int8Fused
            | Self::PackedFused
            | Self::PackedInt8Fused
            | Self::Ffn30Int8Fused
            | Self::Ffn50Heads33Int8Fused => Needs::WideInt8Products,
        }
    }

    fn profile(self, shop: &Workshop<'_>) -> Result<Option<Profile>, Error> {
        Ok(match self {
            Self::Pruned60 => Some(shop.searched(60)?),
            Self::PrunedAccurate => Some(shop.searched_accurate()?),
            Self::Ffn30 | Self::Ffn30Int8Mixed | Self::Ffn30Int8Fused => {
                Some(Profile { neurons: 70, heads: 100 })
            }
            Self::Ffn50Heads33 | Self::Ffn50Heads33Int8Mixed | Self::Ffn50Heads33Int8Fused => {
                Some(Profile { neurons: 50, heads: 67 })
            }
            _ => None,
        })
    }

    /// Makes the variant.
    pub(super) fn make(self, shop: &Workshop<'_>) -> Result<Model, Error> {
        let failed = |source| Error::Pass { variant: self.name().to_owned(), source };
        let percentile = RangeMethod::Percentile(PERCENTILE);
        let profile = self.profile(shop)?;
        let model = shop.model(profile)?;
        let packed = || then(&model, &Packed::default()).map_err(failed);
        let packed_fused = || {
            let passes: [&dyn Pass; 3] = [&Packed::default(), &PackedAttention::default(), &Clean];
            model.rewritten(&passes).map_err(failed)
        };
        let mixed = |model: &Model| {
            let ranges = shop.calibration(profile)?.mixed(percentile, model);
            int8(model, &Int8Static { ranges }).map_err(failed)
        };
        let per_token = |model: &Model| {
            let outliers = shop.calibration(profile)?.outliers(model);
            int8(model, &Int8PerToken { outliers }).map_err(failed)
        };
        let fused = |model: &Model| {
            let outliers = shop.calibration(profile)?.few_outliers(model);
            int8(model, &Int8Fused { outliers }).map_err(failed)
        };
        let whole = |method| int8(&model, &shop.calibration(profile)?.whole(method)).map_err(failed);
        match self {
            Self::Fp16 => then(&model, &Fp16::new(Fp16Form::Compute)).map_err(failed),
            Self::Fp16Weights => then(&model, &Fp16::new(Fp16Form::Weights)).map_err(failed),
            Self::Int8Dynamic => int8(&model, &Int8Dynamic::default()).map_err(failed),
            Self::Int8StaticMinMax => whole(RangeMethod::MinMax),
            Self::Int8Static => whole(percentile),
            Self::Int8StaticEntropy => whole(RangeMethod::Entropy),
            Self::Int8Mixed | Self::Ffn30Int8Mixed | Self::Ffn50Heads33Int8Mixed => mixed(&model),
            Self::Int8PerToken => per_token(&model),
            Self::Int8Fused | Self::Ffn30Int8Fused | Self::Ffn50Heads33Int8Fused => fused(&model),
            Self::Packed => packed(),
            Self::PackedFused => packed_fused(),
            Self::PackedInt8Mixed => mixed(&packed()?),
            Self::PackedInt8PerToken => per_token(&packed()?),
            Self::PackedInt8Fused => fused(&packed_fused()?),
            Self::Ffn30 | Self::Ffn50Heads33 | Self::Pruned60 | Self::PrunedAccurate => Ok((*model).clone()),
        }
    }
}

/// The share of numbers that a range from calibration holds, in percent.
const PERCENTILE: f64 = 99.99;

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
