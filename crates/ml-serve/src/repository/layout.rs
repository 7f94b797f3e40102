//! Where a repository has what.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The configuration of a model, in its folder.
pub(super) const CONFIG: &str = "config.pbtxt";

/// The file of a version, where the configuration names no other.
pub(super) const MODEL: &str = "model.onnx";

/// Returns whether a folder is a repository, and no folder of one model.
pub(crate) fn is_repository(folder: &Path) -> bool {
    let has_model = |folder: &Path| {
        files(folder)
            .iter()
            .any(|file| file.extension().is_some_and(|ending| ending == "onnx") && file.is_file())
    };
    folder.is_dir() && !has_model(folder) && files(folder).iter().any(|entry| is_model(entry))
}

/// Returns whether a folder holds a model with versions, or one without.
fn is_model(folder: &Path) -> bool {
    folder.join(CONFIG).is_file() || folder.join(MODEL).is_file() || !versions(folder).is_empty()
}

/// Returns the models of a repository: names and folders, by name.
pub(super) fn models(repository: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    // An unreadable repository is no empty one.
    fs::read_dir(repository)?;
    let named = |folder: PathBuf| Some((folder.file_name()?.to_str()?.to_owned(), folder));
    let hidden = |name: &str| name.starts_with('.');
    let mut models: Vec<_> =
        files(repository).into_iter().filter(|folder| is_model(folder)).filter_map(named).collect();
    models.retain(|(name, _)| !hidden(name));
    models.sort();
    Ok(models)
}

/// Returns the numbered versions of a model, ascending. One without has its file in its own folder, as version 1.
pub(super) fn versions(folder: &Path) -> Vec<(u64, PathBuf)> {
    let numbered = |folder: PathBuf| {
        let number: u64 = folder.file_name()?.to_str()?.parse().ok()?;
        (number > 0 && folder.is_dir()).then_some((number, folder))
    };
    let mut versions: Vec<_> = files(folder).into_iter().filter_map(numbered).collect();
    versions.sort();
    if versions.is_empty() && folder.join(MODEL).is_file() {
        versions.push((1, folder.to_owned()));
    }
    versions
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries.filter_map(|entry| Some(entry.ok()?.path())).collect()
}

/// What tells that a model's files have changed: each file's path, time and size.
pub(super) fn fingerprint(folder: &Path) -> Vec<(PathBuf, Option<SystemTime>, u64)> {
    let mut found = Vec::new();
    for file in files(folder) {
        if file.is_dir() {
            // Versions have no folders below them that matter, but what an optimised copy is kept in.
            let inside = files(&file).into_iter().filter(|file| file.is_file());
            found.extend(inside.filter_map(stamp));
        } else {
            found.extend(stamp(file));
        }
    }
    found.sort();
    found
}

fn stamp(file: PathBuf) -> Option<(PathBuf, Option<SystemTime>, u64)> {
    let metadata = fs::metadata(&file).ok()?;
    Some((file, metadata.modified().ok(), metadata.len()))
}
