//! The choice: by name, or the fastest that suits.

use std::path::{Path, PathBuf};

use super::manifest::{Entry, MANIFEST, Manifest};
use super::{Machine, Needs, ORIGINAL, PassedOver, Variant, VariantChoice, VariantError};

/// The variant that is taken without having been measured: it computes what the original does, without the padding.
const PACKED: &str = "packed";

/// What a variant must suit.
pub(in crate::runtime) struct Here {
    pub machine: Machine,
    /// Name and version of the runtime.
    pub runtime: String,
    /// What the model runs on.
    pub device: String,
    /// Whether the caller can give packed batches.
    pub packed: bool,
}

/// Chooses a form of the model in `path`, and the file to load.
pub(in crate::runtime) fn choose(
    path: &Path,
    choice: &VariantChoice,
    here: impl FnOnce() -> Here,
) -> Result<(PathBuf, Variant), VariantError> {
    let original = |why: &str| (path.to_owned(), Variant::original(why));
    let named = match choice {
        VariantChoice::Original => return Ok(original("it was asked for")),
        VariantChoice::Named(name) if name == ORIGINAL => return Ok(original("it was asked for by name")),
        VariantChoice::Named(name) => Some(name.as_str()),
        VariantChoice::Auto => None,
    };
    let here = here();
    let folder = path.parent().unwrap_or(Path::new(""));
    let manifest = match (Manifest::read(folder), named) {
        (Ok(manifest), _) => manifest,
        (Err(error), Some(_)) => return Err(error),
        (Err(error), None) => {
            tracing::warn!(%error, "the original serves, for want of a manifest that can be read");
            return Ok(original(&error.to_string()));
        }
    };
    let Some(manifest) = manifest else { return unmeasured(path, named, &here) };
    match named {
        Some(name) => by_name(&manifest, path, name, &here),
        None => Ok(fastest(&manifest, path, &here)),
    }
}

/// Chooses where nothing was measured.
fn unmeasured(path: &Path, named: Option<&str>, here: &Here) -> Result<(PathBuf, Variant), VariantError> {
    let packed = packed_beside(path).filter(|file| here.packed && file.is_file());
    match (named, packed) {
        (None | Some(PACKED), Some(file)) => {
            let why = "it computes what the original does, without the padding; there is no variants.toml";
            Ok((file, Variant { name: PACKED.to_owned(), ..Variant::original(why) }))
        }
        (None, None) => Ok((path.to_owned(), Variant::original("there are no variants"))),
        (Some(name), packed) => {
            let known = if packed.is_some() { "original and packed" } else { "only the original" };
            let known = format!("{known}, and no {MANIFEST} in its folder");
            Err(VariantError::Unknown { name: name.to_owned(), known })
        }
    }
}

/// Returns where a model's packed form would be.
fn packed_beside(path: &Path) -> Option<PathBuf> {
    let mut name = path.file_stem()?.to_owned();
    name.push(format!(".{PACKED}.onnx"));
    Some(path.with_file_name(name))
}

fn by_name(
    manifest: &Manifest,
    path: &Path,
    name: &str,
    here: &Here,
) -> Result<(PathBuf, Variant), VariantError> {
    let unusable = |reason: String| VariantError::Unusable { name: name.to_owned(), reason };
    let Some(entry) = manifest.variants.iter().skip(1).find(|entry| entry.name == name) else {
        let known: Vec<&str> = manifest.variants.iter().map(|entry| entry.name.as_str()).collect();
        return Err(VariantError::Unknown { name: name.to_owned(), known: known.join(", ") });
    };
    if entry.packed && !here.packed {
        return Err(unusable(TAKES_PACKED.to_owned()));
    }
    manifest.of(path).map_err(|reason| unusable(format!("cannot serve: {reason}")))?;
    let file = entry.file_beside(path).map_err(|reason| unusable(format!("cannot serve: {reason}")))?;
    let objections: Vec<String> = manifest.objection(here).into_iter().chain(entry.objection(here)).collect();
    let why = if objections.is_empty() {
        format!("it was asked for by name; {}", entry.numbers())
    } else {
        tracing::warn!(
            variant = name,
            objections = objections.join("; "),
            "served because it was asked for by name"
        );
        format!("it was asked for by name, although {}", objections.join("; "))
    };
    Ok((
        file,
        Variant { name: name.to_owned(), why, measured: Some(entry.measured()), passed_over: Vec::new() },
    ))
}

fn fastest(manifest: &Manifest, path: &Path, here: &Here) -> (PathBuf, Variant) {
    let original = |why| (path.to_owned(), Variant::original(why));
    if let Err(reason) = manifest.of(path) {
        tracing::warn!(reason, "the original serves");
        return original(&reason);
    }
    if let Some(reason) = manifest.objection(here) {
        return original(&reason);
    }
    let (mut passed_over, mut candidates) = (Vec::new(), Vec::new());
    let pass_over = |entry: &Entry, reason| PassedOver { name: entry.name.clone(), reason };
    for entry in manifest.variants.iter().skip(1) {
        match entry.objection(here) {
            Some(reason) => passed_over.push(pass_over(entry, reason)),
            None => candidates.push(entry),
        }
    }
    candidates.sort_by(|one, other| other.speeds.sorted.mean.total_cmp(&one.speeds.sorted.mean));
    let mut chosen: Option<(PathBuf, &Entry)> = None;
    for entry in candidates {
        match entry.file_beside(path) {
            _ if chosen.is_some() => {
                let reason = format!("it is slower: {}", entry.numbers());
                passed_over.push(pass_over(entry, reason));
            }
            Ok(file) => chosen = Some((file, entry)),
            Err(reason) => passed_over.push(pass_over(entry, reason)),
        }
    }
    let Some((file, entry)) = chosen else {
        let (file, variant) = original("no variant holds its gates here and is faster");
        return (file, Variant { passed_over, ..variant });
    };
    let why = format!("it is the fastest that holds its gates here: {}", entry.numbers());
    (file, Variant { name: entry.name.clone(), why, measured: Some(entry.measured()), passed_over })
}

const TAKES_PACKED: &str = "takes packed batches, which this pipeline does not give";

impl Manifest {
    /// Returns why what was measured says nothing of this place.
    fn objection(&self, here: &Here) -> Option<String> {
        let kind = |runtime: &str| runtime.rsplit_once(' ').map_or(runtime, |(name, _)| name).to_owned();
        let measured = Machine::parse(&self.machine);
        let differs = |what: &str, there: &str, here: &str| {
            (there != here).then(|| format!("the variants were measured {what} {there}, and this is {here}"))
        };
        differs("on", measured.architecture(), here.machine.architecture())
            .or_else(|| differs("on", &self.device, &here.device))
            .or_else(|| differs("with", &kind(&self.runtime), &kind(&here.runtime)))
    }
}

impl Entry {
    /// Returns why the variant is not to be chosen here, with the numbers.
    fn objection(&self, here: &Here) -> Option<String> {
        if self.depends_on_batch {
            return Some("an answer depends on what else is in its batch".to_owned());
        }
        if !self.refused.is_empty() {
            return Some(self.refused.join("; "));
        }
        let numbers = self.numbers();
        if self.for_task {
            return Some(format!(
                "it is for its task only, its other outputs are not the original's: {numbers}"
            ));
        }
        if self.packed && !here.packed {
            return Some(format!("it {TAKES_PACKED}"));
        }
        let on_cpu = here.device == "cpu";
        match self.needs {
            Needs::Int8Products if on_cpu && !here.machine.multiplies_int8() => {
                Some("this CPU has no instruction for products of 8-bit integers".to_owned())
            }
            Needs::WideInt8Products if !on_cpu || !here.machine.multiplies_int8_widely() => {
                Some("it is for CPUs that multiply 8-bit integers in vectors of 512 bits".to_owned())
            }
            Needs::Accelerator if on_cpu => Some(format!("it is for other devices than CPUs: {numbers}")),
            _ => {
                let speed = self.speeds.sorted.mean;
                // What is no number is not faster either.
                (speed.is_nan() || speed <= 1.0).then(|| format!("it is not faster: {numbers}"))
            }
        }
    }
}
