//! The manifest: what was measured of each variant, on which machine, beside the model, where `ml-core` reads it.

use std::path::Path;

use ml_core::{MANIFEST, MANIFEST_VERSION};
use serde::Serialize;
use toml::Value;

use super::VariantsReport;
use crate::Error;

#[derive(Serialize)]
struct Manifest<'a> {
    version: u32,
    #[serde(flatten)]
    report: &'a VariantsReport,
}

/// What must be as it was for the entries of an earlier run to stay: the first variant is the original.
const KEPT_FOR: [&str; 4] = ["version", "runtime", "machine", "device"];

/// Writes the manifest; variants that an earlier run has measured, and this one has not, stay in it.
pub(super) fn write(folder: &Path, report: &VariantsReport) -> Result<(), Error> {
    let path = folder.join(MANIFEST);
    let failed = |source| Error::Write { path: path.clone(), source };
    let invalid = |error: toml::ser::Error| failed(std::io::Error::other(error));
    let manifest = Manifest { version: MANIFEST_VERSION, report };
    let mut manifest = toml::Table::try_from(manifest).map_err(invalid)?;
    if let Some(Value::Array(variants)) = manifest.get_mut("variants") {
        // What another runtime does with the original is no variant of it.
        let runtime = Some(Value::String(report.runtime.clone()));
        variants.retain(|variant| variant.get("runtime") == runtime.as_ref());
    }
    let earlier = std::fs::read_to_string(&path).ok().and_then(|text| text.parse().ok());
    if let Some(earlier) = earlier {
        keep(&mut manifest, earlier);
    }
    let text = toml::to_string(&manifest).map_err(invalid)?;
    // Under its name it is whole: a server may start at any time.
    let unfinished = folder.join(format!(".{MANIFEST}.{}", std::process::id()));
    std::fs::write(&unfinished, text).map_err(failed)?;
    std::fs::rename(&unfinished, &path).map_err(failed)
}

/// Adds the variants of an earlier manifest that are not in this one, if they are of the same model and place.
fn keep(manifest: &mut toml::Table, mut earlier: toml::Table) {
    let original = |manifest: &toml::Table| manifest.get("variants")?.get(0)?.get("content").cloned();
    let same = KEPT_FOR.iter().all(|key| manifest.get(*key) == earlier.get(*key));
    if !same || original(manifest) != original(&earlier) {
        return;
    }
    let (Some(Value::Array(variants)), Some(Value::Array(old))) =
        (manifest.get_mut("variants"), earlier.remove("variants"))
    else {
        return;
    };
    let names: Vec<Option<Value>> = variants.iter().map(|variant| variant.get("name").cloned()).collect();
    variants.extend(old.into_iter().filter(|variant| !names.contains(&variant.get("name").cloned())));
}
