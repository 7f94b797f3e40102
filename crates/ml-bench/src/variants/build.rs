//! Makes the files of the variants, as many at once as there are CPUs.

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Mutex;
use std::thread;

use ml_onnx::{Model, WriteOptions};

use super::recipe::prepared;
use super::workshop::Workshop;
use super::{Recipe, VariantsOptions, stem};
use crate::Error;
use crate::limit::{Item, LimitError};
use crate::progress::Progress;

/// Makes all variants and returns their files, in the order that they were asked for.
pub(super) fn build(
    options: &VariantsOptions,
    calibrating: &[Item],
    progress: &Progress,
) -> Result<Vec<(Recipe, PathBuf)>, Error> {
    let workload = &options.workload;
    let failed = |source| Error::Pass { variant: "original".to_owned(), source };
    let model = prepared(&Model::read(&workload.model)?).map_err(failed)?;
    let recipes: Vec<Recipe> = options.variants.iter().chain(&options.compared).copied().collect();
    let shop = Workshop::new(model, calibrating, (&options.folder, workload.runtime), progress);
    let stem = stem(&workload.model);
    let make = |recipe: Recipe| {
        let variant = recipe.make(&shop)?;
        let path = options.folder.join(format!("{stem}.{recipe}.onnx"));
        variant.write(&path, WriteOptions::default())?;
        progress.note(&format!("made {}", path.display()));
        Ok((recipe, path))
    };
    in_parallel(&recipes, make)
}

fn in_parallel<T: Send>(
    recipes: &[Recipe],
    make: impl Fn(Recipe) -> Result<T, Error> + Sync,
) -> Result<Vec<T>, Error> {
    let waiting: Mutex<VecDeque<_>> = Mutex::new(recipes.iter().copied().enumerate().collect());
    let next = || waiting.lock().ok().and_then(|mut waiting| waiting.pop_front());
    let work = || {
        let mut made = Vec::new();
        while let Some((index, recipe)) = next() {
            made.push((index, make(recipe)));
        }
        made
    };
    let threads = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let made = thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().map_err(|_| LimitError::Lost))
            .collect::<Result<Vec<_>, _>>()
    });
    let mut made: Vec<_> = made?.into_iter().flatten().collect();
    made.sort_by_key(|(index, _)| *index);
    made.into_iter().map(|(_, made)| made).collect()
}
