//! Seeds: written by a target into its own corpus before libFuzzer reads that.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Writes the seeds of a target. Without a corpus, as when one input is run again, there is nothing to write them to.
pub fn write(target: &str, seeds: impl IntoIterator<Item = Vec<u8>>) {
    let folder = root().join("corpus").join(target);
    for (number, seed) in seeds.into_iter().enumerate() {
        fs::write(folder.join(format!("seed-{number}")), seed).ok();
    }
}

/// Returns a file of the repository and its place.
pub fn bytes_of_file(path: &str) -> (PathBuf, Vec<u8>) {
    let path = root().join("..").join(path);
    let bytes = fs::read(&path).expect("the repository has the file");
    (path, bytes)
}
