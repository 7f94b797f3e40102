//! The manifest as it is read: what was measured of each variant, as `ml-bench variants` writes it.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Measured, VariantError};
use crate::content_digest;

/// The manifest's name, in the folder of the model.
pub const MANIFEST: &str = "variants.toml";

/// The form of manifest that is read and written: counted up when a reader of older ones would misunderstand.
pub const MANIFEST_VERSION: u32 = 2;

/// The largest manifest that is read: one of a hundred variants has a tenth of this.
const BYTES_MAX: u64 = 1 << 20;

/// What is known of the variants of one model. A manifest says more; what no choice depends on is not read.
#[derive(Debug, Deserialize)]
pub(super) struct Manifest {
    /// What ran the variants when they were measured: its name and version.
    pub runtime: String,
    /// The kind of machine that they were measured on.
    pub machine: String,
    /// What they ran on there: `cpu`, or another device.
    pub device: String,
    /// The original first.
    pub variants: Vec<Entry>,
}

/// What is read of any manifest.
#[derive(Deserialize)]
struct Version {
    version: u32,
}

/// One variant. The fields are those of `ml-bench`' report.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Entry {
    pub name: String,
    pub file: PathBuf,
    pub content: String,
    pub packed: bool,
    pub for_task: bool,
    pub depends_on_batch: bool,
    pub needs: Needs,
    pub refused: Vec<String>,
    pub quality: Quality,
    pub speeds: Speeds,
}

/// What a variant needs of a machine to be worth anything there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Needs {
    /// Nothing.
    Nothing,
    /// Products of 8-bit integers in one instruction (VNNI on x86, dot products on Arm), or another device than a CPU.
    Int8Products,
    /// Products of 8-bit integers in vectors of 512 bits (VNNI with AVX-512), on the CPU: what our own operator is fast with.
    WideInt8Products,
    /// Another device than a CPU: CPUs compute 16-bit floats more slowly than 32-bit ones.
    Accelerator,
}

#[derive(Debug, Clone, Copy, Deserialize)]
pub(super) struct Quality {
    pub cosine_mean: f64,
    pub flips: f64,
    #[serde(default)]
    pub accuracy: Option<f64>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
pub(super) struct Speeds {
    pub single: Speed,
    pub sorted: Speed,
}

/// A ratio to the original's speed, with its interval.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(super) struct Speed {
    pub mean: f64,
}

impl Manifest {
    /// Reads the manifest in a folder; `None` where there is none.
    pub fn read(folder: &Path) -> Result<Option<Self>, VariantError> {
        let path = folder.join(MANIFEST);
        let broken = |reason: String| VariantError::Manifest { path: path.clone(), reason };
        let bytes = match std::fs::metadata(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            metadata => metadata.map_err(|error| broken(error.to_string()))?.len(),
        };
        if bytes > BYTES_MAX {
            return Err(broken(format!("it has {bytes} bytes, at most {BYTES_MAX} are read")));
        }
        let text = std::fs::read_to_string(&path).map_err(|error| broken(error.to_string()))?;
        // The version first: what is missing from an older manifest would be its error otherwise.
        let wrong = |error: toml::de::Error| broken(error.to_string().trim_end().replace('\n', " "));
        let Version { version } = toml::from_str(&text).map_err(wrong)?;
        if version != MANIFEST_VERSION {
            return Err(broken(format!(
                "it is of version {version}, and {MANIFEST_VERSION} is read; `ml-bench variants` writes it again"
            )));
        }
        toml::from_str(&text).map(Some).map_err(wrong)
    }

    /// Checks that the manifest is of this model, as it is now.
    pub fn of(&self, path: &Path) -> Result<(), String> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let original = self.variants.first().filter(|entry| Some(entry.file.as_os_str()) == path.file_name());
        let original = original.ok_or_else(|| format!("{MANIFEST} is not of {name}"))?;
        original.file_beside(path).map(drop)
    }
}

impl Entry {
    /// Returns the file, where it is the one that was measured.
    pub fn file_beside(&self, path: &Path) -> Result<PathBuf, String> {
        let shown = self.file.display();
        if self.file.components().count() != 1 {
            return Err(format!("{shown} is not in the folder of the model"));
        }
        let file = path.with_file_name(&self.file);
        let content = content_digest(&file).map_err(|error| format!("{shown}: {error}"))?;
        if content != self.content {
            return Err(format!("{shown} is not as it was when {MANIFEST} was written"));
        }
        Ok(file)
    }

    /// Returns the numbers that a reason needs, in words.
    pub fn numbers(&self) -> String {
        let Self { speeds, quality, .. } = self;
        format!(
            "{:.2} × the original's speed in batches and {:.2} × alone, mean cosine {:.5}, {:.2} % other predictions",
            speeds.sorted.mean,
            speeds.single.mean,
            quality.cosine_mean,
            quality.flips * 100.0
        )
    }

    /// Returns what was measured.
    pub fn measured(&self) -> Measured {
        let Self { speeds, quality, .. } = self;
        Measured {
            speed_single: speeds.single.mean,
            speed_sorted: speeds.sorted.mean,
            cosine_mean: quality.cosine_mean,
            flips: quality.flips,
            accuracy: quality.accuracy,
        }
    }
}
