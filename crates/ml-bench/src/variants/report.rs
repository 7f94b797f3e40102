//! The report: a table, a page with the speed and the fidelity of each variant, and what the manifest holds.

use std::fmt;

use ml_core::{Machine, Needs};
use serde::Serialize;

use super::{Gates, Measured, Quality, Recipe, Speeds, VariantsOptions};
use crate::grid::Grid;
use crate::html::Page;
use crate::memory::mib;
use crate::plot::Plot;

/// What was measured of the variants.
#[derive(Debug, Clone, Serialize)]
pub struct VariantsReport {
    /// The original's file.
    pub model: String,
    /// What ran all of them.
    pub runtime: String,
    /// The kind of machine.
    pub machine: String,
    /// What they ran on there.
    pub device: String,
    /// Items that calibration looked at.
    pub calibration_items: usize,
    /// Items that were measured on.
    pub items: usize,
    /// Interleaved rounds of timing.
    pub rounds: usize,
    /// What variants must hold.
    pub gates: Gates,
    /// The original, and then the variants.
    pub variants: Vec<VariantReport>,
}

/// What was measured of one variant.
#[derive(Debug, Clone, Serialize)]
pub struct VariantReport {
    /// Its name.
    pub name: String,
    /// Its file's name.
    pub file: String,
    /// What ran it.
    pub runtime: String,
    /// What its file is known by ([`ml_core::content_digest`]).
    pub content: String,
    /// Whether it takes packed batches.
    pub packed: bool,
    /// Whether it was made for comparison only, and need not hold the gates.
    pub compared: bool,
    /// Whether only its predictions are the original's, within the gates, and not its other outputs.
    pub for_task: bool,
    /// Whether an answer depends on what else is in the batch, as with scales of the whole batch.
    pub depends_on_batch: bool,
    /// What a machine must have for it to be worth anything there.
    pub needs: Needs,
    /// What it does not hold; empty where it may serve.
    pub refused: Vec<String>,
    /// The size of its file.
    pub file_bytes: u64,
    /// What the process grew by when it was loaded, a first run included.
    pub resident_bytes: u64,
    /// How its outputs compare.
    pub quality: Quality,
    /// How fast it is.
    pub speeds: Speeds,
}

impl VariantsReport {
    pub(super) fn new(
        options: &VariantsOptions,
        models: &[Measured],
        quality: Vec<Quality>,
        speeds: Vec<Speeds>,
        items: usize,
        calibration_items: usize,
    ) -> Self {
        let measured = models.iter().zip(quality).zip(speeds).enumerate();
        let variants = measured.map(|(index, ((measured, quality), speeds))| VariantReport {
            name: measured.name.clone(),
            file: measured
                .file
                .file_name()
                .map(|name| name.to_string_lossy().into_owned())
                .unwrap_or_default(),
            runtime: measured.model.runtime().to_owned(),
            content: measured.content.clone(),
            packed: measured.model.takes_packed_batches(),
            compared: index > options.variants.len(),
            for_task: measured.recipe.is_some_and(Recipe::is_for_task),
            depends_on_batch: quality.alone_cosine_min < options.gates.alone_cosine_min
                || measured.recipe.is_some_and(Recipe::depends_on_batch),
            needs: measured.recipe.map_or(Needs::Nothing, Recipe::needs),
            refused: match measured.recipe {
                // The original is what it is.
                None if index == 0 => Vec::new(),
                Some(recipe) if recipe.is_for_task() => options.gates.for_task().refusals(&quality, &speeds),
                _ => options.gates.refusals(&quality, &speeds),
            },
            file_bytes: measured.file_bytes,
            resident_bytes: measured.resident_bytes,
            quality,
            speeds,
        });
        Self {
            model: options.workload.model.display().to_string(),
            runtime: models.first().map(|measured| measured.model.runtime().to_owned()).unwrap_or_default(),
            machine: Machine::here().to_string(),
            device: "cpu".to_owned(),
            calibration_items,
            items,
            rounds: options.rounds.get(),
            gates: options.gates,
            variants: variants.collect(),
        }
    }

    /// Returns whether all variants hold the gates, but for those that are only compared.
    pub fn passed(&self) -> bool {
        self.variants.iter().all(|variant| variant.compared || variant.refused.is_empty())
    }

    /// Returns the report as one HTML page.
    pub fn html(&self) -> String {
        let mut plot = Plot::new(
            "Speed and fidelity: up and to the right is better",
            "speed in sorted batches, ratio to the original",
            "mean cosine to the original",
        );
        for VariantReport { name, quality, speeds, .. } in &self.variants {
            plot = plot.line(name, vec![(speeds.sorted.mean, quality.cosine_mean)]);
        }
        let mut page = Page::new(&format!("Variants: {}", self.model))
            .paragraph(&self.summary())
            .grid(&self.grid())
            .plot(&plot);
        for line in self.refusals() {
            page = page.paragraph(&line);
        }
        page.finish()
    }

    fn summary(&self) -> String {
        let Self { runtime, machine, items, calibration_items, rounds, .. } = self;
        format!(
            "{runtime}, one thread, {machine}; {calibration_items} items to calibrate, {items} others to measure, {rounds} interleaved rounds; \
             speeds are ratios of CPU time to the original's, with 95 % intervals"
        )
    }

    fn grid(&self) -> Grid {
        let mut grid = Grid::new([
            "variant",
            "MB",
            "size",
            "MiB resident",
            "single",
            "sorted 16",
            "arrival 16",
            "accuracy %",
            "flips %",
            "cosine",
            "cosine p1",
            "max error",
            "alone",
        ]);
        let original = self.variants.first().map_or(1, |original| original.file_bytes) as f64;
        for variant in &self.variants {
            let VariantReport { quality, speeds, .. } = variant;
            grid.row([
                variant.name.clone(),
                format!("{:.1}", variant.file_bytes as f64 / 1e6),
                format!("{:.3}", variant.file_bytes as f64 / original),
                format!("{:.1}", mib(variant.resident_bytes)),
                format!("{:.2}", speeds.single),
                format!("{:.2}", speeds.sorted),
                format!("{:.2}", speeds.arrival),
                quality.accuracy.map_or("-".to_owned(), |accuracy| format!("{:.2}", accuracy * 100.0)),
                format!("{:.2}", quality.flips * 100.0),
                format!("{:.5}", quality.cosine_mean),
                format!("{:.5}", quality.cosine_p1),
                format!("{:.1e}", quality.error_max),
                format!("{:.6}", quality.alone_cosine_min),
            ]);
        }
        grid
    }

    fn refusals(&self) -> Vec<String> {
        let refused = self.variants.iter().filter(|variant| !variant.refused.is_empty());
        refused
            .map(|variant| format!("{} is refused: {}", variant.name, variant.refused.join("; ")))
            .collect()
    }
}

impl fmt::Display for VariantsReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{}\n\n{}", self.model, self.summary(), self.grid())?;
        self.refusals().iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}
