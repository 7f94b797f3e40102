//! `ml-bench variants`.

use std::path::{Path, PathBuf};

use super::common::outputs;
use super::limit::runtime;
use crate::cli::flags::{Flags, Syntax};
use crate::cli::{CliError, Command, Usage};
use crate::limit::Workload;
use crate::variants::{Gates, Recipe, VariantsOptions};

pub(super) const SYNTAX: Syntax = Syntax {
    argument: Some("MODEL"),
    flags: &[
        "data",
        "calibrate",
        "tokenizer",
        "field",
        "items",
        "calibration-items",
        "variants",
        "compare",
        "also",
        "tvm",
        "folder",
        "rounds",
        "runtime",
        "min-cosine",
        "min-cosine-p1",
        "max-flips",
        "max-accuracy-loss",
        "min-alone",
        "min-speed",
        "json",
        "html",
    ],
    switches: &["rten", "openvino"],
};

pub(super) fn read(flags: &Flags) -> Result<Command, CliError> {
    let model = flags.argument("MODEL")?;
    let beside = model.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = flags.path("folder")?.unwrap_or_else(|| PathBuf::from(beside));
    let options = VariantsOptions {
        calibration: flags.path("calibrate")?,
        calibration_items: flags.count_or("calibration-items", 2048)?,
        variants: recipes(flags, "variants")?.unwrap_or_else(|| {
            vec![Recipe::Int8Mixed, Recipe::Int8PerToken, Recipe::Packed, Recipe::PackedInt8Mixed]
        }),
        compared: recipes(flags, "compare")?.unwrap_or_else(|| vec![Recipe::Int8Dynamic, Recipe::Fp16]),
        also: flags.list("also", "files with commas between them", |_| true)?.unwrap_or_default(),
        rten: flags.switch("rten"),
        openvino: flags.switch("openvino"),
        tvm: flags.path("tvm")?,
        folder,
        rounds: flags.count_or("rounds", 7)?,
        gates: gates(flags)?,
        workload: Workload {
            model,
            runtime: runtime(flags)?,
            data: flags.path("data")?.ok_or(Usage::Missing("data"))?,
            tokenizer: flags.path("tokenizer")?,
            field: flags.text("field")?.unwrap_or_else(|| "text".to_owned()),
            items: flags.count_or("items", 10_000)?,
            optimised_copy: true,
        },
    };
    Ok(Command::Variants(options, outputs(flags)?))
}

fn recipes(flags: &Flags, flag: &'static str) -> Result<Option<Vec<Recipe>>, Usage> {
    // "none" is no variant at all.
    if flags.path(flag)?.is_some_and(|value| value.as_os_str() == "none") {
        return Ok(Some(Vec::new()));
    }
    flags.list(flag, "names of variants with commas between them, or none", |_| true)
}

fn gates(flags: &Flags) -> Result<Gates, Usage> {
    let usual = Gates::default();
    let number = |flag, usual| {
        let found = flags.value(flag, "a number from 0 up", |number: &f64| *number >= 0.0)?;
        Ok::<_, Usage>(found.unwrap_or(usual))
    };
    Ok(Gates {
        cosine_mean_min: number("min-cosine", usual.cosine_mean_min)?,
        cosine_p1_min: number("min-cosine-p1", usual.cosine_p1_min)?,
        flips_max: number("max-flips", usual.flips_max)?,
        accuracy_loss_max: number("max-accuracy-loss", usual.accuracy_loss_max)?,
        alone_cosine_min: number("min-alone", usual.alone_cosine_min)?,
        speed_min: number("min-speed", usual.speed_min)?,
    })
}
