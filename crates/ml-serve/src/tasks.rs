//! Models as the configuration names them: of a ready-made task, of a table's columns, or of tensors as they are.

mod ready;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ml_core::{Model, ModelOptions, Pipeline};
use ml_tasks::{
    Embedding, Folder, ImageClassification, Reranking, Task, TaskError, TaskOptions, TextClassification,
    TextEmbedding, TokenClassification,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::config::{ModelEntry, TaskChoice};
use crate::onnx::{self, Columns};
use crate::repository::Factory;
use crate::served::{self, ModelInfo, Served, TypedModel, written_bytes};
use crate::state;

pub(crate) use self::ready::{InputError, Inputs, Ready, check_bytes, check_count};

/// Returns whether a path is for one model, though it may look like a repository: it has a task, or settings of one.
pub(crate) fn is_one_model(entry: &ModelEntry) -> bool {
    entry.name.is_some()
        || entry.variant.is_some()
        || entry.task.choice != TaskChoice::Auto
        || Folder::new(&*entry.path).has_settings()
}

/// Loads a model, and puts what it is for behind an engine.
///
/// # Errors
/// Names the file that cannot be used, and the reason.
pub(crate) fn serve(
    factory: &Factory,
    name: &str,
    entry: &ModelEntry,
) -> Result<state::Model, Box<dyn Error + Send + Sync>> {
    let folder = Folder::new(folder(&entry.path));
    let choice = match entry.task.choice {
        // Who names a file wants what is in it.
        TaskChoice::Auto if !entry.path.is_dir() => TaskChoice::Tensors,
        TaskChoice::Auto => folder.task()?.map_or(TaskChoice::Tensors, TaskChoice::Ready),
        chosen => chosen,
    };
    let file = onnx::model_file(&entry.path)?;
    let TaskChoice::Ready(task) = choice else {
        let model = Model::load(file, &factory.options_of(entry))?;
        let settled = factory.settle_file(name, &model)?;
        let columns = match choice {
            TaskChoice::Tabular => Some(Columns::of(&model, &settled, &entry.task.columns)?),
            _ => None,
        };
        return Ok(factory.serve(name, 1, model, settled, columns));
    };
    // Images come one as large as the other: packing is for texts. Who names a file wants what is in it.
    let is_text = !matches!(task, Task::ImageClassification | Task::TokenClassification);
    let options =
        ModelOptions { packed_batches: entry.path.is_dir() && is_text, ..factory.options_of(entry) };
    let model = Model::load(file, &options)?;
    tracing::info!(model = name, task = task.name(), "serving a ready-made task");
    Ok(ready_made(factory, name, task, model, &folder, &entry.task.options)?)
}

/// The folder with a model's settings: its own, or where its file is in `onnx/`, the one above.
fn folder(path: &Path) -> PathBuf {
    if path.is_dir() {
        return path.to_owned();
    }
    let own = path.parent().unwrap_or(Path::new(""));
    match own.parent() {
        Some(above) if own.ends_with("onnx") => above.to_owned(),
        _ => own.to_owned(),
    }
}

fn ready_made(
    factory: &Factory,
    name: &str,
    task: Task,
    model: Model,
    folder: &Folder,
    options: &TaskOptions,
) -> Result<state::Model, TaskError> {
    let (path, of_model) = (model.path().display().to_string(), ModelInfo::of(&model));
    let about = |what: &str, example: Value, details: Vec<(&str, Value)>| {
        let mut info = of_model.clone();
        info.description = Some(format!("{what}: the ONNX model {path}"));
        info.example = Some(example);
        let details = [("task", json!(task.name()))].into_iter().chain(details);
        info.details.extend(details.map(|(key, value)| (key.to_owned(), value)));
        info
    };
    let text = "The soup was warm and the bread was fresh.";
    let (served, info): (Arc<dyn Served>, _) = match task {
        Task::TextEmbedding => {
            let pipeline = TextEmbedding::new(model, folder, options)?;
            let info = about("the embedding of a text", json!({"text": text}), pipeline.details());
            (typed(factory, name, pipeline, embedding_bytes), info)
        }
        Task::TextClassification => {
            let pipeline = TextClassification::new(model, folder, options)?;
            let info = about("the label of a text", json!({"text": text}), pipeline.details());
            (typed(factory, name, pipeline, written_bytes), info)
        }
        Task::TokenClassification => {
            let pipeline = TokenClassification::new(model, folder, options)?;
            let info = about("labelled parts of a text", json!({"text": text}), pipeline.details());
            (typed(factory, name, pipeline, written_bytes), info)
        }
        Task::Reranking => {
            let pipeline = Reranking::new(model, folder, options)?;
            let example = json!({"query": "Was the soup warm?", "text": text});
            let info = about("how well a text answers a query", example, pipeline.details());
            (typed(factory, name, pipeline, written_bytes), info)
        }
        Task::ImageClassification => {
            let pipeline = ImageClassification::new(model, folder, options)?;
            let example = json!({"image": ml_tasks::EXAMPLE_IMAGE_BASE64});
            let info = about("the label of an image", example, pipeline.details());
            (typed(factory, name, pipeline, written_bytes), info)
        }
    };
    Ok(state::Model::new(name, 1, served, info))
}

fn typed<P>(
    factory: &Factory,
    name: &str,
    pipeline: P,
    output_bytes: impl Fn(&P::Output) -> usize + Send + Sync + 'static,
) -> Arc<dyn Served>
where
    P: Pipeline,
    P::Input: DeserializeOwned,
    P::Output: Serialize,
{
    Arc::new(TypedModel::new(served::engine(factory, name, pipeline, output_bytes).start()))
}

/// What an embedding occupies: to write it as JSON, only to count, would take longer than to copy it.
fn embedding_bytes(embedding: &Embedding) -> usize {
    size_of::<Embedding>() + size_of_val(&*embedding.embedding)
}
