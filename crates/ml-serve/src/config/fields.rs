//! What the configuration decides, field by field.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use ml_core::{Device, OptimisedCopy, RuntimeChoice};

use super::{ModelTask, SETTINGS};

/// Everything an operator may decide about the server; `Default` is the table's defaults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// IP address or host name to listen on.
    pub host: String,
    /// Port to listen on; 0 is any free one.
    pub port: u16,
    /// Port to listen on for gRPC; 0 is any free one, `None` is no gRPC.
    pub grpc_port: Option<u16>,
    /// Threads that serve HTTP; `None` is decided from the CPUs.
    pub http_threads: Option<NonZeroUsize>,
    /// Runner threads of each model, each with one batch at a time; `None` is decided from the CPUs.
    pub runners: Option<NonZeroUsize>,
    /// Threads inside one model run; `None` is decided from the CPUs.
    pub intra_op_threads: Option<NonZeroUsize>,
    /// Threads inside a run that has the machine to itself; `None` is all CPUs.
    pub wide_threads: Option<NonZeroUsize>,
    /// Threads that prepare inputs; `None` is decided from the CPUs.
    pub preprocess_threads: Option<NonZeroUsize>,
    /// What runs the models.
    pub runtime: RuntimeChoice,
    /// What the models run on.
    pub device: Device,
    /// ONNX Runtime's shared library; `None` is searched for.
    pub onnxruntime_path: Option<PathBuf>,
    /// Whether the optimised form of each model is kept on disk.
    pub optimised_copy: OptimisedCopy,
    /// Which form of each model serves: `auto`, `original`, or a variant's name.
    pub variant: String,
    /// Share of a variant's runs that the original repeats, in percent.
    pub shadow_percent: usize,
    /// Who decides which models of a repository are served.
    pub model_control: ModelControl,
    /// Time between two looks at the repositories.
    pub repository_poll: Duration,
    /// Most items in one model run; what suits the model's device where it is not given.
    pub batch_items_max: Option<NonZeroUsize>,
    /// Most items that wait for one model; more are refused.
    pub queue_items_max: usize,
    /// Most bytes of inputs that wait for one model; more are refused.
    pub queue_bytes_max: usize,
    /// Longest estimated wait for one model; a call that would wait longer is refused.
    pub queue_wait_max: Duration,
    /// Bytes of answers that are remembered for each model; 0 is none.
    pub cache_bytes_max: usize,
    /// Time that a remembered answer is good for.
    pub cache_time_to_live: Duration,
    /// Largest request body.
    pub body_bytes_max: usize,
    /// Largest single item of a batch.
    pub item_bytes_max: usize,
    /// Most items of one JSON batch call, never more than `queue_items_max`.
    pub call_items_max: usize,
    /// Most bytes of shared memory that clients may register; 0 is none.
    pub shared_memory_bytes_max: usize,
    /// Most sequences of one model that are under way at once.
    pub sequences_max: usize,
    /// What the server calls itself to clients.
    pub server_name: String,
    /// Whether requests may change log and trace settings.
    pub remote_settings: bool,
    /// Most requests in work at once.
    pub concurrent_requests_max: usize,
    /// Time in which a request must be answered.
    pub request_timeout: Duration,
    /// Time to answer what was accepted, once the process is told to stop.
    pub drain_timeout: Duration,
    /// Time that an idle connection stays open.
    pub keep_alive: Duration,
    /// Form of the log lines.
    pub log_format: LogFormat,
    /// Tracing filter directives, of a checked form.
    pub log_level: String,
    /// Models to serve: the file's, then the command line's.
    pub models: Vec<ModelEntry>,
}

/// Who decides which models of a repository are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModelControl {
    /// All of them, from the start and for good.
    None,
    /// Requests: none are loaded at the start.
    Explicit,
    /// What the folders hold, also later.
    Poll,
}

/// Form of the log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Lines for a person.
    Human,
    /// One JSON object a line.
    Json,
}

/// One model to serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelEntry {
    /// Model folder or file, as written: relative to the directory that the server was started in.
    pub path: PathBuf,
    /// Name in URLs; `None` is taken from the path.
    pub name: Option<String>,
    /// Which form of it serves; `None` is as the setting `variant` says.
    pub variant: Option<String>,
    /// What is made of it.
    pub task: ModelTask,
}

impl Default for Config {
    fn default() -> Self {
        let mut config = Self::blank();
        for setting in SETTINGS {
            setting.set_default(&mut config);
        }
        config
    }
}

impl Config {
    /// Returns a value for the table to write its defaults into; not a default itself.
    fn blank() -> Self {
        Self {
            host: String::new(),
            port: 0,
            grpc_port: None,
            http_threads: None,
            runners: None,
            intra_op_threads: None,
            wide_threads: None,
            preprocess_threads: None,
            runtime: RuntimeChoice::Auto,
            device: Device::Auto,
            onnxruntime_path: None,
            optimised_copy: OptimisedCopy::Never,
            variant: String::new(),
            shadow_percent: 0,
            model_control: ModelControl::None,
            repository_poll: Duration::ZERO,
            batch_items_max: None,
            queue_items_max: 0,
            queue_bytes_max: 0,
            queue_wait_max: Duration::ZERO,
            cache_bytes_max: 0,
            cache_time_to_live: Duration::ZERO,
            body_bytes_max: 0,
            item_bytes_max: 0,
            call_items_max: 0,
            shared_memory_bytes_max: 0,
            sequences_max: 0,
            server_name: String::new(),
            remote_settings: false,
            concurrent_requests_max: 0,
            request_timeout: Duration::ZERO,
            drain_timeout: Duration::ZERO,
            keep_alive: Duration::ZERO,
            log_format: LogFormat::Human,
            log_level: String::new(),
            models: Vec::new(),
        }
    }
}
