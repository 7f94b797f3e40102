//! A model's folder: its files of settings, and which task they speak of.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::TaskError;

/// The model's own settings.
pub(crate) const CONFIG: &str = "config.json";
/// The tokenizer, whole.
pub(crate) const TOKENIZER: &str = "tokenizer.json";
const TOKENIZER_CONFIG: &str = "tokenizer_config.json";
const SENTENCE_CONFIG: &str = "sentence_bert_config.json";
const SENTENCE_PROMPTS: &str = "config_sentence_transformers.json";
const MODULES: &str = "modules.json";
/// How images are prepared.
pub(crate) const PREPROCESSOR: &str = "preprocessor_config.json";

/// A ready-made task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    /// A text becomes a vector.
    TextEmbedding,
    /// A text, or a pair of texts, gets a label.
    TextClassification,
    /// Words of a text get labels.
    TokenClassification,
    /// A text is scored by how well it answers a query.
    Reranking,
    /// A picture gets a label.
    ImageClassification,
}

impl Task {
    /// Every task with its name in settings.
    pub const ALL: [(&'static str, Self); 5] = [
        ("text_embedding", Self::TextEmbedding),
        ("text_classification", Self::TextClassification),
        ("token_classification", Self::TokenClassification),
        ("reranking", Self::Reranking),
        ("image_classification", Self::ImageClassification),
    ];

    /// Returns the task's name in settings.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, task)| *task == self).map_or("", |(name, _)| name)
    }
}

/// A folder with a model's files of settings.
#[derive(Debug, Clone)]
pub struct Folder(PathBuf);

impl Folder {
    /// Names the folder; nothing is read yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Returns the path of one of its files.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Returns whether the folder has settings as Hugging Face writes them, whatever they say.
    pub fn has_settings(&self) -> bool {
        self.path(CONFIG).is_file()
    }

    /// Finds out the task: by the architecture in `config.json`, or by `modules.json`, which only embeddings have.
    ///
    /// `None` where the files speak of no task that there is, or where the tokenizer is missing.
    ///
    /// # Errors
    /// When a file is there and cannot be read.
    pub fn task(&self) -> Result<Option<Task>, TaskError> {
        let has_tokenizer = self.path(TOKENIZER).is_file();
        if self.path(MODULES).is_file() && has_tokenizer {
            return Ok(Some(Task::TextEmbedding));
        }
        let config = self.model_config()?;
        let architecture = config.architectures.iter().flatten().next().map_or("", String::as_str);
        let task = if architecture.ends_with("ForSequenceClassification") {
            // One label is a score, and a score of a pair of texts is what rerankers have.
            let classes = config.id2label.as_ref().map_or(2, BTreeMap::len);
            if classes == 1 { Task::Reranking } else { Task::TextClassification }
        } else if architecture.ends_with("ForTokenClassification") {
            Task::TokenClassification
        } else if architecture.ends_with("ForImageClassification") {
            return Ok(self.path(PREPROCESSOR).is_file().then_some(Task::ImageClassification));
        } else if architecture.ends_with("Model") {
            Task::TextEmbedding
        } else {
            return Ok(None);
        };
        Ok(has_tokenizer.then_some(task))
    }

    /// Reads `config.json`; defaults where there is none.
    pub(crate) fn model_config(&self) -> Result<ModelConfig, TaskError> {
        Ok(self.read(CONFIG)?.unwrap_or_default())
    }

    /// Reads `tokenizer_config.json`; defaults where there is none.
    pub(crate) fn tokenizer_config(&self) -> Result<TokenizerConfig, TaskError> {
        Ok(self.read(TOKENIZER_CONFIG)?.unwrap_or_default())
    }

    /// Reads what sentence-transformers adds.
    pub(crate) fn sentence_config(&self) -> Result<SentenceConfig, TaskError> {
        Ok(self.read(SENTENCE_CONFIG)?.unwrap_or_default())
    }

    /// Reads the texts that go before others, by name.
    pub(crate) fn prompts(&self) -> Result<Prompts, TaskError> {
        Ok(self.read(SENTENCE_PROMPTS)?.unwrap_or_default())
    }

    /// Reads the steps of an embedding; `None` where sentence-transformers did not write the folder.
    pub(crate) fn modules(&self) -> Result<Option<Vec<Module>>, TaskError> {
        self.read(MODULES)
    }

    /// Returns the refusal of what a file says.
    pub(crate) fn refuse(&self, name: &str, reason: impl Into<String>) -> TaskError {
        TaskError::Settings { path: self.path(name), reason: reason.into() }
    }

    /// Reads a file of JSON; `None` where there is none.
    pub(crate) fn read<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, TaskError> {
        let path = self.path(name);
        match fs::read(&path) {
            Ok(text) => match serde_json::from_slice(&text) {
                Ok(value) => Ok(Some(value)),
                Err(error) => Err(TaskError::Settings { path, reason: error.to_string() }),
            },
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(source) => Err(TaskError::Unreadable { path, source }),
        }
    }
}

impl AsRef<Path> for Folder {
    fn as_ref(&self) -> &Path {
        &self.0
    }
}

/// What is of use in `config.json`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ModelConfig {
    pub architectures: Option<Vec<String>>,
    pub model_type: Option<String>,
    pub id2label: Option<BTreeMap<String, String>>,
    pub problem_type: Option<String>,
    pub max_position_embeddings: Option<usize>,
    /// A number, or several.
    pub pad_token_id: Option<Value>,
}

impl ModelConfig {
    /// Returns the labels in the order of their numbers; `None` where there are none.
    pub fn labels(&self) -> Result<Option<Vec<String>>, String> {
        let Some(labels) = &self.id2label else { return Ok(None) };
        let labels: BTreeMap<usize, &String> =
            labels.iter().filter_map(|(number, label)| Some((number.parse().ok()?, label))).collect();
        if labels.keys().copied().eq(0..self.id2label.as_ref().map_or(0, BTreeMap::len)) {
            Ok(Some(labels.into_values().cloned().collect()))
        } else {
            Err("id2label does not number its labels from 0 without a gap".to_owned())
        }
    }

    /// Returns the most tokens that the model has places for.
    pub fn places_max(&self) -> Option<usize> {
        let of_roberta = ["roberta", "camembert", "mpnet", "longformer"];
        let kind = self.model_type.as_deref().unwrap_or_default();
        // These count their places from behind that of padding, so that two of them are never used.
        let unused = if of_roberta.iter().any(|name| kind.contains(name)) { 2 } else { 0 };
        self.max_position_embeddings.map(|places| places.saturating_sub(unused)).filter(|places| *places > 0)
    }

    /// Returns what a shorter text is filled up with.
    pub fn padding(&self) -> u32 {
        let id = self.pad_token_id.as_ref().and_then(Value::as_u64);
        id.and_then(|id| u32::try_from(id).ok()).unwrap_or(0)
    }
}

/// What is of use in `tokenizer_config.json`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct TokenizerConfig {
    /// An absurdly large number where there is no limit.
    model_max_length: Option<f64>,
    truncation_side: Option<String>,
}

impl TokenizerConfig {
    /// Returns the most tokens of a text, where there is a limit.
    pub fn tokens_max(&self) -> Option<usize> {
        self.model_max_length.filter(|length| *length >= 1.0 && *length < 1e9).map(|length| length as usize)
    }

    /// Returns whether texts are cut at their begin.
    pub fn cuts_left(&self) -> bool {
        self.truncation_side.as_deref() == Some("left")
    }
}

/// What is of use in `sentence_bert_config.json`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct SentenceConfig {
    pub max_seq_length: Option<usize>,
}

/// What is of use in `config_sentence_transformers.json`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Prompts {
    pub prompts: BTreeMap<String, String>,
    pub default_prompt_name: Option<String>,
}

/// One step of `modules.json`.
#[derive(Debug, Deserialize)]
pub(crate) struct Module {
    pub path: String,
    #[serde(rename = "type")]
    kind: String,
}

impl Module {
    /// Returns the step's name: the last part of the class that it has in Python.
    pub fn name(&self) -> &str {
        self.kind.rsplit('.').next().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(json: &str) -> ModelConfig {
        serde_json::from_str(json).expect("it is JSON")
    }

    #[test]
    fn labels_are_in_the_order_of_their_numbers() {
        let eleven: BTreeMap<String, String> = (0..11).map(|n| (n.to_string(), format!("l{n}"))).collect();
        let config = ModelConfig { id2label: Some(eleven), ..ModelConfig::default() };
        assert_eq!(config.labels().expect("no gap").map(|labels| labels[10].clone()), Some("l10".to_owned()));
        for broken in [r#"{"id2label": {"1": "a"}}"#, r#"{"id2label": {"0": "a", "x": "b"}}"#] {
            assert!(self::config(broken).labels().is_err(), "{broken}");
        }
    }

    #[test]
    fn limits_are_those_that_mean_one() {
        let of = |json: &str| serde_json::from_str::<TokenizerConfig>(json).expect("it is JSON").tokens_max();
        assert_eq!(of(r#"{"model_max_length": 512}"#), Some(512));
        assert_eq!(of(r#"{"model_max_length": 1000000000000000019884624838656}"#), None);
        assert_eq!(of("{}"), None);
        let bert = r#"{"model_type": "bert", "max_position_embeddings": 512}"#;
        let roberta = r#"{"model_type": "xlm-roberta", "max_position_embeddings": 514, "pad_token_id": 1}"#;
        assert_eq!(config(bert).places_max(), Some(512));
        assert_eq!((config(roberta).places_max(), config(roberta).padding()), (Some(512), 1));
    }
}
