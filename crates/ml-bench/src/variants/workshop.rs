//! What recipes share: calibrations and pruned models, each made once, by whoever needs it first.

use std::collections::HashMap;
use std::hash::Hash;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use ml_core::RuntimeChoice;
use ml_onnx::Model;

use super::calibration::Calibration;
use super::pruning::prune;
use super::search::{search, search_accurate};
use crate::Error;
use crate::limit::Item;
use crate::progress::Progress;

/// How much pruning leaves of a model, in percent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Profile {
    /// Of the neurons of each feed-forward layer.
    pub(super) neurons: usize,
    /// Of the heads of each attention.
    pub(super) heads: usize,
}

/// Where variants are made from one model.
pub(super) struct Workshop<'a> {
    model: Arc<Model>,
    items: &'a [Item],
    /// Of the items, where they are known.
    labels: &'a [Option<usize>],
    accuracy_loss_max: f64,
    place: (&'a Path, RuntimeChoice),
    progress: &'a Progress,
    calibrations: Shelf<Option<Profile>, Calibration>,
    pruned: Shelf<Profile, Model>,
    searched: Shelf<usize, Profile>,
}

/// Things by what they are of.
type Shelf<K, T> = Mutex<HashMap<K, Arc<T>>>;

impl<'a> Workshop<'a> {
    pub(super) fn new(
        model: Model,
        (items, labels): (&'a [Item], &'a [Option<usize>]),
        accuracy_loss_max: f64,
        place: (&'a Path, RuntimeChoice),
        progress: &'a Progress,
    ) -> Self {
        Self {
            model: Arc::new(model),
            items,
            labels,
            accuracy_loss_max,
            place,
            progress,
            calibrations: Shelf::default(),
            pruned: Shelf::default(),
            searched: Shelf::default(),
        }
    }

    /// Returns the model, pruned where a profile is given.
    pub(super) fn model(&self, profile: Option<Profile>) -> Result<Arc<Model>, Error> {
        let Some(profile) = profile else { return Ok(Arc::clone(&self.model)) };
        taken(&self.pruned, profile, || prune(&self.model, profile, self.items, self.place, self.progress))
    }

    /// Returns the profile that keeps at most so many percent of the weights and stays nearest to the model.
    pub(super) fn searched(&self, percent: usize) -> Result<Profile, Error> {
        let find = || Ok(search(&self.model, percent, self.items, self.place, self.progress)?.0);
        taken(&self.searched, percent, find).map(|profile| *profile)
    }

    /// Returns the narrowest profile that predicts as well as the model, but for the loss that is allowed.
    pub(super) fn searched_accurate(&self) -> Result<Profile, Error> {
        let (items, loss_max) = ((self.items, self.labels), self.accuracy_loss_max);
        // No share is kept of nothing: the place of this search among those for shares.
        let find = || search_accurate(&self.model, items, loss_max, self.place, self.progress);
        taken(&self.searched, 0, find).map(|profile| *profile)
    }

    /// Returns what the inputs of that model's layers are like.
    pub(super) fn calibration(&self, profile: Option<Profile>) -> Result<Arc<Calibration>, Error> {
        let model = self.model(profile)?;
        taken(&self.calibrations, profile, || Calibration::run(&model, self.items, self.place, self.progress))
    }
}

/// Returns what is there, or makes it while others wait for it.
fn taken<K: Eq + Hash, T>(
    shelf: &Shelf<K, T>,
    key: K,
    make: impl FnOnce() -> Result<T, Error>,
) -> Result<Arc<T>, Error> {
    // Whoever panicked while making something has put nothing there.
    let mut shelf = shelf.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(made) = shelf.get(&key) {
        return Ok(Arc::clone(made));
    }
    let made = Arc::new(make()?);
    shelf.insert(key, Arc::clone(&made));
    Ok(made)
}
