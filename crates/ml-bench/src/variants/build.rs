//! Makes the files of the variants, as many at once as there are CPUs.

use std::path::PathBuf;

use ml_onnx::{Model, WriteOptions};

use super::parallel::in_parallel;
use super::recipe::prepared;
use super::workshop::Workshop;
use super::{Recipe, VariantsOptions, stem};
use crate::Error;
use crate::limit::Item;
use crate::progress::Progress;

/// Makes all variants and returns their files, in the order that they were asked for.
pub(super) fn build(
    options: &VariantsOptions,
    calibrating: (&[Item], &[Option<usize>]),
    progress: &Progress,
) -> Result<Vec<(Recipe, PathBuf)>, Error> {
    let recipes: Vec<Recipe> = options.variants.iter().chain(&options.compared).copied().collect();
    if recipes.is_empty() {
        return Ok(Vec::new());
    }
    let workload = &options.workload;
    let failed = |source| Error::Pass { variant: "original".to_owned(), source };
    let model = prepared(&Model::read(&workload.model)?).map_err(failed)?;
    let place = (options.folder.as_path(), workload.runtime);
    let shop = Workshop::new(model, calibrating, options.gates.accuracy_loss_max, place, progress);
    let stem = stem(&workload.model);
    let make = |recipe: &Recipe| {
        let variant = recipe.make(&shop)?;
        let path = options.folder.join(format!("{stem}.{recipe}.onnx"));
        variant.write(&path, WriteOptions::default())?;
        progress.note(&format!("made {}", path.display()));
        Ok((*recipe, path))
    };
    in_parallel(&recipes, make)
}
