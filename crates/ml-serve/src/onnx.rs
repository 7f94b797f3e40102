//! Any ONNX file as a pipeline, without code: tensors in, tensors out, whatever protocol they came by.

mod columns;
pub(crate) mod json;
mod pipeline;
mod runs;
pub(crate) mod sequences;
mod served;

use std::path::{Path, PathBuf};

use crate::ServeError;

pub(crate) use self::columns::Columns;
pub(crate) use self::json::{Scalar, tensor_of};
pub(crate) use self::pipeline::OnnxPipeline;
pub(crate) use self::runs::Span;
pub(crate) use self::served::TensorModel;

/// A model folder's file: `model.onnx`, or the only ONNX file that there is; in the folder, or in `onnx/` in it.
pub(crate) fn model_file(path: &Path) -> Result<PathBuf, ServeError> {
    if !path.is_dir() {
        return Ok(path.to_owned());
    }
    let named = path.join("model.onnx");
    if named.is_file() {
        return Ok(named);
    }
    let wrong = |reason: String| ServeError::Folder { path: path.to_owned(), reason };
    let entries = std::fs::read_dir(path).map_err(|error| wrong(error.to_string()))?;
    let files = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut models: Vec<PathBuf> =
        files.filter(|file| file.extension().is_some_and(|ending| ending == "onnx")).collect();
    if models.is_empty() && path.join("onnx").is_dir() {
        return model_file(&path.join("onnx"));
    }
    match (models.pop(), models.len()) {
        (Some(file), 0) => Ok(file),
        (Some(_), others) => Err(wrong(format!("{} ONNX files and none is model.onnx", others + 1))),
        (None, _) => Err(wrong("no ONNX file in this folder".to_owned())),
    }
}

/// The name of a model that was given none: its folder's or its file's, with what a URL cannot hold replaced.
pub(crate) fn model_name(path: &Path) -> String {
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let named_by_folder = stem == "model" && path.extension().is_some_and(|ending| ending == "onnx");
    let folder = path.parent().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
    let name = if named_by_folder { folder.unwrap_or(stem) } else { stem };
    let fit = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '-' };
    name.chars().take(64).map(fit).collect()
}
