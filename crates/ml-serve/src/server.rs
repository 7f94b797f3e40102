//! The server: configuration and pipelines in, a process that answers until it is told to stop.

use std::collections::BTreeMap;
use std::error::Error as StdError;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::middleware::from_fn;
use actix_web::rt::System;
use actix_web::rt::time::timeout;
use actix_web::web::Data;
use actix_web::{App, HttpServer};
use ml_core::{
    EngineBuilder, LoadError, Metrics, ModelOptions, Pipeline, ThreadPlan, ThreadWishes, VariantChoice,
    WhenFull, allocator,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::announce::announce;
use crate::config::{self, Config, ConfigError, Invocation, ModelControl, ModelEntry};
use crate::metrics::HttpMetrics;
use crate::onnx;
use crate::registry::Registry;
use crate::repository::{self, Factory, Poller, Repository, WARM_UP_TIMEOUT};
use crate::served::{ModelInfo, TypedModel, within};
use crate::state::{self, State};
use crate::{ApiError, grpc, logs, request, routes, served, shutdown, tasks};

/// The longest that a client may take to send a request's head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);

/// Heaps that threads share. With one a CPU, two threads of the gRPC server that had got the same one took 36 µs for a small call, and
/// 26 with one each; the memory of a model under load is the same with 1, 2, 4 and 8.
const HEAPS_PER_CPU: usize = 4;

/// How long an early answer's connection is kept open for a caller that is still sending.
const LINGER_TIMEOUT: Duration = Duration::from_secs(2);

/// Why the server did not start, or did not end well.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// A wrong key or value in the file, the environment or the flags.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A model that could not be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// Nothing to serve.
    #[error("there is nothing to serve: name a model folder or file, as in `ml-serve model.onnx`")]
    NoModels,
    /// A name that cannot stand in a URL, or stands twice.
    #[error("the model name {name:?} {reason}")]
    Name {
        /// The name.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A model folder without a model.
    #[error("{}: {reason}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A repository whose models cannot be served.
    #[error("{reason}")]
    Repository {
        /// What is wrong with it.
        reason: String,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// Host and port.
        address: String,
        /// What the system said.
        source: io::Error,
    },
    /// A model's first prediction failed.
    #[error("the model {name} does not answer its own example: {reason}")]
    WarmUp {
        /// The model's name.
        name: String,
        /// What went wrong.
        reason: ApiError,
    },
    /// The drain limit passed, or a second signal came, while requests were being worked on.
    #[error("stopped with {requests} requests unanswered")]
    Unanswered {
        /// Requests that got no answer.
        requests: i64,
    },
    /// A model hangs in a batch that nobody waits for any more.
    #[error("stopped {limit:?} after the last answer with a model that still runs")]
    Hanging {
        /// How long it was waited for.
        limit: Duration,
    },
    /// The program's own set-up failed.
    #[error(transparent)]
    SetUp(Box<dyn StdError + Send + Sync>),
    /// The system refused something that the server needs.
    #[error(transparent)]
    System(#[from] io::Error),
}

/// Serves pipelines over HTTP.
///
/// ```no_run
/// # use ml_core::{Facts, ModelError, Pipeline, Rejection};
/// # struct Shout;
/// # impl Pipeline for Shout {
/// #     type Input = String; type Features = String; type Prediction = String; type Output = String;
/// #     fn validate(&self, _: &String) -> Result<(), Rejection> { Ok(()) }
/// #     fn clean(&self, text: String, _: &Facts) -> Result<String, Rejection> { Ok(text) }
/// #     fn predict_batch(&self, b: &[String]) -> Result<Vec<String>, ModelError> { Ok(b.to_vec()) }
/// #     fn format(&self, text: String) -> String { text }
/// # }
/// fn main() -> std::process::ExitCode {
///     ml_serve::main(|server| Ok(server.pipeline("shout", Shout)))
/// }
/// ```
pub struct Server {
    factory: Factory,
    models: Registry,
    /// Folders of many models.
    repositories: Vec<PathBuf>,
    /// The first thing that went wrong while models were added; told when the server is started.
    wrong: Option<ServeError>,
}

/// Runs a program that serves what `set_up` adds: reads the configuration, starts the log, serves, and says why not.
///
/// The flags, the environment and the file are those of `ml-serve`; `--help` lists them.
pub fn main(set_up: impl FnOnce(Server) -> Result<Server, Box<dyn StdError + Send + Sync>>) -> ExitCode {
    let config = match config::from_process() {
        Ok(Invocation::Serve(config)) => *config,
        Ok(Invocation::Help(text) | Invocation::Version(text)) => return say(&text),
        Err(error) => return fail(&error.into(), ExitCode::from(2)),
    };
    logs::start(&config);
    let served = set_up(Server::new(config)).map_err(ServeError::SetUp).and_then(Server::run);
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error, ExitCode::FAILURE),
    }
}

/// Prints to standard output; a reader that has gone away is no error.
fn say(text: &str) -> ExitCode {
    drop(writeln!(io::stdout(), "{}", text.trim_end()));
    ExitCode::SUCCESS
}

fn fail(error: &ServeError, code: ExitCode) -> ExitCode {
    drop(writeln!(io::stderr(), "ml-serve: {error}"));
    code
}

impl Server {
    /// Prepares a server; the thread plan is decided and logged here.
    pub fn new(config: Config) -> Self {
        let threads = ThreadPlan::detect(ThreadWishes {
            http: config.http_threads,
            preprocess: config.preprocess_threads,
            runners: config.runners,
            intra_op: config.intra_op_threads,
            wide: config.wide_threads,
        });
        tracing::info!(%threads, "thread plan");
        allocator::limit_heaps(HEAPS_PER_CPU * threads.cpus);
        let preprocess = ml_core::preprocess_pool(threads.preprocess);
        let options = model_options(&config, threads);
        let factory = Factory { config, threads, metrics: Metrics::default(), preprocess, options };
        Self { factory, models: Registry::default(), repositories: Vec::new(), wrong: None }
    }

    /// Returns the configuration.
    pub fn config(&self) -> &Config {
        &self.factory.config
    }

    /// Returns how a pipeline of this server should load its model: the runtime and threads of the configuration.
    pub fn model_options(&self) -> ModelOptions {
        self.factory.options.clone()
    }

    /// The same for one of the configuration's models, which may have a variant of its own.
    pub fn model_options_of(&self, entry: &ModelEntry) -> ModelOptions {
        self.factory.options_of(entry)
    }

    /// Serves a pipeline as `/models/{name}`.
    #[must_use]
    pub fn pipeline<P>(self, name: &str, pipeline: P) -> Self
    where
        P: Pipeline,
        P::Input: DeserializeOwned,
        P::Output: Serialize,
    {
        self.pipeline_with(name, ModelInfo::default(), pipeline, |engine| engine)
    }

    /// Serves a pipeline with what it says about itself and with an engine set up by hand, lookups for example.
    #[must_use]
    pub fn pipeline_with<P>(
        mut self,
        name: &str,
        info: ModelInfo,
        pipeline: P,
        engine: impl FnOnce(EngineBuilder<P>) -> EngineBuilder<P>,
    ) -> Self
    where
        P: Pipeline,
        P::Input: DeserializeOwned,
        P::Output: Serialize,
    {
        if let Err(reason) = self.check_name(name) {
            self.refuse_name(name, reason);
            return self;
        }
        let engine = engine(served::engine(&self.factory, name, pipeline, served::written_bytes));
        let served = Arc::new(TypedModel::new(engine.start()));
        self.add(state::Model::new(name, 1, served, info));
        self
    }

    fn add(&self, model: state::Model) {
        self.models.replace(&model.name.clone(), vec![Arc::new(model)], BTreeMap::new());
    }

    fn refuse_name(&mut self, name: &str, reason: &'static str) {
        self.wrong.get_or_insert(ServeError::Name { name: name.to_owned(), reason });
    }

    fn check_name(&self, name: &str) -> Result<(), &'static str> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if name.is_empty() || name.len() > 64 || !name.chars().all(allowed) {
            return Err("must be 1 to 64 letters, digits, dots, underscores and hyphens");
        }
        if self.models.find(name, None).is_ok() {
            Err("stands for two models; give one another name")
        } else {
            Ok(())
        }
    }

    /// Serves the ONNX models that the configuration names, without code for any of them.
    ///
    /// # Errors
    /// Names the file that cannot be loaded, and the reason.
    pub fn configured_models(mut self) -> Result<Self, Box<dyn StdError + Send + Sync>> {
        for entry in self.factory.config.models.clone() {
            if !tasks::is_one_model(&entry) && repository::is_repository(&entry.path) {
                self.repositories.push(entry.path);
                continue;
            }
            let name = entry.name.clone().unwrap_or_else(|| onnx::model_name(&entry.path));
            if let Err(reason) = self.check_name(&name) {
                self.refuse_name(&name, reason);
                continue;
            }
            self.add(tasks::serve(&self.factory, &name, &entry)?);
        }
        Ok(self)
    }

    /// Serves until the process is told to stop, and answers everything that was accepted.
    ///
    /// Prints one line to standard output when every model has answered its example: the address is real then.
    ///
    /// # Errors
    /// Says why the server could not start, or how many requests were left without an answer.
    pub fn run(self) -> Result<(), ServeError> {
        if let Some(wrong) = self.wrong {
            return Err(wrong);
        }
        let repository = (!self.repositories.is_empty())
            .then(|| Repository::new(self.repositories.clone(), self.factory.clone()));
        if let Some(repository) = repository.as_ref().filter(|one| one.control() != ModelControl::Explicit) {
            repository.load_all(&self.models).map_err(|reason| ServeError::Repository { reason })?;
        }
        if self.models.all().is_empty() && repository.is_none() {
            return Err(ServeError::NoModels);
        }
        let metrics = HttpMetrics::new(&self.factory.metrics);
        let state = State::new(self.models, repository, &self.factory.config, metrics);
        let (config, http_threads) = (self.factory.config, self.factory.threads.http);
        let served = System::new().block_on(serve(&config, http_threads, &state));
        state.models.close();
        served.and(shutdown::let_go(state))
    }
}

fn model_options(config: &Config, threads: ThreadPlan) -> ModelOptions {
    ModelOptions {
        runtime: config.runtime,
        device: config.device,
        onnxruntime_path: config.onnxruntime_path.clone(),
        threads,
        optimised_copy: config.optimised_copy,
        variant: variant_choice(&config.variant),
        // Raw tensors are put together as they come; a pipeline that packs says so itself.
        packed_batches: false,
        shadow_share: config.shadow_percent as f64 / 100.0,
    }
}

/// Reads what a configuration says of variants.
pub(crate) fn variant_choice(name: &str) -> VariantChoice {
    match name {
        "auto" => VariantChoice::Auto,
        name => VariantChoice::Named(name.to_owned()),
    }
}

async fn serve(config: &Config, http_threads: usize, state: &State) -> Result<(), ServeError> {
    let started = Instant::now();
    let application = {
        let state = state.clone();
        move || {
            // Asked for by each thread, which so has a handle of its own.
            let state = Data::new(state.clone());
            App::new().app_data(state).wrap(from_fn(request::account)).configure(routes::configure)
        }
    };
    let address = format!("{}:{}", config.host, config.port);
    let server = HttpServer::new(application)
        .workers(http_threads)
        .keep_alive(config.keep_alive)
        // A caller that closes its end has left, as far as can be known: what it asked for is not computed.
        .h1_allow_half_closed(false)
        .client_request_timeout(HEAD_TIMEOUT)
        .client_disconnect_timeout(LINGER_TIMEOUT)
        .shutdown_timeout(config.drain_timeout.as_secs() + 1)
        .disable_signals()
        .bind((config.host.as_str(), config.port))
        .map_err(|source| ServeError::Listen { address, source })?;
    let listening = server.addrs().first().map_or_else(String::new, ToString::to_string);
    let signals = shutdown::Signals::listen()?;
    let server = server.run();
    let handle = server.handle();
    let serving = actix_web::rt::spawn(server);
    warm_up(state).await?;
    allocator::give_back_what_is_free();
    // Only now: a port that answers is one that predicts.
    let grpc = match config.grpc_port {
        Some(port) => Some(grpc_server(config, port, http_threads, state)?),
        None => None,
    };
    let polling = config.model_control == ModelControl::Poll && state.repository.is_some();
    let poller = polling.then(|| Poller::start(state.clone(), config.repository_poll)).transpose()?;
    let models: Vec<String> = state.models.latest().iter().map(|model| model.name.clone()).collect();
    tracing::info!(listening, ?models, startup = ?started.elapsed(), "ready");
    announce(&listening, grpc.as_ref().map(|grpc| grpc.address.to_string()), state);
    let drained = shutdown::until_stopped(signals, handle, state, config.drain_timeout).await;
    serving.abort();
    drop((grpc, poller));
    drained
}

fn grpc_server(
    config: &Config,
    port: u16,
    threads: usize,
    state: &State,
) -> Result<grpc::Listening, ServeError> {
    let address = format!("{}:{port}", config.host);
    let listening = grpc::listen((config.host.as_str(), port), threads, state);
    listening.map_err(|source| ServeError::Listen { address, source })
}

/// Makes every model answer once, so that the first caller does not pay for what is done lazily.
async fn warm_up(state: &State) -> Result<(), ServeError> {
    for model in state.models.all() {
        let checked =
            timeout(WARM_UP_TIMEOUT, model.served.check(within(WARM_UP_TIMEOUT, WhenFull::Wait))).await;
        let checked = checked.unwrap_or(Err(ApiError::Engine(ml_core::Error::DeadlineExceeded)));
        checked.map_err(|reason| ServeError::WarmUp { name: model.name.clone(), reason })?;
    }
    Ok(())
}
