//! Variants: cheaper forms of a model, made from its file and measured against it before anything serves them.
//!
//! Calibration looks at one set of items, measuring at another. Each variant is a list of `ml-onnx`' passes ([`Recipe`]); what
//! it costs and loses is compared with gates, and the manifest says which of them held.

mod batches;
mod build;
mod calibration;
mod gates;
mod manifest;
mod parallel;
mod pruning;
mod quality;
mod recipe;
mod report;
mod search;
mod speed;
mod workshop;

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use ml_core::{
    Model, ModelOptions, ORIGINAL, OptimisedCopy, RuntimeChoice, ThreadPlan, ThreadWishes, content_digest,
};

use crate::limit::{Item, LimitError, Workload};
use crate::process::Tree;
use crate::progress::Progress;
use crate::{Dataset, Error, Line};

pub use gates::Gates;
pub use quality::Quality;
pub use recipe::Recipe;
pub use report::{VariantReport, VariantsReport};
pub use speed::Speeds;

/// Which variants to make of which model, and how to measure them.
#[derive(Debug, Clone)]
pub struct VariantsOptions {
    /// The model, and the items that variants are measured on.
    pub workload: Workload,
    /// Items to calibrate with; without them every fourth of the others, which is then not measured on.
    pub calibration: Option<PathBuf>,
    /// How many items calibration looks at, at most.
    pub calibration_items: NonZeroUsize,
    /// The variants that must hold the gates.
    pub variants: Vec<Recipe>,
    /// Variants that are made and measured for comparison only.
    pub compared: Vec<Recipe>,
    /// Files of the same model that others have made, measured for comparison too.
    pub also: Vec<PathBuf>,
    /// Whether the original is measured on rten, too.
    pub rten: bool,
    /// The original as TVM has compiled it, measured too; needs the feature `tvm`.
    pub tvm: Option<PathBuf>,
    /// Where the variants and the manifest go.
    pub folder: PathBuf,
    /// Interleaved rounds of timing.
    pub rounds: NonZeroUsize,
    /// What a variant must hold.
    pub gates: Gates,
}

/// A model that is measured.
struct Measured {
    name: String,
    /// How it was made, unless elsewhere.
    recipe: Option<Recipe>,
    file: PathBuf,
    file_bytes: u64,
    content: String,
    model: Model,
    resident_bytes: u64,
}

/// Makes the variants, measures them, and writes them with their manifest.
///
/// # Errors
///
/// When the data or the model cannot be used, or a variant cannot be made.
pub fn variants(options: &VariantsOptions) -> Result<VariantsReport, Error> {
    let progress = Progress::new();
    let workload = &options.workload;
    std::fs::create_dir_all(&options.folder)
        .map_err(|source| Error::Write { path: options.folder.clone(), source })?;
    let original = Measured::load(None, &workload.model, workload.runtime, None)?;
    let original = Measured { name: ORIGINAL.to_owned(), ..original };
    let (calibrating, held_out) = split(options)?;
    let calibrating = workload.items_of(&original.model, &calibrating)?;
    let items = workload.items_of(&original.model, &held_out)?;
    let files = build::build(options, &calibrating, &progress)?;
    let mut models = vec![original];
    let made = files.iter().map(|(recipe, file)| (Some(*recipe), file));
    for (recipe, file) in made.chain(options.also.iter().map(|file| (None, file))) {
        models.push(Measured::load(recipe, file, workload.runtime, items.first())?);
    }
    let on_rten = options.rten.then_some((&workload.model, RuntimeChoice::Rten, "original-on-rten"));
    let on_tvm = options.tvm.as_ref().map(|file| (file, RuntimeChoice::Tvm, "original-on-tvm"));
    for (file, runtime, name) in on_rten.into_iter().chain(on_tvm) {
        let measured = Measured::load(None, file, runtime, items.first())?;
        models.push(Measured { name: name.to_owned(), ..measured });
    }
    let quality = quality::measure(&models, &items, &held_out, &progress)?;
    let speeds = speed::measure(&models, &items, options.rounds, &progress)?;
    let report = VariantsReport::new(options, &models, quality, speeds, items.len(), calibrating.len());
    manifest::write(&options.folder, &report)?;
    Ok(report)
}

/// Returns the lines for calibration, and those that are measured on.
fn split(options: &VariantsOptions) -> Result<(Vec<Line>, Vec<Line>), Error> {
    let (items, calibration_items) = (options.workload.items.get(), options.calibration_items.get());
    let data = |file: &PathBuf, limit| Dataset::read(std::slice::from_ref(file), Some(limit));
    if let Some(file) = &options.calibration {
        let held_out = data(&options.workload.data, items)?.into_lines();
        return Ok((data(file, calibration_items)?.into_lines(), held_out));
    }
    let all = data(&options.workload.data, items)?.into_lines();
    let (mut calibrating, mut held_out) = (Vec::new(), Vec::new());
    for (index, line) in all.into_iter().enumerate() {
        if index % 4 == 0 { calibrating.push(line) } else { held_out.push(line) }
    }
    calibrating.truncate(calibration_items);
    if held_out.is_empty() {
        return Err(Error::Variants("one item is not enough to calibrate and to measure".to_owned()));
    }
    Ok((calibrating, held_out))
}

impl Measured {
    /// Loads a model with one session of one thread; its memory is what the process grows by, a first run included.
    fn load(
        recipe: Option<Recipe>,
        file: &Path,
        runtime: RuntimeChoice,
        item: Option<&Item>,
    ) -> Result<Self, Error> {
        let resident = || Tree::of(std::process::id()).resident_bytes().unwrap_or(0);
        let before = resident();
        let model = load(file, runtime)?;
        let unreadable = |source| Error::Read { path: file.to_owned(), source };
        let file_bytes = std::fs::metadata(file).map_err(unreadable)?.len();
        let content = content_digest(file).map_err(unreadable)?;
        let name = recipe.map_or_else(|| stem(file), |recipe| recipe.to_string());
        let file = file.to_owned();
        let mut measured = Self { name, recipe, file, file_bytes, content, model, resident_bytes: 0 };
        if let Some(item) = item {
            let batch = batches::make(&measured.model, &[item])?;
            drop(batch.run(&measured.model).map_err(LimitError::Run)?);
        }
        measured.resident_bytes = resident().saturating_sub(before);
        Ok(measured)
    }
}

/// Returns a file's name without its ending.
fn stem(file: &Path) -> String {
    file.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Loads a model as variants are compared: one thread, and nothing left on the disk.
fn load(file: &Path, runtime: RuntimeChoice) -> Result<Model, LimitError> {
    let one = Some(NonZeroUsize::MIN);
    let wishes = ThreadWishes { runners: one, intra_op: one, wide: one, ..ThreadWishes::default() };
    let threads = ThreadPlan { wide: 1, ..ThreadPlan::detect(wishes) };
    let options =
        ModelOptions { runtime, threads, optimised_copy: OptimisedCopy::Never, ..ModelOptions::default() };
    Ok(Model::load(file, &options)?)
}
