//! The one trait that a user implements.

use std::hash::Hash;

use crate::{Facts, Key, Model, ModelError, Rejection};

/// A model with everything around it: what a caller may send, what the model eats, what the caller gets back.
///
/// One item travels `validate → lookup → clean → queue → predict → format`. The engine calls the methods; an
/// implementation holds no locks, starts no threads and knows nothing of HTTP.
///
/// # Examples
///
/// ```
/// use ml_core::{Facts, ModelError, Pipeline, Rejection};
///
/// struct Doubler;
///
/// impl Pipeline for Doubler {
///     type Input = i64;
///     type Features = i64;
///     type Prediction = i64;
///     type Output = i64;
///
///     fn validate(&self, number: &i64) -> Result<(), Rejection> {
///         if number.abs() > 1_000 {
///             return Err(Rejection::new("number", "range").value(number).limit("-1000 to 1000"));
///         }
///         Ok(())
///     }
///
///     fn clean(&self, number: i64, _: &Facts) -> Result<i64, Rejection> {
///         Ok(number)
///     }
///
///     fn predict_batch(&self, batch: &[i64]) -> Result<Vec<i64>, ModelError> {
///         Ok(batch.iter().map(|number| number * 2).collect())
///     }
///
///     fn format(&self, doubled: i64) -> i64 {
///         doubled
///     }
/// }
///
/// let engine = ml_core::Engine::new(Doubler);
/// assert_eq!(engine.predict_blocking(21), Ok(42));
/// ```
///
/// `predict_batch` must answer each item as if it were alone. This one does not: the sum is over the batch, so
/// the answer would depend on whose items happened to travel together.
///
/// ```
/// # use ml_core::ModelError;
/// fn predict_batch(batch: &[f32]) -> Result<Vec<f32>, ModelError> {
///     let sum: f32 = batch.iter().sum(); // wrong: mixes callers
///     Ok(batch.iter().map(|x| x / sum).collect())
/// }
/// ```
pub trait Pipeline: Send + Sync + 'static {
    /// One item as the caller sends it.
    ///
    /// Equal items, of one call or in flight from several, are computed once, hence `Eq`, `Hash` and `Clone`.
    /// Floating-point fields get the first two from `ordered_float::NotNan` (or `OrderedFloat`), which read and
    /// write as plain numbers; large fields are cheap to clone behind an `Arc`.
    type Input: Clone + Eq + Hash + Send + Sync + 'static;

    /// One item as the model eats it: tokens, pixels, a row of numbers.
    type Features: Send + Sync + 'static;

    /// One item's raw model output.
    type Prediction: Send + Sync + 'static;

    /// One item as the caller gets it back.
    type Output: Clone + Send + Sync + 'static;

    /// Checks one item: cheap, and without side effects.
    ///
    /// # Errors
    /// A [`Rejection`] says which field broke which rule, and what is allowed.
    fn validate(&self, input: &Self::Input) -> Result<(), Rejection>;

    /// Makes features from one valid item and the facts that it named in [`lookups`](Self::lookups).
    ///
    /// Runs on the caller's thread, or on all cores when the call is large enough for that to pay.
    ///
    /// # Errors
    /// A [`Rejection`] where only this work shows that the item cannot be used (an image that does not decode).
    fn clean(&self, input: Self::Input, facts: &Facts) -> Result<Self::Features, Rejection>;

    /// Runs the model on a batch, which is never empty, and returns one prediction for each item, in order.
    ///
    /// Several threads call this at once, each with its own batch: runner threads, and, when the model takes less time than
    /// waking one of them (50 µs), those of callers. A batch that fails or panics is split until the guilty item is
    /// alone: only that item fails.
    ///
    /// # Errors
    /// A [`ModelError`] when the batch could not be computed.
    fn predict_batch(&self, batch: &[Self::Features]) -> Result<Vec<Self::Prediction>, ModelError>;

    /// Makes the caller's output from one prediction.
    fn format(&self, prediction: Self::Prediction) -> Self::Output;

    /// Names the external facts that one item needs. None by default.
    fn lookups(&self, _input: &Self::Input) -> Vec<Key> {
        Vec::new()
    }

    /// What the item weighs in a batch: its tokens or pixels, at least 1.
    ///
    /// A padded batch computes its longest item once for each of its items, so the engine puts items of
    /// similar cost together. 1 by default: all items weigh the same.
    fn cost(&self, _features: &Self::Features) -> usize {
        1
    }

    /// Whether the model takes packed batches: rows one after the other, without padding.
    ///
    /// A packed batch costs the sum of its items, a padded one its longest item once for each. False by default.
    fn takes_packed_batches(&self) -> bool {
        false
    }

    /// The batch sizes that the model takes, where it does not take any; ascending. Empty, the default: any.
    ///
    /// The engine makes no batch larger than the largest, and counts what padding up to the next size costs;
    /// [`predict_batch`](Self::predict_batch) adds the rows, and drops what the model answers for them.
    fn batch_sizes(&self) -> Vec<usize> {
        Vec::new()
    }

    /// The models that [`predict_batch`](Self::predict_batch) runs. None by default.
    ///
    /// An engine has no more runners than they run batches at once ([`Model::runs_at_once`]: one on a GPU), makes batches as large as suits
    /// their devices, and counts what their shadows find under its name ([`ModelOptions::shadow_share`](crate::ModelOptions::shadow_share)).
    fn models(&self) -> Vec<&Model> {
        Vec::new()
    }

    /// An item that the pipeline answers without a rejection, for warm-up and for readiness checks.
    ///
    /// None by default: readiness then means only that the runners wait for work.
    fn example(&self) -> Option<Self::Input> {
        None
    }
}
