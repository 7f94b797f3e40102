//! Loading and unloading: the new versions load and answer their example beside the old, then take their place at once.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ml_core::{Metrics, Model as Onnx, ModelOptions, ThreadPlan, WhenFull};
use tokio::runtime::Builder;

use super::config;
use super::layout;
use super::settle::{Settled, settle};
use crate::ApiError;
use crate::config::{Config, ModelControl, ModelEntry};
use crate::grpc::proto::ModelConfig;
use crate::grpc::proto::model_version_policy::PolicyChoice;
use crate::onnx::{Columns, OnnxPipeline, TensorModel};
use crate::registry::Registry;
use crate::served::{engine, within};
use crate::server::variant_choice;
use crate::state::Model;

/// The time that the first prediction of a model may take.
pub(crate) const WARM_UP_TIMEOUT: Duration = Duration::from_secs(60);

/// Makes served models of files.
#[derive(Clone)]
pub(crate) struct Factory {
    pub config: Config,
    pub threads: ThreadPlan,
    pub metrics: Metrics,
    pub preprocess: Option<Arc<rayon::ThreadPool>>,
    pub options: ModelOptions,
}

impl Factory {
    /// Returns how one of the configuration's models is loaded.
    pub fn options_of(&self, entry: &ModelEntry) -> ModelOptions {
        let options = self.options.clone();
        match &entry.variant {
            Some(name) => ModelOptions { variant: variant_choice(name), ..options },
            None => options,
        }
    }

    /// Loads one version of a model, and lets it answer its example.
    ///
    /// # Errors
    /// Says why it cannot be served.
    fn load(
        &self,
        name: &str,
        folder: &Path,
        version: (u64, &Path),
        config: &ModelConfig,
    ) -> Result<Model, String> {
        let (number, version_folder) = version;
        let file = if config.default_model_filename.is_empty() {
            layout::MODEL
        } else {
            &config.default_model_filename
        };
        let onnx = Onnx::load(version_folder.join(file), &self.options).map_err(|error| error.to_string())?;
        let settled = settle(name, folder, config.clone(), &onnx, self.config.call_items_max)?;
        let model = self.serve(name, number, onnx, settled, None);
        let runtime =
            Builder::new_current_thread().enable_time().build().map_err(|error| error.to_string())?;
        let checked = model.served.check(within(WARM_UP_TIMEOUT, WhenFull::Wait));
        runtime.block_on(checked).map_err(|error: ApiError| error.to_string())?;
        Ok(model)
    }

    /// Puts a loaded model behind an engine.
    pub fn serve(
        &self,
        name: &str,
        version: u64,
        onnx: Onnx,
        settled: Settled,
        columns: Option<Columns>,
    ) -> Model {
        let schedule = settled.schedule;
        let suits = onnx.device().batch_items_max();
        let items_max = self.config.batch_items_max.map_or(suits, NonZeroUsize::get);
        let pipeline = OnnxPipeline::new(onnx, settled, items_max);
        let mut builder = engine(self, name, pipeline, crate::tensors::Tensors::bytes);
        // A configuration bounds its model further; what the operator set holds for all.
        if let Some(items) = schedule.queue_items_max {
            builder = builder.queue_items_max(items.min(self.config.queue_items_max));
        }
        if let Some(wait) = schedule.queue_wait_max {
            builder = builder.queue_wait_max(wait.min(self.config.queue_wait_max));
        }
        let engine = builder.start();
        let (remembers, sequences_max) = (self.config.cache_bytes_max > 0, self.config.sequences_max);
        let served = TensorModel::new(engine, remembers, columns, sequences_max);
        let info = served.info();
        Model::new(name, version, Arc::new(served), info)
    }

    /// Settles a model that was named by its file, and so has no configuration.
    pub fn settle_file(&self, name: &str, onnx: &Onnx) -> Result<Settled, String> {
        let folder = onnx.path().parent().unwrap_or(Path::new(""));
        settle(name, folder, ModelConfig::default(), onnx, self.config.call_items_max)
    }
}

/// The repositories of a server, and who may change what is served of them.
pub(crate) struct Repository {
    pub folders: Vec<PathBuf>,
    factory: Factory,
    /// One load at a time: two of one model would race for its place.
    loading: Mutex<()>,
}

impl Repository {
    pub fn new(folders: Vec<PathBuf>, factory: Factory) -> Self {
        Self { folders, factory, loading: Mutex::default() }
    }

    pub fn control(&self) -> ModelControl {
        self.factory.config.model_control
    }

    /// Returns the models that there are: names and folders.
    ///
    /// # Errors
    /// Says which repository cannot be read, or which name is there twice.
    pub fn models(&self) -> Result<BTreeMap<String, PathBuf>, String> {
        let mut all = BTreeMap::new();
        for folder in &self.folders {
            let models = layout::models(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
            for (name, path) in models {
                if all.insert(name.clone(), path).is_some() {
                    return Err(format!("two repositories have the model '{name}'"));
                }
            }
        }
        Ok(all)
    }

    /// Loads a model, with a configuration in JSON in the place of its file's where there is one.
    ///
    /// Blocks until its versions have answered their example. When one fails that the policy wants, nothing changes.
    ///
    /// # Errors
    /// In Triton's words.
    pub fn load(&self, registry: &Registry, name: &str, config: Option<&str>) -> Result<(), ApiError> {
        check_name(name)?;
        let failed = |reason: String| {
            tracing::warn!(model = name, reason, "a model could not be loaded");
            registry.failed(name, reason.clone());
            let name = name.to_owned();
            // With a configuration of the caller's, what is wrong is taken to be that.
            match config {
                Some(_) => ApiError::InvalidConfiguration { name, reason },
                None => ApiError::LoadFailed { name, reason },
            }
        };
        let unreadable = |reason| ApiError::LoadFailed { name: name.to_owned(), reason };
        let folder = self.models().map_err(unreadable)?.remove(name);
        let folder = folder.ok_or_else(|| ApiError::NotInRepository { name: name.to_owned() })?;
        self.load_folder(registry, name, &folder, config).map_err(failed)
    }

    /// Loads what a folder holds.
    ///
    /// # Errors
    /// Says why it cannot be served.
    pub fn load_folder(
        &self,
        registry: &Registry,
        name: &str,
        folder: &Path,
        config: Option<&str>,
    ) -> Result<(), String> {
        let _alone = self.loading.lock().unwrap_or_else(PoisonError::into_inner);
        let config = match config {
            Some(json) => config::of_json(json)
                .map_err(|error| format!("failed to poll from model repository: {error}"))?,
            None => config::read(folder)?,
        };
        let chosen = chosen(&config, layout::versions(folder))?;
        let models = chosen.iter().map(|(number, path)| {
            let loaded = self.factory.load(name, folder, (*number, path), &config);
            loaded.map(Arc::new).map_err(|reason| format!("version {number}: {reason}"))
        });
        registry.replace(name, models.collect::<Result<_, String>>()?, BTreeMap::new());
        tracing::info!(model = name, versions = ?chosen.iter().map(|(number, _)| number).collect::<Vec<_>>(), "serving");
        Ok(())
    }

    /// Loads every model that there is.
    ///
    /// # Errors
    /// The first model that cannot be loaded.
    pub fn load_all(&self, registry: &Registry) -> Result<(), String> {
        for (name, folder) in self.models()? {
            self.load_folder(registry, &name, &folder, None)
                .map_err(|reason| format!("the model {name}: {reason}"))?;
        }
        Ok(())
    }
}

fn check_name(name: &str) -> Result<(), ApiError> {
    let invalid = |message: String| Err(ApiError::InvalidTensors { message });
    match name.trim() {
        "" => invalid("Model name cannot be empty. Please enter a valid name to deploy.".to_owned()),
        trimmed if trimmed == ".." || trimmed.contains('/') => invalid(format!(
            "invalid model name '{name}', model name must not contain path traversal characters"
        )),
        _ => Ok(()),
    }
}

/// Chooses the versions that the policy wants.
fn chosen(config: &ModelConfig, versions: Vec<(u64, PathBuf)>) -> Result<Vec<(u64, PathBuf)>, String> {
    let policy = config.version_policy.as_ref().and_then(|policy| policy.policy_choice.as_ref());
    let chosen: Vec<_> = match policy {
        Some(PolicyChoice::All(_)) => versions,
        Some(PolicyChoice::Specific(specific)) => {
            let wanted: BTreeSet<u64> =
                specific.versions.iter().filter_map(|v| u64::try_from(*v).ok()).collect();
            versions.into_iter().filter(|(number, _)| wanted.contains(number)).collect()
        }
        Some(PolicyChoice::Latest(latest)) => last(versions, latest.num_versions.max(1) as usize),
        None => last(versions, 1),
    };
    if chosen.is_empty() {
        Err("the version policy leaves no version to serve".to_owned())
    } else {
        Ok(chosen)
    }
}

fn last(mut versions: Vec<(u64, PathBuf)>, count: usize) -> Vec<(u64, PathBuf)> {
    versions.split_off(versions.len().saturating_sub(count))
}
