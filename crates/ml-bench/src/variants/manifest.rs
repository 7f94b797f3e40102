//! The manifest: what was measured of each variant, on which machine, beside the model.

use std::path::Path;

use serde::Serialize;

use super::VariantsReport;
use crate::Error;

/// The manifest's file name.
const NAME: &str = "variants.toml";

/// Counted up when a reader of older manifests would misunderstand.
const VERSION: u32 = 1;

#[derive(Serialize)]
struct Manifest<'a> {
    version: u32,
    #[serde(flatten)]
    report: &'a VariantsReport,
}

/// Writes the manifest.
pub(super) fn write(folder: &Path, report: &VariantsReport) -> Result<(), Error> {
    let path = folder.join(NAME);
    let failed = |source| Error::Write { path: path.clone(), source };
    let text = toml::to_string(&Manifest { version: VERSION, report })
        .map_err(|error| failed(std::io::Error::other(error)))?;
    std::fs::write(&path, text).map_err(failed)
}
