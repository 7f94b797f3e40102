//! What an operator may decide about a task; everything else is taken from the folder.

use std::num::NonZeroUsize;

/// Decisions about a task. `None` leaves each to the folder's files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TaskOptions {
    /// Names of the classes, in the order of the model's outputs.
    pub labels: Option<Vec<String>>,
    /// Most tokens of a text, special ones included; the model's own limit holds as well.
    pub tokens_max: Option<NonZeroUsize>,
    /// How the tokens' states become one embedding.
    pub pooling: Option<Pooling>,
    /// Whether embeddings are scaled to length one, where a caller does not say.
    pub normalize: Option<bool>,
    /// How tokens are put together to entities, where a caller does not say.
    pub aggregation: Option<Aggregation>,
    /// Most pixels of an image as it is sent; more are refused before they are decoded. 32 Mi by default.
    pub image_pixels_max: Option<NonZeroUsize>,
}

/// How the states of a text's tokens become one embedding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Pooling {
    /// The state of the first token.
    Cls,
    /// The mean of all tokens' states.
    Mean,
    /// The largest of all tokens' states, number by number.
    Max,
    /// The sum of all tokens' states over the root of their count.
    MeanSqrtLength,
    /// The state of the last token.
    LastToken,
}

/// How tokens are put together to entities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Aggregation {
    /// Each token is an entity of its own.
    None,
    /// Neighbouring tokens of one label, where it does not begin anew, are one.
    Simple,
    /// As simple, but of whole words, each with the label of its first token.
    First,
    /// As simple, but of whole words, each with the label of its most certain token.
    Max,
    /// As simple, but of whole words, each with the label of the mean of its tokens' scores.
    Average,
}

impl Pooling {
    /// Every pooling with its name in settings.
    pub const ALL: [(&'static str, Self); 5] = [
        ("cls", Self::Cls),
        ("mean", Self::Mean),
        ("max", Self::Max),
        ("mean_sqrt_length", Self::MeanSqrtLength),
        ("last_token", Self::LastToken),
    ];

    /// Returns the pooling's name in settings.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, pooling)| *pooling == self).map_or("", |(name, _)| name)
    }
}

impl Aggregation {
    /// Every aggregation with its name in settings.
    pub const ALL: [(&'static str, Self); 5] = [
        ("none", Self::None),
        ("simple", Self::Simple),
        ("first", Self::First),
        ("max", Self::Max),
        ("average", Self::Average),
    ];
}
